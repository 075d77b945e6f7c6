"""Features as somebody else would write them."""

import torch
from torch import Tensor


class Colours:
    """The mean of each channel."""

    def __init__(self, device: torch.device, of: float = 1.0) -> None:
        self.name, self.device, self.of = "colours", device, of
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape))
        return self.of * images.to(self.device).float().mean((2, 3))


class Nameless:
    def __init__(self, device: torch.device) -> None:
        self.device = device
