"""Rewards that go wrong."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor


class Bad:
    """Brightness, whose score or gradient is no number once it was asked `after` times."""

    name, differentiable = "bad", True

    def __init__(self, device: torch.device, bad: str, after: int) -> None:
        self.device, self.bad, self.after, self.asked = device, bad, after, 0

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        assert len(images) == len(captions)
        self.asked += 1
        bright = images.mean((1, 2, 3))
        if self.asked <= self.after:
            return bright
        return bright * float("nan") if self.bad == "score" else bright + 0 * (bright * 0).sqrt()


class Blind:
    """It can be asked, but not followed."""

    name, differentiable = "blind", False

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        return torch.zeros(len(captions)).to(images)


class Deadly:
    """Brightness, until the process of rank 1 has been asked `after` times: it dies as if killed."""

    name, differentiable = "deadly", True

    def __init__(self, device: torch.device, after: int, once: str) -> None:
        self.device, self.after, self.once, self.asked = device, after, Path(once), 0

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        assert len(images) == len(captions)
        self.asked += 1
        if self.asked > self.after and os.environ.get("RANK") == "1" and not self.once.exists():
            self.once.touch()
            os._exit(9)
        return images.mean((1, 2, 3))


class Slow:
    """Brightness, looked at for a while."""

    name, differentiable = "slow", True

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.device, self.seconds = device, seconds

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        assert len(images) == len(captions)
        time.sleep(self.seconds)
        return images.mean((1, 2, 3))
