"""From a job to a student: everything is loaded, the loop runs, and what it learnt becomes a folder."""

import logging
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import (
    Artifact,
    digest_files,
    draft,
    open_artifact,
    publish,
    scratch_folder,
    standing,
)
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.teacher import Teacher, load_teacher
from rglcd_pipelines.diffusion.vae import Vae, identity, load_vae
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.progress import hide_library_bars
from rglcd_pipelines.rewards.catalog import load_mix
from rglcd_pipelines.training.card import write_card
from rglcd_pipelines.training.export import export
from rglcd_pipelines.training.guide import Guide, RewardGuide
from rglcd_pipelines.training.identity import rewards_identity, teacher_identity
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.loop import Loop, Training
from rglcd_pipelines.training.lora import LoraStudent
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.record import CURVES, LOSSES, last_figures, memory
from rglcd_pipelines.training.samples import Sampler
from rglcd_pipelines.training.settings import samples_of_a_step
from rglcd_pipelines.training.step import Loss, Supply
from rglcd_pipelines.training.student import FullStudent, Student
from rglcd_pipelines.training.trajectories import Answerer, Answers

KIND = "student"

logger = logging.getLogger(__name__)


def made_from(job: Job) -> dict[str, Any]:
    """What the job's student depends on."""
    latents = open_artifact(Path(job.latents), "latents")
    identities = {
        "teacher": teacher_identity(job.teacher),
        "vae": identity(job.vae),
        "rewards": rewards_identity(job.chosen.rewards, job.rewards),
    }
    return job.made_from(latents.digest, _answers(job).digest, identities)


def ready(job: Job) -> Artifact | None:
    """The job's student, if it stands already."""
    return _ready(job, made_from(job))


def _ready(job: Job, known: dict[str, Any]) -> Artifact | None:
    place = Path(job.place)
    if found := standing(place, KIND, known):
        shutil.rmtree(scratch_folder(place, known), ignore_errors=True)  # a run was killed before it could
        logger.info("%s: the student is there already; nothing to do", place)
    return found


def distill(job: Job) -> Artifact:
    """The job's student, trained by this process, or by it and the others that torch elastic started."""
    known = made_from(job)  # reads all of the teacher, so once
    if found := _ready(job, known):
        return found
    hide_library_bars()
    ranks = Ranks.join()
    if job.settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be
        torch.use_deterministic_algorithms(True)
    else:
        torch.backends.cudnn.benchmark = True  # every step has the same shapes
    try:
        if not ranks.first:
            _learn(job, ranks, scratch_folder(Path(job.place), known))
            return Artifact(Path(job.place), {})
        return _finish(job, ranks, known)
    finally:
        ranks.leave()


def _finish(job: Job, ranks: Ranks, known: dict[str, Any]) -> Artifact:
    """What the first process does: it holds the draft against other runs, and fills it."""
    place, began = Path(job.place), time.monotonic()
    scratch = scratch_folder(place, known)
    with draft(place, known) as work:
        scratch.mkdir(parents=True, exist_ok=True)
        learnt = _learn(job, ranks, scratch)
        export(job, learnt.unet, learnt.teacher, learnt.vae, work.path)
        figures = last_figures(scratch / LOSSES)
        shutil.copyfile(scratch / LOSSES, work.path / LOSSES)
        write_card(job, learnt.teacher.kind, figures, work.path)
        body = {
            "variant": job.variant,
            "omega": [job.asked.draws.omega_min, job.asked.draws.omega_max],
            "figures": figures,
            "files": digest_files(work.path),
        }
        metrics = figures | {"seconds": round(time.monotonic() - began, 1)} | memory()
        made = publish(work, place, KIND, known, body, metrics)
    shutil.rmtree(scratch)
    logger.info("%s: a student of %d steps; its README.md says how to sample it", place, job.settings.steps)
    return made


@dataclass(frozen=True)
class Learnt:
    """A student that has learnt, and what stands around it in a pipeline."""

    unet: nn.Module
    teacher: Teacher
    vae: Vae


def _learn(job: Job, ranks: Ranks, folder: Path) -> Learnt:
    """Load everything, and run the loop in `folder`."""
    settings, device, draws = job.settings, ranks.device, job.asked.draws
    teacher = load_teacher(job.teacher)
    vae = load_vae(job.vae, device, torch.float32)
    reader = LatentReader(open_artifact(Path(job.latents), "latents"), verify=ranks.first)
    reader.expect(vae_digest=vae.digest, kind="mean")
    _check_shape(reader, teacher)
    samples = samples_of_a_step(settings, job.chosen, job.asked, ranks.count)
    student = _student(job, teacher, device)
    teacher = _beside(student, teacher, device, job.asked.live)
    solver = DdimSolver(teacher.schedule, draws.grid)
    shared = student.one_at_a_time
    answers = Answerer(job.asked, teacher, shared) if job.asked.live else Answers(_answers(job))
    loss = Loss(student, teacher.conditioner, solver, settings.distance, _guide(job, vae, device))
    sampler = Sampler(settings.samples, teacher.conditioner, solver, vae, reader.shape)
    network = student.online if settings.weights == "online" else student.target
    Loop(
        Training(
            settings,
            loss,
            Supply(reader, draws, answers, ranks.share(samples), device),
            samples,
            ranks,
            folder,
            lambda step: curves.show(CURVES, step, sampler.sheet(network, settings.precision == "bf16")),
        )
    ).run()
    return Learnt(network, teacher, vae)


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


def _guide(job: Job, vae: Vae, device: torch.device) -> Guide | None:
    chosen, settings = job.chosen, job.settings
    if not chosen.rewards:
        return None
    reward = load_mix(chosen.rewards, job.rewards, device)
    return RewardGuide(reward, vae, chosen.beta, settings.reward_part, settings.precision == "bf16")


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
