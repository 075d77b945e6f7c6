"""Features of a few lines, for tests."""

import torch
from torch import Tensor


class Colours:
    """The mean and the deviation of red, green and blue."""

    name = "colours"

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, images: Tensor) -> Tensor:
        values = images.float().flatten(2) / 255
        return torch.cat([values.mean(2), values.std(2)], 1)
