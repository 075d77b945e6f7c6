"""From a job to a student: everything is loaded, the loop runs, and what it learnt becomes a folder."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import Artifact, open_artifact
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.teacher import Teacher, load_teacher
from rglcd_pipelines.diffusion.vae import Vae, identity, load_vae
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.latent_reward.reward import LatentReward
from rglcd_pipelines.rewards.identity import rewards_identity
from rglcd_pipelines.training.batches import StepBatches
from rglcd_pipelines.training.card import LATENT_REWARD, write_card
from rglcd_pipelines.training.export import export
from rglcd_pipelines.training.followed import Followed, followed_rewards
from rglcd_pipelines.training.guide import Guide, RewardGuide, as_latents, decoded, summed
from rglcd_pipelines.training.identity import teacher_identity
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.learner import StudentLearner
from rglcd_pipelines.training.loop import Loop, Training
from rglcd_pipelines.training.lora import LoraStudent
from rglcd_pipelines.training.lrm import make_matcher
from rglcd_pipelines.training.lrm_settings import check_matching
from rglcd_pipelines.training.making import make, standing_already
from rglcd_pipelines.training.matched import MatchedLrm
from rglcd_pipelines.training.matcher import Matcher
from rglcd_pipelines.training.objective import Score
from rglcd_pipelines.training.onlooker import Nobody
from rglcd_pipelines.training.overseer import Ending
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.samples import Sampler
from rglcd_pipelines.training.settings import samples_of_a_step
from rglcd_pipelines.training.sheets import copy_sheets, keep_sheet
from rglcd_pipelines.training.step import Loss, StepSupply
from rglcd_pipelines.training.student import FullStudent, Student
from rglcd_pipelines.training.trajectories import Answerer, Answers
from rglcd_pipelines.training.watch_csv import ABOUT, WATCH
from rglcd_pipelines.training.watching import Seen, oversee

KIND = NAME = "student"

logger = logging.getLogger(__name__)


def made_from(job: Job) -> dict[str, Any]:
    """What the job's student depends on."""
    latents = open_artifact(Path(job.latents), "latents")
    identities: dict[str, Any] = {
        "teacher": teacher_identity(job.teacher),
        "vae": identity(job.vae),
        "rewards": rewards_identity(job.chosen.rewards, job.rewards),
    }
    if job.lrm:
        identities["lrm"] = open_artifact(Path(job.lrm.folder), "lrm").digest
    return job.made_from(latents.digest, _answers(job).digest, identities)


def ready(job: Job) -> Artifact | None:
    """The job's student, if it stands already."""
    return standing_already(Path(job.place), KIND, made_from(job))


def distill(job: Job) -> Artifact:
    """The job's student, trained by this process, or by it and the others that torch elastic started."""

    def learn(ranks: Ranks, folder: Path) -> Learnt:
        return _learn(job, ranks, folder)

    def finish(learnt: Learnt, figures: Mapping[str, float], folder: Path) -> dict[str, Any]:
        told, ending = learnt.lrm.figures() if learnt.lrm else {}, learnt.ending
        export(job, learnt.unet, learnt.teacher, learnt.vae, folder)
        if learnt.lrm:
            learnt.lrm.save(folder / LATENT_REWARD)
        copy_sheets(learnt.folder, learnt.steps, folder)
        if learnt.watched:
            for name in (WATCH, ABOUT):
                shutil.copyfile(learnt.folder / name, folder / name)
        write_card(job, learnt.teacher.kind, figures, told, folder, ending)
        logger.info(
            "%s: a student of %d steps; its README.md says how to sample it",
            job.place, ending.best if ending else learnt.steps,
        )  # fmt: skip
        draws = job.asked.draws
        body = {"variant": job.variant, "omega": [draws.omega_min, draws.omega_max]}
        if ending is None:
            return body | {"figures": told}
        return body | {"watch": ending.told(), "figures": told | ending.figures()}

    known = made_from(job)  # reads all of the teacher, so once
    return make(Path(job.place), KIND, known, job.settings, learn, finish)


@dataclass(frozen=True)
class Learnt:
    """A student that has learnt, and what stands around it in a pipeline."""

    unet: nn.Module
    teacher: Teacher
    vae: Vae
    lrm: MatchedLrm | None
    folder: Path
    """Where its figures and sheets stand."""
    steps: int
    """How many it learnt."""
    watched: bool
    """Whether anybody looked at it."""
    ending: Ending | None
    """What became of it, if it went too far."""


