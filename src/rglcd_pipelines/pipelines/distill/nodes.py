"""The distill stage's nodes; they import what they call when they run: all of it imports torch."""

import logging
from pathlib import Path
from typing import Any

from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.job import Job, LrmInJob
from rglcd_pipelines.training.lrm_settings import LrmConfig, MatchingConfig
from rglcd_pipelines.training.series import SeriesConfig, expand
from rglcd_pipelines.training.settings import (
    DistillConfig,
    TrajectoriesConfig,
    VariantConfig,
    asked_for,
    choose,
)

logger = logging.getLogger(__name__)


def resolve(
    variants: dict[str, Any],
    series: dict[str, Any],
    settings: DistillConfig,
    rewards: dict[str, Any],
    teacher: TeacherConfig,
    encode: EncodeConfig,
    asked: TrajectoriesConfig,
    places: dict[str, str],
    _latents: Artifact,
    answers: Artifact,
    lrm: LrmConfig | None = None,
    matching: MatchingConfig | None = None,
    _lrm: Artifact | None = None,
    _zero_shot: Artifact | None = None,
    *,
    variant: str,
) -> Job:
    """Everything that the training needs to know, in one file that needs no Kedro.

    A variant whose reward is a latent reward model needs that to have passed its zero-shot check.
    """
    known = expand(
        {name: check(VariantConfig, value) for name, value in variants.items()},
        {name: check(SeriesConfig, value) for name, value in series.items() if value},
    )
    chosen = choose(variant, known)
    judges = settings.watch.held_out(chosen.rewards) if settings.watch.every else []
    return Job(
        variant=variant,
        chosen=chosen,
        settings=settings,
        rewards={name: check(RewardConfig, rewards[name]) for name in (*chosen.rewards, *judges)},
        teacher=teacher,
        vae=encode.vae,
        asked=asked_for(chosen, asked),
        latents=places["latents"],
        answers=str(answers.path),
        place=str(Path(places["students"], variant)),
        lrm=_follows(lrm, matching, places) if chosen.lrm else None,
    )


def _follows(lrm: LrmConfig | None, matching: MatchingConfig | None, places: dict[str, str]) -> LrmInJob:
    assert lrm is not None
    assert matching is not None  # the graph of such a variant has both
    return LrmInJob(
        folder=places["lrm"], text=lrm.text, matching=matching, real_rewards=places["real_rewards"]
    )


def train(job: Job, _latents: Artifact, _answers: Artifact) -> Artifact:
    """The job's student."""
    from rglcd_pipelines.training.launch import run

    return run(job)


def picture(student: Artifact, job: Job, places: dict[str, str]) -> Image.Image:
    """What the finished folder draws, through diffusers' own pipeline."""
    from rglcd_pipelines.training.finished import sheet_of

    sheet = sheet_of(student.path, job)
    where = Path(places["reporting"], "students", f"{job.variant}.png")
    logger.info("%s: what the student draws in %s steps", where, _list(job.settings.samples.steps))
    return sheet


def _list(numbers: list[int]) -> str:
    """Such as 1, 2, 4 and 8."""
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
