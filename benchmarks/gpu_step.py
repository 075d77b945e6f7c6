"""A step of the loop with its parts told to a clock; what it costs, and how large a batch can be."""

import gc
import sys
import warnings
from collections.abc import Callable, Mapping
from statistics import median
from time import monotonic
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_clock import Clock, FlopClock, clock_of
from benchmarks.gpu_models import Choice, Rig, pinned, schedule_of
from rglcd_pipelines.training.guide import RewardGuide
from rglcd_pipelines.training.lanes import Lanes
from rglcd_pipelines.training.learner import ADVICE
from rglcd_pipelines.training.step import Loss, Work
from rglcd_pipelines.training.update import Watch

PARTS = ("text", "target", "online", "reward", "backward", "optimizer")
"""In the order of a step; `reward` is decoding, scoring and the gradient of both."""


class Step:
    """What `StudentLearner.step` does, with a clock on its parts."""

    def __init__(self, rig: Rig, guide: RewardGuide | None, batch: int, clock: Clock) -> None:
        self.rig, self.clock = rig, clock
        read = rig.read(batch)
        self.read = pinned(read) if rig.device.type == "cuda" else read
        student, conditioner = rig.student, rig.conditioner
        # The networks themselves and no hooks, which torch.compile would see.
        told: Any = SimpleNamespace(
            online=clock.timed("online", student.online), target=clock.timed("target", student.target)
        )
        said: Any = SimpleNamespace(say=clock.timed("text", conditioner.say))
        pull: Any = None
        if guide:
            pull = SimpleNamespace(beta=guide.beta, pull=clock.timed("reward", guide.pull))
        self.loss = Loss(told, said, rig.solver, "huber", pull)
        self.watch = Watch([*self.loss.terms, "gradient"], rig.device, ADVICE)
        self.lanes = Lanes(self._loss, None, student.trained, rig.device, bf16=True, together=False)

    def _loss(self, work: Work) -> Mapping[str, Tensor]:
        terms = self.loss(work)
        self.clock.begin("backward")
        return terms

    def backward(self) -> dict[str, Tensor]:
        work = self.rig.take(self.read)
        terms = self.lanes.backward(work)
        self.clock.end("backward")
        return terms

    def __call__(self) -> None:
        update, student = self.rig.update, self.rig.student
        with self.clock.part("step"):
            terms = self.backward()
            with self.clock.part("optimizer"):
                terms["gradient"] = update.clip()
                update.step(0, self.watch.see(0, terms))
                student.follow(0.95)


def flops(pixels: str, small: bool, batch: int = 2) -> dict[str, float]:
    """Of each part for one image: no weights are there, and nothing is computed.

    What gradient checkpointing computes again is not counted, and neither is what fused attention does.
    """
    schedule_of(pixels)  # it looks at its numbers, which have to be there
    _forget()
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # copying a model looks where its numbers lie
            FakeTensorMode(allow_non_fake_inputs=True),
            patch.object(torch.nn.Module, "_apply", _as_it_is),
            sdpa_kernel(SDPBackend.MATH),
        ):
            rig = Rig(pixels, small, Choice(channels_last=False, reward_part=batch), torch.device("cpu"))
            guide = rig.guide()
            with FlopCounterMode(display=False) as counter:
                clock = FlopClock(counter)
                Step(rig, guide, batch, clock).backward()
                found = clock.take()
    finally:
        _forget()
    return {name: sum(each) / batch for name, each in found.items()}


def _forget() -> None:
    """Empty our caches: a tensor without numbers must not stay in one, nor one with numbers be counted on."""
    for name, module in list(sys.modules.items()):
        if name.startswith("rglcd_pipelines."):
            for value in list(vars(module).values()):
                if clear := getattr(value, "cache_clear", None):
                    clear()


def _as_it_is(module: torch.nn.Module, *_: Any, **__: Any) -> torch.nn.Module:
    """In place of moving weights: those that are not there cannot be moved, and are where they should be."""
    return module


def measure(rig: Rig, guide: RewardGuide | None, batch: int, warm: int, steps: int) -> dict[str, float]:
    """Images a second, milliseconds an image of each part, and what memory it takes."""
    clock = clock_of(rig.device)
    step = Step(rig, guide, batch, clock)
    for _ in range(warm):
        step()
    clock.take()
    if rig.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(steps):
        step()
    found = clock.take()
    step.watch.check("this is a measurement")
    whole = median(found["step"]) / batch
    figures = {"batch": batch, "images_per_second": 1000 / whole, "ms": whole}
    figures |= {f"{part}_ms": median(found[part]) / batch for part in PARTS if part in found}
    if rig.device.type == "cuda":
        figures["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return figures


def fits(rig: Rig, guide: RewardGuide | None, batch: int) -> bool:
    """Whether there is memory for a step of such a batch."""
    fitted = _tried(Step(rig, guide, batch, Clock()))
    rig.update.optimizer.zero_grad(set_to_none=True)
    free()
    return fitted


def _tried(step: Step) -> bool:
    try:
        step()
        if step.rig.device.type == "cuda":
            torch.cuda.synchronize()
    except torch.OutOfMemoryError:
        return False
    except RuntimeError as error:  # libraries of CUDA say it in words of their own
        if not any(word in str(error) for word in ("out of memory", "ALLOC_FAILED", "CUDNN_STATUS")):
            raise
        return False
    return True


def free() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def largest(
    fit: Callable[[int], bool], known: int, most: int, deadline: float, now: Callable[[], float] = monotonic
) -> tuple[int, bool]:
    """The largest batch up to `most` that fits, as near as a sixteenth, and whether there was time for that.

    `known` fits: doubled until one does not, then halved between.
    """
    low, high = known, None
    while low < most if high is None else high - low > max(1, low // 16):
        if now() >= deadline:
            return low, False
        probe = min(2 * low, most) if high is None else (low + high) // 2
        if fit(probe):
            low = probe
        else:
            high = probe
    return low, True
