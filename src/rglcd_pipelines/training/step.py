"""What a step of a student works on, and its loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.conditions import Conditioner, XlConditioner
from rglcd_pipelines.diffusion.consistency import pseudo_huber, squared
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.training.batches import StepBatch, StepBatches
from rglcd_pipelines.training.guide import Guide
from rglcd_pipelines.training.objective import ask, guided_loss, lcd_loss, pair_of
from rglcd_pipelines.training.settings import DrawsConfig
from rglcd_pipelines.training.student import Student
from rglcd_pipelines.training.trajectories import Answerer, Answers

ONLINE, TARGET = "z0_online", "z0_target"
"""What `Loss` calls the samples that it gives back."""
DISTANCES = {"huber": pseudo_huber, "squared": squared}


@dataclass(frozen=True)
class Work:
    """A step's samples, or a part of them, on the device."""

    batch: StepBatch
    early: Tensor
    """[B, C, H, W]: z_hat_{t_n}, where the teacher's solver arrives."""

    def split(self, count: int) -> "list[Work]":
        """In parts of equal size, which `count` must allow; otherwise as it is."""
        samples = len(self.early)
        if samples % count:
            return [self]
        each = samples // count
        return [self._rows(slice(start, start + each)) for start in range(0, samples, each)]

    def _rows(self, rows: slice) -> "Work":
        return Work(self.batch.rows(rows), self.early[rows])


class StepSupply:
    """The work of any step: from the disk, and from the kept answers or the live teacher."""

    def __init__(
        self,
        reader: LatentReader,
        draws: DrawsConfig,
        answers: Answers | Answerer,
        rows: slice,
        device: torch.device,
    ) -> None:
        self.batches, self.answers, self.rows, self.device = StepBatches(reader, draws), answers, rows, device

    def read(self, step: int) -> tuple[StepBatch, Tensor | None]:
        """What does not need the device; called in a thread while the last step is at work."""
        batch = self.batches.batch(step, self.rows)
        early = None
        if isinstance(self.answers, Answers):
            early = torch.from_numpy(self.answers.early(step, self.rows))
        if self.device.type == "cuda":  # pinned, so that the way to the GPU is waited for by nobody
            batch = batch.map(Tensor.pin_memory)
            early = None if early is None else early.pin_memory()
        return batch, early

    def take(self, read: tuple[StepBatch, Tensor | None]) -> Work:
        """What was read, on the device and with the teacher's answer."""
        batch, early = read
        if early is None:
            assert isinstance(self.answers, Answerer)
            early = self.answers.arrive(batch)
        there = batch.map(lambda tensor: tensor.to(self.device, non_blocking=True))
        return Work(there, early.to(self.device, torch.float32, non_blocking=True))


@dataclass(frozen=True)
class Loss:
    """L_RG-LCD of some samples (eq. 11), and its terms."""

    student: Student
    conditioner: Conditioner | XlConditioner
    solver: DdimSolver
    distance: str
    guide: Guide | None
    keeps: bool = False
    """Whether what student and target said comes back with the terms, a row for each sample."""

    @property
    def terms(self) -> Sequence[str]:
        """In the order in which they are computed."""
        return ["lcd", "reward", "pull"] if self.guide else ["lcd"]

    def __call__(self, work: Work) -> dict[str, Tensor]:
        said = self.conditioner.say(work.batch.captions)
        pair = pair_of(self.solver, work.batch, work.early)
        answers = ask(self.student.online, self.student.target, self.solver.schedule, pair, said)
        lcd = lcd_loss(answers, DISTANCES[self.distance])
        kept = {ONLINE: answers.online.detach(), TARGET: answers.target} if self.keeps else {}
        if self.guide is None:
            return {"loss": lcd, "lcd": lcd, **kept}
        rewards, gradient = self.guide.pull(answers.online, work.batch.captions)
        loss = guided_loss(lcd, answers.online, gradient, self.guide.beta)
        return {"loss": loss, "lcd": lcd, "reward": rewards.mean(), "pull": _pull(gradient), **kept}


def _pull(gradient: Tensor) -> Tensor:
    """How long the gradient of a sample's own reward is, on average; J's is divided by their number."""
    return gradient.flatten(1).norm(dim=1).sum()
