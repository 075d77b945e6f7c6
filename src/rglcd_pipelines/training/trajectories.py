"""The teacher's answers, computed once for every variant: where its solver arrives from each step's draws.

Two of the six forward passes of a step, and the teacher's memory, are gone from every student's training.
"""

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rglcd_pipelines.artifacts import (
    Artifact,
    Draft,
    atomic_file,
    digest_file,
    draft,
    publish,
    standing,
)
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.teacher import Teacher
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.training.batches import StepBatch, StepBatches
from rglcd_pipelines.training.fit import pick_device
from rglcd_pipelines.training.objective import arrive
from rglcd_pipelines.training.settings import TrajectoriesConfig

FORMAT = 1
CHUNK = 50
"""Steps of a file; what a killed run has to do again."""

logger = logging.getLogger(__name__)


class Answerer:
    """The live teacher; what it says of a step is what `trajectories` keeps of it, to the bit."""

    def __init__(self, config: TrajectoriesConfig, teacher: Teacher, one_at_a_time: bool = False) -> None:
        """`one_at_a_time`: whether only one thread may ask the teacher, as where it is its student too."""
        self.config, self.teacher = config, teacher
        self.device = next(teacher.unet.parameters()).device
        self.threads = 1 if one_at_a_time or self.device.type != "cpu" else torch.get_num_threads()
        self.solver = DdimSolver(teacher.schedule, config.draws.grid)

    def arrive(self, batch: StepBatch) -> Tensor:
        """z_hat_{t_n} of every sample of a batch (eq. 9), on the device and as it is kept."""
        count, part = len(batch.z0), self.config.part
        if self.threads == 1:
            return torch.cat([self._part(batch.rows(slice(at, at + part))) for at in range(0, count, part)])
        part = min(part, -(-count // self.threads))
        # As `Lanes`: a part of the batch each is worth more to threads than a share of every layer.
        with ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            parts = pool.map(self._part, [batch.rows(slice(at, at + part)) for at in range(0, count, part)])
            return torch.cat(list(parts))

    def _part(self, batch: StepBatch) -> Tensor:
        bf16 = self.config.precision == "bf16"
        there = batch.map(lambda tensor: tensor.to(self.device, non_blocking=True))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
            said = self.teacher.conditioner.say(batch.captions)
            early = arrive(self.solver, self.teacher, there, said)
        return early.to(getattr(torch, self.config.dtype))


def make_trajectories(
    config: TrajectoriesConfig,
    latents: Artifact,
    teacher: Callable[[], Teacher],
    about: dict[str, Any],
    place: Path,
) -> Artifact:
    """The answers for every step at `place`; `about` tells the teacher from every other one.

    Of a live teacher nothing is computed: what stands there says so, and who it is.
    """
    made_from = {
        "format": FORMAT,
        **config.model_dump(exclude={"part"}),
        "inputs": {"latents": latents.digest, "teacher": about},
    }
    if ready := standing(place, "trajectories", made_from):
        logger.info("%s: the answers are there already; nothing to do", place)
        return ready
    reader = LatentReader(latents)
    body = {
        "live": config.live,
        "shape": list(reader.shape),
        "steps": config.draws.steps,
        "batch_size": config.draws.batch_size,
        "teacher": about,
    }
    with draft(place, made_from) as work:
        if config.live:
            return publish(work, place, "trajectories", made_from, body, {})
        _check_room(config, reader.shape, work.path)
        batches, began = StepBatches(reader, config.draws), time.monotonic()
        answerer = Answerer(config, teacher().to(pick_device()))
        computed = sum(_write(config, batches, answerer, work))
        body["files"] = {file.name: digest_file(file) for file in sorted(work.path.glob("*.npy"))}
        seconds = time.monotonic() - began
        metrics = {"seconds": round(seconds, 1), "samples_per_second": round(computed / seconds, 1)}
        return publish(work, place, "trajectories", made_from, body, metrics)


def _check_room(config: TrajectoriesConfig, shape: tuple[int, ...], folder: Path) -> None:
    """Refuse to begin what the disk cannot hold, which hours later would be sad news."""
    draws = config.draws
    needed = draws.steps * draws.batch_size * math.prod(shape) * np.dtype(config.dtype).itemsize
    there = sum(file.stat().st_size for file in folder.glob("*.npy"))
    free = shutil.disk_usage(folder).free
    logger.info("the teacher's answers take %.1f MB", needed / 1e6)
    if needed - there > free:
        raise DataError(
            f"{folder}: the teacher's answers take {needed / 1e9:.1f} GB, and the disk has "
            f"{free / 1e9:.1f} GB left. Set trajectories.dtype to float16, which is half of it, "
            "trajectories.live to true, which keeps none, or ask for fewer steps."
        )


def _write(
    config: TrajectoriesConfig, batches: StepBatches, answerer: Answerer, work: Draft
) -> Iterator[int]:
    """Every file that is not there yet; yields how many samples each of them has."""
    size, steps = config.draws.batch_size, config.draws.steps
    starts = range(0, steps, CHUNK)
    missing = [start for start in starts if not (work.path / chunk_name(start)).is_file()]
    done = sum(min(CHUNK, steps - start) for start in starts if start not in missing)
    with progress_bar("the teacher's answers", steps * size, done * size) as bar:
        for start in missing:
            answers = []
            for step in range(start, min(start + CHUNK, steps)):
                answers.append(answerer.arrive(batches.batch(step)).cpu().numpy())
                bar.update(size)
            with atomic_file(work.path / chunk_name(start)) as opened:
                np.save(opened, np.concatenate(answers))
            yield len(answers) * size


def chunk_name(start: int) -> str:
    return f"early-{start:07d}.npy"


@dataclass(frozen=True)
class Answers:
    """The kept answers of a finished folder, mapped and not read."""

    artifact: Artifact

    def early(self, step: int, rows: slice = slice(None)) -> np.ndarray:
        """z_hat_{t_n} of every sample of a step, or of some."""
        manifest = self.artifact.manifest
        if not 0 <= step < manifest["steps"]:
            raise DataError(
                f"{self.artifact.path}: holds the teacher's answers for {manifest['steps']} steps, not for "
                f"step {step + 1}. Raise trajectories.draws.steps, or train for fewer."
            )
        file, size = self.artifact.path / chunk_name(step - step % CHUNK), manifest["batch_size"]
        try:
            mapped = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{file}: the teacher's answers cannot be read ({error}). "
                f"Remove {self.artifact.path} and run: kedro run --pipeline=trajectories"
            ) from None
        first = step % CHUNK * size
        return np.array(mapped[first : first + size][rows])