def _learn(job: Job, ranks: Ranks, folder: Path) -> Learnt:
    """Load everything, and run the loop in `folder`."""
    settings, device, draws = job.settings, ranks.device, job.asked.draws
    teacher = load_teacher(job.teacher)
    vae = load_vae(job.vae, device, torch.float32)
    reader = LatentReader(open_artifact(Path(job.latents), "latents"), verify=ranks.first)
    reader.expect(vae_digest=vae.digest, kind="mean")
    _check_shape(reader, teacher)
    samples = samples_of_a_step(settings, job.chosen, job.asked, ranks.count)
    if job.lrm:
        check_matching(job.lrm.matching, samples, ranks.count, settings.steps)
    student = _student(job, teacher, device)
    teacher = _beside(student, teacher, device, job.asked.live)
    solver = DdimSolver(teacher.schedule, draws.grid)
    shared = student.one_at_a_time
    answers = Answerer(job.asked, teacher, shared) if job.asked.live else Answers(_answers(job))
    matcher = make_matcher(job, job.lrm, reader, vae, samples, ranks) if job.lrm else None
    followed = followed_rewards(job, reader, vae, matcher, device)
    guide = _guide(job, followed, vae, matcher)
    loss = Loss(student, teacher.conditioner, solver, settings.distance, guide, keeps=matcher is not None)
    sampler = Sampler(settings.samples, teacher.conditioner, solver, vae, reader.shape)
    network = student.online if settings.weights == "online" else student.target
    supply = StepSupply(reader, draws, answers, ranks.share(samples), device)

    def draw(step: int) -> None:
        pictures = sampler.columns(network, settings.precision == "bf16")
        sheet = sampler.sheet(pictures)
        curves.show(NAME, step, sheet)
        keep_sheet(folder, step, sheet)
        if matcher:
            curves.tell(NAME, step, matcher.expert.judge(pictures, settings.samples.prompts))

    learner = StudentLearner(loss, settings, ranks, matcher)
    batches = StepBatches(reader, draws)
    overseer = None
    if settings.watch.every is not None:
        overseer = oversee(job, learner, Seen(sampler, network, followed, batches), ranks, folder)
    loop = Loop(
        Training(
            NAME,
            settings,
            learner,
            supply,
            samples,
            ranks,
            folder,
            draw,
            settings.samples.every,
            overseer or Nobody(),
        )
    )
    loop.run()
    ending = overseer.bring_back() if overseer and ranks.first else None
    matched = MatchedLrm(job, matcher, loss, batches, samples) if matcher else None
    return Learnt(network, teacher, vae, matched, folder, loop.step, overseer is not None, ending)


def _student(job: Job, teacher: Teacher, device: torch.device) -> Student:
    if job.settings.lora is None:
        return FullStudent(teacher.unet, job.settings, device)
    return LoraStudent(teacher.unet, job.settings, job.asked.draws.seed, device)


def _beside(student: Student, teacher: Teacher, device: torch.device, live: bool) -> Teacher:
    """The teacher on the device, where it stands beside its student; its UNet only if somebody asks it."""
    if live and student.teacher is None:
        return teacher.to(device)
    nn.Module.to(teacher.unet, device="meta")  # its memory is the student's now
    unet: Any = teacher.unet if student.teacher is None else student.teacher
    conditioner, schedule = teacher.conditioner.to(device), teacher.schedule.to(device)
    return replace(teacher, unet=unet, conditioner=conditioner, schedule=schedule)


def _guide(job: Job, followed: Followed, vae: Vae, matcher: Matcher | None) -> Guide | None:
    """The latent reward model that learns, or the variant's rewards themselves."""
    chosen, settings = job.chosen, job.settings
    if not chosen.rewards:
        return None
    if matcher:
        score = as_latents(LatentReward("lrm", matcher.model), vae)
        return RewardGuide(score, chosen.beta, settings.reward_part)
    parts: list[tuple[float, Score]] = [
        (part.weight, as_latents(part.reward, vae))
        for part in followed.parts
        if isinstance(part.reward, LatentReward)
    ]
    if followed.pixels is not None:
        parts.append((1.0, decoded(followed.pixels, vae, settings.precision == "bf16")))
    return RewardGuide(summed(parts), chosen.beta, settings.reward_part)


def _answers(job: Job) -> Artifact:
    return open_artifact(Path(job.answers), "trajectories")


def _check_shape(reader: LatentReader, teacher: Teacher) -> None:
    """Refuse latents that the teacher was not made for."""
    channels, side = teacher.unet.config["in_channels"], teacher.unet.config["sample_size"]
    if tuple(reader.shape) != (channels, side, side):
        raise DataError(
            f"{reader.artifact.path}: its latents are {list(reader.shape)}, but {teacher.folder} draws "
            f"{[channels, side, side]}. Set encode.resolution and encode.vae to what the teacher was "
            "trained with, or choose another teacher."
        )
