"""From a job to the watch on its student."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from rglcd_pipelines.artifacts import digest_json
from rglcd_pipelines.latent_reward.reward import LatentReward
from rglcd_pipelines.training.batches import StepBatches
from rglcd_pipelines.training.followed import Followed
from rglcd_pipelines.training.guide import as_latents
from rglcd_pipelines.training.held_out import HeldOut
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.learner import StudentLearner
from rglcd_pipelines.training.matcher import LRM
from rglcd_pipelines.training.overseer import REFERENCE, Overseer, Watched
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.samples import Sampler
from rglcd_pipelines.training.watch_look import Examiner
from rglcd_pipelines.training.watch_prompts import watch_prompts
from rglcd_pipelines.training.watch_settings import check_watch


@dataclass(frozen=True)
class Seen:
    """What there is to be looked at."""

    sampler: Sampler
    network: nn.Module
    """Which of the student's networks is saved in the end."""
    followed: Followed
    batches: StepBatches
    """Whose later captions are prompts, where there are no others."""


def oversee(job: Job, learner: StudentLearner, seen: Seen, ranks: Ranks, folder: Path) -> Overseer:
    """Who looks at the job's student; what is wrong with the settings is told before the first step."""
    watch, settings = job.settings.watch, job.settings
    check_watch(watch, job.chosen.rewards, job.rewards)
    prompts = watch_prompts(watch, lambda step: seen.batches.batch(step).captions, settings.steps)
    matcher = learner.matcher
    examiner = Examiner(
        watch,
        prompts,
        seen.sampler,
        seen.network,
        settings.precision == "bf16",
        seen.followed,
        HeldOut(job.held_out, job.rewards, watch.keep, ranks.device),
        as_latents(LatentReward("lrm", matcher.model), seen.sampler.vae) if matcher else None,
    )
    kept = ("online", "target", LRM) if matcher else (settings.weights,)
    drawn = _drawn(job, prompts)
    watched = Watched(
        examiner,
        learner,
        kept,
        job.chosen.rewards,
        _identity(job, drawn),
        digest_json(drawn),
        _reference(job),
    )
    return Overseer(watch, watched, ranks, folder)


def _drawn(job: Job, prompts: list[str]) -> dict[str, Any]:
    """What pictures a look is at, beside the student."""
    how = job.settings.watch.model_dump(include={"steps", "seed"})
    return {"how": how | {"omega": job.settings.samples.omega}, "prompts": prompts}


def _identity(job: Job, drawn: dict[str, Any]) -> str:
    """Of what a look depends on beside the student."""
    names = [*job.held_out, *job.chosen.rewards]
    return digest_json(drawn | {"rewards": {name: job.rewards[name].model_dump() for name in names}})


def _reference(job: Job) -> Path | None:
    """The LCM's folder, unless the job is to make it."""
    own = Path(job.place)
    found = Path(job.settings.watch.reference or own.parent / REFERENCE)
    return None if found == own else found
