"""What the paper's results say in words, one ordering at a time, and whether it holds here.

Each is a difference with its 95 % interval over prompts and, where students of several seeds are compared,
seeds of training.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rglcd_pipelines.evaluation.intervals import Interval
from rglcd_pipelines.evaluation.report.compare import Comparer, Side, seeds_of
from rglcd_pipelines.evaluation.report.models import Models, Setting
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from rglcd_pipelines.evaluation.scores.table import Measure

Relation = Literal["above", "below", "within"]
Holds = Literal["yes", "no", "open"]

CLAIMS = {
    "reward-above-lcm": "Every reward guided model scores higher than the LCM.",
    "distance-above-lcm": "Learning from Pick, ImgRwd or HPS directly takes samples away from real pictures.",
    "distance-near-lcm": "Learning from CLIP leaves them about as near as the LCM's.",
    "distance-below-lcm": "Through the latent reward model they come nearer than the LCM's.",
    "reward-below-direct": "Through it the score stays below that of learning directly.",
    "noise-above-lcm": "Learning from ImgRwd directly adds high-frequency energy to the LCM's.",
    "noise-below-lcm": "Through the latent reward model there is none more than the LCM's.",
    "few-beat-teacher": "HPS in 2 steps scores higher than the teacher in 50.",
    "four-beat-two": "4 steps score higher than 2.",
}
"""Each claim of the paper in one sentence; what is below tells whether it is so here."""


@dataclass(frozen=True)
class Question:
    """That one side's figure is above, below or near another's."""

    claim: str
    ours: Side
    relation: Relation
    theirs: Side
    set: str
    measure: str

    @property
    def name(self) -> str:
        return f"{self.claim}/{self.ours.setting.family}/{self.ours.column}"


@dataclass(frozen=True)
class Trial:
    """The same question of another setting of the family."""

    model: str
    beta: float
    how: str
    """What beside β a student may differ in, in words."""
    difference: Interval
    holds: Holds
    seeds: int
    """Of training, that the difference comes from."""


@dataclass(frozen=True)
class Ordering:
    question: Question
    says: str
    difference: Interval
    holds: Holds
    seeds: int
    """Of training, that the difference comes from: with one, the interval says nothing of other trainings."""
    tried: Sequence[Trial] = field(default_factory=list)


def judge(relation: Relation, difference: Interval, margin: float) -> Holds:
    """Never more than the interval says: "open" where it has both answers in it."""
    low, high = difference.low, difference.high
    if relation == "within":
        if -margin <= low and high <= margin:
            return "yes"
        return "no" if high < -margin or low > margin else "open"
    if relation == "below":
        low, high = -high, -low
    return "yes" if low > 0 else "no" if high < 0 else "open"


def orderings(config: ReportConfig, models: Models, comparer: Comparer) -> dict[str, Ordering]:
    """Every ordering whose samples are there, by name, with what other settings of its family say to it."""
    found: dict[str, Ordering] = {}
    for question in questions(config, models):
        difference = comparer.difference(question.ours, question.theirs, question.set, question.measure)
        if difference is None:
            continue
        holds = judge(question.relation, difference, config.distance_margin)
        seeds = seeds_of(question.ours.setting, question.theirs.setting)
        tried = list(_tried(config, models, comparer, question))
        found[question.name] = Ordering(question, says(config, question), difference, holds, seeds, tried)
    return found


def questions(config: ReportConfig, models: Models) -> Iterator[Question]:
    """Of the models that are there."""
    baseline = models.main(config.baseline)
    reward, distance = (config.benchmark, config.score), (config.distance_set, config.distance)
    noise = (config.benchmark, config.noise)
    for setting in models.guided:
        lrm, direct = setting.first.lrm, _direct(models, setting)
        for column in config.columns:
            ours = Side(setting, column)
            if baseline is not None:
                lcm = Side(baseline, config.baseline_column)
                yield Question("reward-above-lcm", ours, "above", lcm, *reward)
                if lrm:
                    yield Question("distance-below-lcm", ours, "below", lcm, *distance)
                elif setting.first.expert == "clip":
                    yield Question("distance-near-lcm", ours, "within", lcm, *distance)
                elif setting.first.expert in ("pick", "imgrwd", "hps"):
                    yield Question("distance-above-lcm", ours, "above", lcm, *distance)
                if setting.first.expert == "imgrwd" and lrm:
                    yield Question("noise-below-lcm", ours, "below", lcm, *noise)
                elif setting.first.expert == "imgrwd":
                    yield Question("noise-above-lcm", ours, "above", lcm, *noise)
            if direct is not None:
                yield Question("reward-below-direct", ours, "below", Side(direct, column), *reward)
        fewest, most = config.columns[0], config.columns[-1]
        if setting.first.expert == "hps" and not lrm and models.teacher is not None:
            teacher = Side(models.teacher, config.teacher_column)
            yield Question("few-beat-teacher", Side(setting, fewest), "above", teacher, *reward)
        if fewest != most:
            yield Question("four-beat-two", Side(setting, most), "above", Side(setting, fewest), *reward)


def says(config: ReportConfig, question: Question) -> str:
    """The ordering in words, whether it holds or not."""
    label = label_of(question.ours.setting.first.scores.measures.get(question.measure), question.measure)
    relation = {
        "above": f"{label} above that of",
        "below": f"{label} below that of",
        "within": f"{label} within ±{config.distance_margin:g} of that of",
    }[question.relation]
    return f"{told(question.ours)}: {relation} {told(question.theirs)}"


def told(side: Side) -> str:
    steps = side.setting.first.scores.columns.get(side.column)
    count = f"{steps.steps} step{'s' * (steps.steps != 1)}" if steps else side.column
    return f"{side.setting.label} in {count}"


def label_of(measure: Measure | None, name: str) -> str:
    return measure.label if measure else name


def _direct(models: Models, setting: Setting) -> Setting | None:
    """The setting that learns from the same reward directly, of one that does so through the latent model."""
    if not setting.first.lrm:
        return None
    return next(
        (one for one in models.guided if one.first.reward == setting.first.reward and not one.first.lrm), None
    )


def _tried(config: ReportConfig, models: Models, comparer: Comparer, question: Question) -> Iterator[Trial]:
    ours = question.ours
    for setting in models.of(ours.setting.family):
        if setting is ours.setting:
            continue
        theirs = question.theirs
        if theirs.setting is ours.setting:
            theirs = Side(setting, theirs.column)
        difference = comparer.difference(Side(setting, ours.column), theirs, question.set, question.measure)
        if difference is not None:
            holds = judge(question.relation, difference, config.distance_margin)
            seeds = seeds_of(setting, theirs.setting)
            yield Trial(setting.first.name, setting.beta, setting.how, difference, holds, seeds)
