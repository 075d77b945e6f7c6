"""The models of a report: which of them are one family, and what they are called."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from rglcd_pipelines.evaluation.generate.column import Column
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.evaluation.scores.table import Scores

REWARDS = {"clip": "CLIP", "pick": "Pick", "imgrwd": "ImgRwd", "hps": "HPS"}
"""The paper's names of rewards, in the order of its Table 1."""
ORIGINALS = {"clipscore": "clip", "pickscore": "pick", "imagereward": "imgrwd", "hps_v21": "hps"}
"""What the originals are called in the settings, and what stands in for them in the miniature world."""


class Pictures(Protocol):
    """What a report asks of a model's samples."""

    @property
    def columns(self) -> Mapping[str, Column]: ...

    def prompts(self, column: str, set: str | None = None) -> list[Prompt]: ...

    def pngs(self, column: str, set: str | None = None) -> Iterator[tuple[Prompt, bytes]]: ...


@dataclass(frozen=True, eq=False)
class Model:
    name: str
    kind: Literal["teacher", "student"]
    family: str
    """The variant without what a series added: "hps" of "hps-beta10" and "hps-seed1"."""
    seed: int
    beta: float
    reward: str
    """Empty where there is none."""
    lrm: bool
    scores: Scores
    samples: Pictures | None = None
    student: Path | None = None
    """Its folder, with losses.csv, watch.csv and progress/STEP.png where these were kept."""
    run_url: str | None = None
    """Its run in MLflow."""
    antialias: bool = True
    """Whether pictures were shrunk with antialiasing for its rewards while it learnt."""
    real_bonus: float | None = None
    """How much more its reward was said to like real pictures, where a latent reward model learnt from it."""

    @property
    def expert(self) -> str:
        """Its reward, whether it is the original or stands in for it."""
        return ORIGINALS.get(self.reward, self.reward)

    @property
    def label(self) -> str:
        """As the paper calls it."""
        if self.kind == "teacher":
            return "Teacher"
        if not self.reward:
            return "LCM"
        name = f"RG-LCM ({REWARDS.get(self.expert, self.reward)})"
        return f"{name} + LRM" if self.lrm else name


@dataclass(frozen=True, eq=False)
class Setting:
    """Students that differ in nothing but the seed of their training."""

    models: tuple[Model, ...]

    @property
    def first(self) -> Model:
        return self.models[0]

    @property
    def family(self) -> str:
        return self.first.family

    @property
    def label(self) -> str:
        return self.first.label

    @property
    def beta(self) -> float:
        return self.first.beta

    @property
    def antialias(self) -> bool:
        return self.first.antialias

    @property
    def how(self) -> str:
        """What may differ beside β, in words; none where nothing is to be said."""
        words = [] if self.antialias else ["no antialiasing"]
        if self.first.real_bonus is not None:
            words.append(f"real bonus {self.first.real_bonus:g}")
        return ", ".join(words)

    @property
    def way(self) -> str:
        """How it learnt: β, and what else may differ."""
        return f"β {self.beta:g}{f', {self.how}' if self.how else ''}"

    @property
    def is_teacher(self) -> bool:
        return self.first.kind == "teacher"

    @property
    def url(self) -> str | None:
        """The run of its first model, where that is known and a browser may open it."""
        url = self.first.run_url
        return url if url and url.startswith(("http://", "https://", "file:")) else None


@dataclass(frozen=True)
class Models:
    """All models of a report."""

    all: Sequence[Model]

    @cached_property
    def settings(self) -> list[Setting]:
        """Every setting, with its models by seed."""
        found: dict[tuple[str, str, float, bool, float | None], dict[int, Model]] = {}
        for model in sorted(self.all, key=lambda model: model.name != model.family):
            # Two teachers are two rows of a table, not two seeds of one.
            family = model.family if model.kind == "student" else model.name
            key = (model.kind, family, model.beta, model.antialias, model.real_bonus)
            same = found.setdefault(key, {})
            same.setdefault(model.seed, model)  # a series may ask for what is there under its family's name
        return [Setting(tuple(same[seed] for seed in sorted(same))) for same in found.values()]

    @cached_property
    def teacher(self) -> Setting | None:
        return next((setting for setting in self.settings if setting.is_teacher), None)

    def main(self, family: str) -> Setting | None:
        """The setting that the family is known by: that of the model with its name, or of its first."""
        own = self.of(family)
        named = [one for one in own if any(model.name == family for model in one.models)]
        return next(iter(named or own), None)

    def of(self, family: str) -> list[Setting]:
        """Every setting of a family, by beta."""
        own = [one for one in self.settings if one.family == family and not one.is_teacher]
        return sorted(own, key=lambda one: (one.beta, not one.antialias, one.first.real_bonus or 0.0))

    @cached_property
    def guided(self) -> list[Setting]:
        """The main setting of each family that has a reward, in the order of the paper's Table 1."""
        families = dict.fromkeys(
            model.family for model in self.all if model.kind == "student" and model.reward
        )
        found = [setting for family in families if (setting := self.main(family))]
        known = {reward: place for place, reward in enumerate(REWARDS)}
        return sorted(
            found,
            key=lambda one: (known.get(one.first.expert, len(known)), one.first.reward, one.first.lrm),
        )

    def partner(self, setting: Setting) -> Setting | None:
        """The same reward through the latent reward model, of one that learnt from it directly."""
        return next(
            (one for one in self.guided if one.first.lrm and one.first.reward == setting.first.reward), None
        )
