"""A small classifier that reads every attribute of a scene from 32 by 32 pixels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rglcd_pipelines.world.vocabulary import ATTRIBUTES

GROUPS = 8


class Classifier(nn.Module):
    """A residual network without batch statistics, so that the mean of its weights is a model too."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Four pixels become one place with twelve channels: nothing is lost, and the rest costs a quarter.
        self.stem = nn.Conv2d(12, width, 3, padding=1)
        self.body = nn.Sequential(
            _Block(width),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            _Block(2 * width),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            _Block(4 * width),
            nn.GroupNorm(GROUPS, 4 * width),
            nn.SiLU(),
        )
        self.head = nn.Linear(8 * width, sum(len(values) for values in ATTRIBUTES.values()))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images in [0, 1] to logits of each attribute."""
        x = F.pixel_unshuffle(images * 2 - 1, 2).contiguous(memory_format=torch.channels_last)
        x = self.body(self.stem(x))
        logits = self.head(torch.cat([x.mean((-2, -1)), x.amax((-2, -1))], dim=1)).float()
        parts = logits.split([len(values) for values in ATTRIBUTES.values()], dim=1)
        return dict(zip(ATTRIBUTES, parts, strict=True))


class _Block(nn.Module):
    """Two convolutions beside the way around them; a norm before each would take a third of the time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.GroupNorm(GROUPS, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)
