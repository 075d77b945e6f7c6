"""An expert of somebody else's: it can be asked, but not followed."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Warmth:
    """How much redder than blue a picture is, counted by numpy and so in doubles."""

    name, differentiable = "warmth", False

    def __init__(self, device: torch.device, of: float = 1.0) -> None:
        self.device, self.of = device, of

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        assert len(images) == len(captions)
        colours = images.numpy().astype(np.float64).mean((2, 3))
        return torch.from_numpy(self.of * (colours[:, 0] - colours[:, 2]))
