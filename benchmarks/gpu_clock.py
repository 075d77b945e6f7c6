"""What the parts of a step cost: milliseconds on a GPU or a CPU, or floating-point operations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


class Clock:
    """Notes when parts begin and end, and reads none of it before it is asked."""

    def __init__(self) -> None:
        self._open: dict[str, Any] = {}
        self._spans: list[tuple[str, Any, Any]] = []

    def mark(self) -> Any:
        """Now; in seconds of this machine."""
        return perf_counter()

    def between(self, begin: Any, end: Any) -> float:
        """What lies between two marks, here milliseconds."""
        return 1000 * (end - begin)

    def begin(self, name: str) -> None:
        self._open[name] = self.mark()

    def end(self, name: str) -> None:
        self._spans.append((name, self._open.pop(name), self.mark()))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self.begin(name)
        yield
        self.end(name)

    def timed(self, name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        """`do`, as a part of that name."""

        def told(*args: Any, **named: Any) -> Any:
            with self.part(name):
                return do(*args, **named)

        return told

    def take(self) -> dict[str, list[float]]:
        """Each part's cost each time, and begin anew."""
        found: dict[str, list[float]] = {}
        for name, begin, end in self._spans:
            found.setdefault(name, []).append(self.between(begin, end))
        self._spans = []
        return found


class GpuClock(Clock):
    """Marks are events in the GPU's own queue, so that noting them makes nobody wait."""

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, begin: torch.cuda.Event, end: torch.cuda.Event) -> float:
        return begin.elapsed_time(end)

    def take(self) -> dict[str, list[float]]:
        torch.cuda.synchronize()
        return super().take()


class FlopClock(Clock):
    """Floating-point operations of matrix products, convolutions and attention."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()
        self.counter = counter

    def mark(self) -> int:
        return self.counter.get_total_flops()

    def between(self, begin: int, end: int) -> float:
        return float(end - begin)


def clock_of(device: torch.device) -> Clock:
    return GpuClock() if device.type == "cuda" else Clock()
