"""What every reward model is to those who use it."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Reward(Protocol):
    """How well pictures and their captions please somebody."""

    @property
    def name(self) -> str:
        """Under which it is logged."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether gradients of the score reach the images."""
        ...

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        """Of [B, 3, H, W] float images in [0, 1] and B captions: [B], float32, higher is better."""
        ...
