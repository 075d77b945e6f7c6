"""What is measured on pixels alone, with nothing learnt: contrast, colourfulness, sharpness, noise.

All take images [B, 3, H, W] in [0, 1]. None says by itself what is good: `expected.py` knows what a render of
the caption measures, and `taste.py` what a difference costs.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

OUTLINES = (0.15, 0.35)
"""Cycles a pixel in which outlines have their energy; more than half of white noise's lies above."""

QUIET_SHARE = 0.3
"""The share of an image's places that hold neither outline nor texture, in most renders."""


class Figures(NamedTuple):
    """What `measure` reads from each image of a batch."""

    contrast: Tensor
    """The standard deviation of lightness, whose range is 0 to 100."""
    chroma: Tensor
    """The mean distance of a pixel's colour from the grey of its lightness: 0 is grey, pure red 105."""
    sharpness: Tensor
    """The share of outlines in all that is not finer than they, of amplitudes; contrast does not matter."""
    quiet_noise: Tensor
    """About the sigma of white noise, where an image is quietest."""
    noise: Tensor
    """The same anywhere, textures and corners included."""


def measure(images: Tensor) -> Figures:
    lightness, *colour = lab(images).unbind(1)
    quiet_noise, noise = _noise(images)
    return Figures(
        contrast=lightness.flatten(1).std(1),
        chroma=torch.hypot(*colour).flatten(1).mean(1),
        sharpness=_sharpness(images),
        quiet_noise=quiet_noise,
        noise=noise,
    )


def lab(images: Tensor) -> Tensor:
    """sRGB as CIELAB (D65), as `vocabulary.lab` has it for one colour."""
    bright = ((images.clamp(min=0) + 0.055) / 1.055) ** 2.4
    linear = torch.where(images * 255 <= 10.3, images * (255 / 3294.6), bright)
    to_xyz = linear.new_tensor(
        [
            [0.4124 / 0.9505, 0.3576 / 0.9505, 0.1805 / 0.9505],
            [0.2126, 0.7152, 0.0722],
            [0.0193 / 1.089, 0.1192 / 1.089, 0.9505 / 1.089],
        ]
    )
    xyz = torch.einsum("ij,bjhw->bihw", to_xyz, linear)
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp(min=1e-4) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _sharpness(images: Tensor) -> Tensor:
    centred = images - images.mean((-2, -1), keepdim=True)
    energy = torch.fft.fft2(centred, norm="forward").abs().square().sum(1)
    y, x = (torch.fft.fftfreq(side, device=images.device) for side in images.shape[-2:])
    at = torch.hypot(y[:, None], x[None, :])
    coarse = (energy * (at < OUTLINES[0])).sum((-2, -1))
    outlines = (energy * ((at >= OUTLINES[0]) & (at < OUTLINES[1]))).sum((-2, -1))
    return (outlines / (coarse + outlines).clamp(min=1e-8)).sqrt()


def _noise(images: Tensor) -> tuple[Tensor, Tensor]:
    """The mean answer of a filter that is deaf to surfaces, ramps and straight edges (Immerkær 1996)."""
    channels = images.shape[1]
    kernel = images.new_tensor([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
    answer = F.conv2d(images, kernel.expand(channels, 1, 3, 3), groups=channels).abs().mean(1).flatten(1)
    answer = answer * math.sqrt(
        math.pi / 2
    )  # from a mean absolute value to the sigma of a normal distribution
    quiet = answer.kthvalue(max(1, round(QUIET_SHARE * answer.shape[1])), dim=1).values
    return quiet, answer.mean(1)
