"""The pictures that meet: those of the same prompts, from every model and column that is in a pairing."""

from collections.abc import Mapping, Sequence

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig, Entrant
from rglcd_pipelines.evaluation.generate.samples import Samples
from rglcd_pipelines.evaluation.prompts.prompt import Prompt

NAMED = 3
"""As many missing samples are told by name."""


def common_prompts(config: ArenaConfig, samples: Mapping[str, Samples]) -> list[Prompt]:
    """The set's prompts, which everyone must have drawn from the same noise; without repeats."""
    for entrant in config.entrants:
        _check_known(entrant, samples)
    drawn = {one: samples[one.model].prompts(one.column, config.set) for one in config.entrants}
    for entrant, prompts in drawn.items():
        if not prompts:
            raise ConfigError(
                f"arena.set: {entrant} drew no prompts of a set {config.set!r}. Name a set that it drew, or "
                "draw it: kedro run --pipeline=evaluate"
            )
    _check_same(drawn, config.set)
    return [prompt for prompt in drawn[config.entrants[0]] if prompt.repeat == 0]


def _check_known(entrant: Entrant, samples: Mapping[str, Samples]) -> None:
    if entrant.model not in samples:
        raise ConfigError(
            f"arena.pairings: there are no samples of {entrant.model!r}; there are "
            f"{', '.join(sorted(samples)) or 'none at all'}. Check the name, or draw them: "
            "kedro run --pipeline=evaluate"
        )
    columns = samples[entrant.model].columns
    if entrant.column not in columns:
        raise ConfigError(
            f"arena.pairings: the samples of {entrant.model} have no column {entrant.column!r}; they have "
            f"{', '.join(columns)}"
        )


def _check_same(drawn: Mapping[Entrant, Sequence[Prompt]], set_name: str) -> None:
    """That all drew the same prompts; a vote between other ones would say nothing."""
    keys = {entrant: {prompt.key for prompt in prompts} for entrant, prompts in drawn.items()}
    everything = list(dict.fromkeys(prompt.key for prompts in drawn.values() for prompt in prompts))
    problems = [
        f"{entrant} has {len(own)} and lacks {len(everything) - len(own)} "
        f"({_some([key for key in everything if key not in own])})"
        for entrant, own in keys.items()
        if len(own) < len(everything)
    ]
    if problems:
        raise DataError(
            f"The arena's models did not draw the same prompts of {set_name}: {'; '.join(problems)}. "
            "Draw them again with the same sets: kedro run --pipeline=evaluate"
        )
    (first, wanted), *others = ((entrant, set(prompts)) for entrant, prompts in drawn.items())
    for entrant, prompts in others:
        if apart := sorted(prompt.key for prompt in prompts - wanted):
            raise DataError(
                f"{first} and {entrant} drew other texts or other noise under the same names "
                f"({_some(apart)}). Draw both from the same prompts: kedro run --pipeline=evaluate"
            )


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:NAMED]) + (", …" if len(keys) > NAMED else "")
