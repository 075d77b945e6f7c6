"""The evaluate stage's nodes; they import what they call when they run: all of it imports torch."""

import logging
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.evaluation.settings import TEACHER, EvaluateConfig
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.job import Job

logger = logging.getLogger(__name__)


def draw_student(
    student: Artifact, prompts: Artifact, config: EvaluateConfig, places: dict[str, str]
) -> Artifact:
    """What the student draws of every prompt."""
    from rglcd_pipelines.evaluation.generate.generate import draw_samples
    from rglcd_pipelines.evaluation.generate.models import StudentDrawer

    name = student.path.name
    drawer = StudentDrawer.of(student.path, config.draw)
    return draw_samples(name, drawer, prompts, config.sets, config.draw, Path(places["samples"], name))


def draw_teacher(
    prompts: Artifact,
    config: EvaluateConfig,
    teacher: TeacherConfig,
    encode: EncodeConfig,
    places: dict[str, str],
) -> Artifact:
    """What the teacher draws of every prompt, by each of its samplers."""
    from rglcd_pipelines.evaluation.generate.generate import draw_samples
    from rglcd_pipelines.evaluation.generate.models import TeacherDrawer

    drawer = TeacherDrawer(teacher, encode.vae, config.draw.teacher)
    return draw_samples(TEACHER, drawer, prompts, config.sets, config.draw, Path(places["samples"], TEACHER))


def score_student(
    samples: Artifact,
    job: Job,
    config: EvaluateConfig,
    rewards: dict[str, Any],
    encode: EncodeConfig,
    places: dict[str, str],
    reference: Artifact | None = None,
) -> Artifact:
    """What is measured of a student's samples."""
    return _score(samples, facts_of(job), config, rewards, encode, places, reference)


def facts_of(job: Job) -> dict[str, Any]:
    """What a report needs to know of a student."""
    return {
        **job.facts(),
        "rewards": list(job.chosen.rewards),
        "beta": job.chosen.beta,
        "seed": job.asked.draws.seed,
        "antialias": all(reward.antialias is not False for reward in job.guiding.values()),
        "real_bonus": job.real_bonus if job.lrm else None,
    }


def score_teacher(
    samples: Artifact,
    teacher: TeacherConfig,
    config: EvaluateConfig,
    rewards: dict[str, Any],
    encode: EncodeConfig,
    places: dict[str, str],
    reference: Artifact | None = None,
) -> Artifact:
    """The same of the teacher's."""
    return _score(samples, {"teacher": teacher.id}, config, rewards, encode, places, reference)


def _score(
    samples: Artifact,
    facts: dict[str, Any],
    config: EvaluateConfig,
    rewards: dict[str, Any],
    encode: EncodeConfig,
    places: dict[str, str],
    reference: Artifact | None,
) -> Artifact:
    from rglcd_pipelines.evaluation.scores.score import score_samples

    known = {name: check(RewardConfig, rewards[name], f"rewards.{name}") for name in rewards}
    place = Path(places["scores"], samples.path.name)
    return score_samples(samples, config, known, encode.vae, facts, reference, place)


def compare(scores: Artifact, baseline: Artifact, config: EvaluateConfig) -> dict[str, float]:
    """How far a student's figures are from the baseline's: positive is more."""
    from rglcd_pipelines.evaluation.scores.table import Scores

    own, others = Scores.open(scores), Scores.open(baseline)
    found: dict[str, float] = {}
    for one in own.figures:
        other = None if one.group else others.figure(one.column, one.set, one.measure)
        if other is not None:
            found[f"{one.column}/{one.set}/{one.measure}"] = one.value - other.value
    logger.info("%s: compared with %s in %d figures", own.name, config.baseline, len(found))
    return found
