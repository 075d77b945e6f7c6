"""Which prompts are compared, who is on which side, and in which order: all drawn from the arena's seed."""

import random
from collections.abc import Iterator, Sequence
from itertools import islice

from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.evaluation.arena.key import Comparison, Party
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig
from rglcd_pipelines.evaluation.prompts.prompt import Prompt

PARTIES: tuple[Party, Party] = ("ours", "theirs")


def draw_comparisons(config: ArenaConfig, prompts: Sequence[Prompt]) -> list[Comparison]:
    """Every pairing on the same prompts; their numbers follow the drawn order, so they tell nothing."""
    chosen = choose_prompts(prompts, config.prompts, config.seed)
    drawn: list[tuple[int, Prompt, Party]] = [
        (pairing, prompt, side)
        for pairing in range(len(config.pairings))
        for prompt, side in zip(chosen, _sides(len(chosen), f"{config.seed}/sides/{pairing}"), strict=True)
    ]
    random.Random(f"{config.seed}/order").shuffle(drawn)
    digits = max(3, len(str(len(drawn))))
    return [
        Comparison(
            id=f"{number:0{digits}d}",
            pairing=pairing,
            prompt=prompt.key,
            group=prompt.group,
            text=prompt.text,
            a=side,
        )
        for number, (pairing, prompt, side) in enumerate(drawn, 1)
    ]


def choose_prompts(prompts: Sequence[Prompt], count: int, seed: int) -> list[Prompt]:
    """As many prompts, drawn in turn from each group; a larger count adds to a smaller one's."""
    if count > len(prompts):
        raise ConfigError(
            f"arena.prompts: is {count}, but the set has {len(prompts)} prompts; ask for at most that many"
        )
    groups: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        groups.setdefault(prompt.group, []).append(prompt)
    for name, members in groups.items():
        random.Random(f"{seed}/prompts/{name}").shuffle(members)
    return list(islice(_in_turn(list(groups.values())), count))


def _in_turn(groups: list[list[Prompt]]) -> Iterator[Prompt]:
    """The first of each group, then the second of each, as long as there are any."""
    for place in range(max(map(len, groups), default=0)):
        yield from (members[place] for members in groups if place < len(members))


def _sides(count: int, seed: str) -> list[Party]:
    """Whose picture is A: ours half of the time, so that a liking for one side is no liking for a model."""
    draw = random.Random(seed)
    sides: list[Party] = ["ours", "theirs"] * (count // 2)
    sides += draw.sample(PARTIES, count % 2)
    draw.shuffle(sides)
    return sides
