"""Which students a run may be about, read from its parameters before anybody has checked these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig
from rglcd_pipelines.evaluation.settings import TEACHER, EvaluateConfig
from rglcd_pipelines.pipelines.report.config import ReportStageConfig
from rglcd_pipelines.training.series import SeriesConfig, expand
from rglcd_pipelines.training.settings import VariantConfig


@dataclass(frozen=True)
class Student:
    """One node of the graph for each of a student's steps bears its name."""

    name: str
    lrm: bool = False
    """Whether it needs the latent reward model."""
    seed: int | None = None
    """Of its draws, if the teacher must answer anew for it."""


@dataclass(frozen=True)
class Asked:
    """The students that a run's parameters name."""

    variant: Student
    baseline: Student
    """That with which evaluation compares."""
    report: tuple[Student, ...] = ()
    arena: tuple[str, ...] = ()
    """Whose pictures are compared, the teacher's among them."""
    others: tuple[Student, ...] = ()
    """Who is in the graph besides."""
    distances: bool = False
    """Whether samples are compared with real pictures."""

    @property
    def students(self) -> dict[str, Student]:
        """All of them, by name."""
        everybody = (self.variant, self.baseline, *self.report, *self.others)
        return {student.name: student for student in everybody}


NOBODY = Asked(Student("lcm"), Student("lcm"))
"""Before any parameters were read."""


def asked_of(parameters: Mapping[str, Any], everybody: bool = False) -> Asked:
    """What parameters name; what is wrong with them is told by those who check them.

    With `everybody`, every variant is in the graph, though no series.
    """
    try:
        variants = {name: check(VariantConfig, value) for name, value in parameters["variants"].items()}
        series = {name: check(SeriesConfig, value) for name, value in parameters["series"].items() if value}
        evaluation = check(EvaluateConfig, parameters["evaluate"])
        report = check(ReportStageConfig, parameters["report"])
        entrants = check(ArenaConfig, parameters["arena"]).entrants
        known, rewards = expand(variants, series), parameters["rewards"]
        pretrained = parameters["places"]["lrm"]

        def student(name: str) -> Student:
            chosen = known[name]
            follows = [rewards[reward].get("id") for reward in chosen.rewards]
            return Student(name, chosen.lrm or pretrained in follows, chosen.seed)

        arena = tuple(dict.fromkeys(entrant.model for entrant in entrants))
        others = [*variants] if everybody else [name for name in arena if name != TEACHER]
        return Asked(
            variant=student(parameters["variant"]),
            baseline=student(evaluation.baseline),
            report=tuple(student(name) for name in report.lists[report.students] if name != TEACHER),
            arena=arena,
            others=tuple(student(name) for name in others),
            distances=None not in (evaluation.features, evaluation.reference),
        )
    except (RglcdError, KeyError, TypeError, AttributeError):
        return NOBODY
