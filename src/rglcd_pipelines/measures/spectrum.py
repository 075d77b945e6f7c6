"""How a picture's energy is spread over frequencies: where over-optimised students put their noise.

Frequencies are in cycles a pixel: 0.5 is a pixel black and the next one white.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from rglcd_pipelines.measures.pixels import luma

ABOVE = 0.25
"""Half of the highest frequency along a row: what is finer than four pixels."""
LOWEST = 3
"""The slope begins at so many cycles over the shorter side: what is slower is smeared by the window."""
HIGHEST = 0.5
"""Beyond it only the corners of the spectrum are left, and not all directions."""
RINGS_AN_OCTAVE = 4
SMALLEST = 16
"""The least side that has enough rings for a slope."""
FLOOR = 1e-10
"""Power that is not seen: far below the 1e-6 that rounding to 8 bits leaves."""


def high_frequency(images: Tensor, above: float = ABOVE) -> Tensor:
    """[B]: the mean power a pixel of luma at |f| > `above`; over all of f != 0 it is luma's variance.

    No window is laid over the picture, or energies would not add up to the variance. The jump from one border
    to the opposite one thus counts as an edge: 4 % of the energy of the miniature world's renders.
    """
    power, frequency = _power(luma(images))
    return (power * (frequency > above)).sum((-2, -1))


def high_frequency_share(images: Tensor, above: float = ABOVE) -> Tensor:
    """[B]: that energy as a share of luma's variance: contrast does not count. A flat picture has 0."""
    power, frequency = _power(luma(images))
    fine = (power * (frequency > above)).sum((-2, -1))
    total = (power * (frequency > 0)).sum((-2, -1))
    return torch.where(total > FLOOR, fine / total.clamp_min(FLOOR), 0.0)


def spectral_slope(images: Tensor) -> Tensor:
    """[B]: the slope of log power against log |f|: 0 of white noise, -1 of pink, about -2 of photographs.

    Power is averaged over rings of equal width in log |f|, each of which counts the same. A Hann window fades
    the borders out first: the jump from one border to the opposite one would put power ~ f^-2 on the axes and
    flatten whatever is steeper. A flat picture has no slope and gets 0.
    """
    height, width = images.shape[-2:]
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"pictures of {width}×{height} have no slope; give at least {SMALLEST} pixels a side"
        )
    bright = luma(images)
    window = _hann(height, width, bright)
    centred = bright - (bright * window).sum((-2, -1), keepdim=True) / window.sum()
    power, _ = _power(centred * window)
    rings, at = (table.to(bright.device) for table in _rings(height, width))
    x = at - at.mean()
    return (power.flatten(1) @ rings).clamp_min(FLOOR / (height * width)).log() @ x / x.square().sum()


def _power(values: Tensor) -> tuple[Tensor, Tensor]:
    """Of [B, H, W]: the power [B, H, W] of each frequency, whose sum is the mean square, and |f| [H, W]."""
    power = torch.fft.fft2(values, norm="forward").abs().square()
    return power, _frequency(*values.shape[-2:]).to(values.device)


def _frequency(height: int, width: int) -> Tensor:
    y, x = (torch.fft.fftfreq(side) for side in (height, width))
    return torch.hypot(y[:, None], x[None, :])


def _hann(height: int, width: int, like: Tensor) -> Tensor:
    down, across = (torch.hann_window(side, device=like.device) for side in (height, width))
    return down[:, None] * across[None, :]


@lru_cache(maxsize=4)
def _rings(height: int, width: int) -> tuple[Tensor, Tensor]:
    """The weights [H·W, R] that average power over each ring, and the mean log |f| [R] of each.

    Rings in which a small picture has no frequency are left out.
    """
    lowest = LOWEST / min(height, width)
    count = round(RINGS_AN_OCTAVE * math.log2(HIGHEST / lowest))
    log = _frequency(height, width).flatten().clamp_min(1e-6).log()
    ring = ((log - math.log(lowest)) / math.log(HIGHEST / lowest) * count).floor()
    members = (ring[:, None] == torch.arange(count)).float()
    members = members[:, members.sum(0) > 0]
    weights = members / members.sum(0)
    return weights, log @ weights
