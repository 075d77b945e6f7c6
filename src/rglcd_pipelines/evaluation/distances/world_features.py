"""What fid-mini looks at: what pictures of the miniature world show, and how their surfaces are.

One part is the trunk of one of the gold judge's classifiers, which learnt from renders and what they show.
No reward has it in it, and it knows no preferences; but the people from whose preferences the rewards learnt
were told by the same judge what a picture shows. The other part is arithmetic. Neither can do it alone: the
trunk learnt to overlook noise and blur (white noise of sigma 0.05 adds a tenth to its distance), and fixed
filters overlook what is drawn (to them, half of the nouns missing is a fiftieth of that noise).

Measured with 640 held-out renders against 3,000 others, in percent of the reference's variance, as a multiple
of the 1.9 that 640 good renders have because they are few:

    white noise     .01 1.1   .02 1.4   .05 3.7   .1 10.8
    blur, sigma     .3 1.1    .5 1.6    .7 2.6    1 5.4
    JPEG            95 1.5    75 2.4    50 3.4    25 4.5
    less saturated  10% 1.1   25% 1.6   50% 4.3
    nouns missing   25% 1.5   50% 2.6   75% 5.2   92% 14.5
    no thin style 3.1    no plain backgrounds 2.1    no red objects 1.9    the autoencoder and back 1.07

Random convolutional networks, histograms of gradients and pooled pixels were measured too; each overlooked
either noise or nouns.
"""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.rewards.precision import float32
from rglcd_pipelines.world.judge.classifier import Classifier
from rglcd_pipelines.world.judge.judge import Judge

SHOWN_WEIGHT, SURFACE_WEIGHT = 2.6, 5.4
"""They give what is shown 80 of the 100 that all features of renders vary by, and surfaces 20."""
SCALES = 3
GAIN = 5.0
"""Answers beyond 1 / GAIN count by their logarithm: edges are few and strong, and textures many and weak."""
OPPONENT = ((1, 1, 1), (1, -1, 0), (1, 1, -2))
"""Brightness, red against green, and yellow against blue."""


class WorldFeatures:
    """170 numbers a picture."""

    name = "world"

    def __init__(self, trunk: Classifier, resolution: int, device: torch.device) -> None:
        self.trunk = trunk.to(device).eval()
        self.resolution, self.device = resolution, device
        self.patterns = patterns().to(device)

    @classmethod
    def load(cls, judge: str | Path, device: torch.device) -> "WorldFeatures":
        """From the folder of the miniature world's judge."""
        loaded = Judge.load(Path(judge), device)
        return cls(loaded.members[0], loaded.resolution, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        side = self.resolution
        if images.shape[1:] != (3, side, side):
            raise DataError(
                f"The miniature world's features are of pictures [B, 3, {side}, {side}], not "
                f"{list(images.shape)}. For others, set evaluate.features.kind to inception."
            )
        with float32(self.device):
            unit = images.to(self.device).float() / 255
            return torch.cat([SHOWN_WEIGHT * self._shown(unit), SURFACE_WEIGHT * self._surfaces(unit)], dim=1)

    def _shown(self, images: Tensor) -> Tensor:
        """[B, 128]: the trunk's channels, averaged over the picture."""
        x = F.pixel_unshuffle(images * 2 - 1, 2)
        return self.trunk.body(self.trunk.stem(x)).mean((-2, -1))

    def _surfaces(self, images: Tensor) -> Tensor:
        """[B, 42]: how strongly each pattern answers on average, at full, half and quarter size."""
        answers: list[Tensor] = []
        for _ in range(SCALES):
            found = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), self.patterns)
            answers.append(torch.log1p(GAIN * found.abs()).mean((-2, -1)))
            images = F.avg_pool2d(images, 2)
        return torch.cat(answers, dim=1)


def patterns() -> Tensor:
    """[14, 3, 3, 3]: all cosines of three by three pixels in brightness, and the three coarsest in colour."""
    at = torch.arange(3)
    waves = F.normalize(torch.cos(math.pi / 3 * (at + 0.5) * at[:, None]), dim=1)
    squares = torch.einsum("iy,jx->ijyx", waves, waves)
    bright, *colours = F.normalize(torch.tensor(OPPONENT, dtype=torch.float32), dim=1)[:, :, None, None]
    fine = squares.flatten(0, 1)[1:]
    coarse = torch.stack([squares[0, 1], squares[1, 0], squares[1, 1]])
    parts = [fine[:, None] * bright, *(coarse[:, None] * colour for colour in colours)]
    return torch.cat(parts)
