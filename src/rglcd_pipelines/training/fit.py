"""Fitting one model to endless drawn batches: the loop behind every small model of the miniature world.

Everything random in a step comes from the seed and the step's number, and the checkpoint holds all the rest,
so a run that was killed ends with the weights of one that never was.
"""

import logging
import math
import pickle
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import atomic_file
from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import DataError, RglcdError, first_line
from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.training.lanes import Lanes, Split

CHECKPOINT = "checkpoint.pt"
SECONDS_BETWEEN_CHECKPOINTS = 60.0
STEPS_BETWEEN_REPORTS = 50

logger = logging.getLogger(__name__)


class FitConfig(Config):
    """How long and how fast a model learns."""

    steps: int = Field(ge=1)
    """Optimizer steps."""
    batch_size: int = Field(ge=1)
    """Samples of a step."""
    lr: float = Field(gt=0)
    """The learning rate at its highest; after the warm-up it falls to zero along a cosine."""
    warmup_steps: int = Field(default=200, ge=0)
    """Steps in which the learning rate rises from zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay, of matrices alone."""
    clip: float = Field(default=1.0, gt=0)
    """The largest norm of the gradient."""
    ema: float = Field(default=0.999, ge=0, lt=1)
    """How much of the running mean of the weights stays at each step; the mean is what is kept."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """What the forward pass computes in; weights are float32 in any case."""
    seed: int = Field(default=0, ge=0)
    """The seed of the weights and of every batch."""

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> "FitConfig":
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}, more than steps = {self.steps}; lower it")
        return self


@dataclass(frozen=True)
class Task:
    """What is learnt: a model, where its batches come from, and what they are worth."""

    name: str
    """Under which progress, curves and errors name it."""
    model: nn.Module
    """With its first weights; `fit` leaves the learnt ones in it."""
    draw: Callable[[int], Any]
    """The batch of a step, from nothing but the step's number; called in a thread while the model is busy."""
    loss: Callable[[Any], Mapping[str, Tensor]]
    """Of a batch: `loss`, which is minimised, and what else is worth a curve."""
    milestones: Mapping[int, Callable[[], None]] = field(default_factory=dict)
    """What to do once that many steps are done, with the running mean of the weights in the model."""
    split: Split | None = None
    """A batch in so many equal parts, for a loss that draws nothing at random: see `Lanes`."""


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def step_seed(seed: int, step: int) -> int:
    """One number from both, unlike for neighbours."""
    return (seed * 1_000_003 + step) * 2_654_435_761 % 2**63


def fit(task: Task, config: FitConfig, folder: Path) -> float:
    """Train the task's model, from `folder`'s checkpoint if a run left one; says how many seconds it took."""
    device = next(task.model.parameters()).device
    state = _State(task.model, config)
    state.load(folder / CHECKPOINT)
    saved = time.monotonic()
    started = saved - state.seconds
    bf16 = config.precision == "bf16"
    with (
        ThreadPoolExecutor(1) as ahead,
        Lanes(task.loss, task.split, state.parameters, device, bf16) as lanes,
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        progress_bar(task.name, config.steps * config.batch_size, state.step * config.batch_size) as bar,
    ):
        drawn = ahead.submit(task.draw, state.step)
        task.model.train()
        while state.step < config.steps:
            batch = drawn.result()
            if state.step + 1 < config.steps:
                drawn = ahead.submit(task.draw, state.step + 1)
            torch.manual_seed(step_seed(config.seed, state.step))
            terms = lanes.backward(batch)
            terms["gradient"] = state.update()
            bar.update(config.batch_size)
            if state.step % STEPS_BETWEEN_REPORTS == 0 or state.step == config.steps:
                curves.tell(task.name, state.step, _finite(task.name, state.step, terms) | {"lr": state.lr()})
            if state.step in task.milestones:
                with state.averaged():
                    task.milestones[state.step]()
            now = time.monotonic()
            if now - saved > SECONDS_BETWEEN_CHECKPOINTS or state.step == config.steps:
                _finite(task.name, state.step, terms)
                saved, state.seconds = now, now - started
                state.save(folder / CHECKPOINT)
    state.keep_average()
    task.model.eval()
    return state.seconds


def _finite(name: str, step: int, terms: Mapping[str, Tensor]) -> dict[str, float]:
    """The figures of one step; one that is no number ends the run before a checkpoint is made of it."""
    figures = {key: value.item() for key, value in terms.items()}
    for key, value in figures.items():
        if not math.isfinite(value):
            raise RglcdError(
                f"{name}: {key} is {value} at step {step}. The last checkpoint is from before; "
                "lower the learning rate, or set precision to fp32."
            )
    return figures


class _State:
    """All that changes while a model learns."""

    def __init__(self, model: nn.Module, config: FitConfig) -> None:
        self.model, self.config = model, config
        self.step = 0
        self.seconds = 0.0
        self.parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=config.lr, betas=(0.9, 0.99), fused=True
        )
        self.average = [p.detach().clone() for p in self.parameters]

    def lr(self) -> float:
        """Warm-up, then half a cosine down to zero."""
        warm = min(1.0, (self.step + 1) / max(1, self.config.warmup_steps))
        return self.config.lr * warm * 0.5 * (1 + math.cos(math.pi * self.step / self.config.steps))

    def update(self) -> Tensor:
        """One step along the gradient that the parameters have; its norm before it was clipped."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        # At first the mean follows quickly: the first weights are no better than chance.
        keep = min(self.config.ema, self.step / (self.step + 10))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - keep)
        return norm

    def averaged(self) -> "_Averaged":
        return _Averaged(self)

    @torch.no_grad()
    def keep_average(self) -> None:
        torch._foreach_copy_(self.parameters, self.average)

    def save(self, file: Path) -> None:
        with atomic_file(file) as opened:
            torch.save(
                {
                    "step": self.step,
                    "seconds": self.seconds,
                    "model": self.model.state_dict(),
                    "average": self.average,
                    "optimizer": self.optimizer.state_dict(),
                },
                opened,
            )

    def load(self, file: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        if not file.is_file():
            return
        try:
            saved = torch.load(file, map_location="cpu", weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            with torch.no_grad():
                torch._foreach_copy_(self.average, [a.to(self.average[0].device) for a in saved["average"]])
            self.step, self.seconds = saved["step"], saved["seconds"]
        except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise DataError(
                f"{file}: the checkpoint cannot be read ({first_line(error)}). Remove it to begin anew."
            ) from None
        logger.info("%s: going on from step %d of %d", file.parent.name, self.step, self.config.steps)


class _Averaged:
    """While inside, the model has the running mean of its weights and is in eval mode."""

    def __init__(self, state: _State) -> None:
        self.state = state

    @torch.no_grad()
    def __enter__(self) -> None:
        self.kept = [p.detach().clone() for p in self.state.parameters]
        self.state.keep_average()
        self.state.model.eval()

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        torch._foreach_copy_(self.state.parameters, self.kept)
        self.state.model.train()
