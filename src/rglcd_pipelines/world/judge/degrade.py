"""Renders made worse at random, as a decoder, a sampler or a camera might: what the judge learns from.

Nothing here changes what a person would call the object or its colour. Every image has a strength of its own
for every fault. The numbers come from torch's default generator, which `fit` seeds anew at each step.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

SHARE = 0.6
"""How many images of a batch are degraded at all."""

EACH = 0.35
"""How probable each fault is in an image that is."""

BLOCK = 8
"""The side of the squares that JPEG compresses one by one."""


def degrade(images: Tensor, share: float = SHARE) -> Tensor:
    """Images in [0, 1], of which a share now has faults."""
    chosen = (torch.rand(len(images), device=images.device) < share).nonzero().flatten()
    if not len(chosen):  # a Fourier transform of no image is an error
        return images
    worse = images[chosen]
    for fault in FAULTS:
        worse = fault(worse)
    return images.index_copy(0, chosen, worse.clamp(0, 1))


def warp(images: Tensor) -> Tensor:
    """Moved, scaled and wobbly: the shapes that a small diffusion model draws are never exact."""
    count, _, height, width = images.shape
    zoom = 1 + _strength(images, 0.12) * _sign(images)
    shift = _strength(images, 2.0) * (2 * torch.rand(count, 1, 1, 2, device=images.device) - 1)
    wobble = torch.randn(count, 2, 5, 5, device=images.device) * _strength(images, 0.8)
    field = F.interpolate(wobble, (height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    y, x = ((torch.arange(n, device=images.device) + 0.5) * (2 / n) - 1 for n in (height, width))
    grid = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1)
    # Lengths of the grid count from -1 to 1; the faults' strengths are in 32nds of the side.
    grid = grid * zoom + (shift + field) / 16
    return F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)


def blur(images: Tensor) -> Tensor:
    """A Gaussian blur, as a product in the space of frequencies: each image has a width of its own."""
    margin = 4
    padded = F.pad(images, (margin,) * 4, mode="replicate")
    height, width = padded.shape[-2:]
    y, x = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    squared = (y[:, None] ** 2 + x[None, :] ** 2).to(images.device)
    kept = torch.exp(-2 * (math.pi * _strength(images, 1.3)) ** 2 * squared)
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * kept, s=(height, width))
    return blurred[..., margin:-margin, margin:-margin]


def shrink(images: Tensor) -> Tensor:
    """Made smaller and large again; how small is the batch's, how much of it is seen each image's."""
    factor = 0.4 + 0.4 * torch.rand(()).item()
    small = [round(side * factor) for side in images.shape[-2:]]
    shrunk = F.interpolate(images, small, mode="bilinear", antialias=True)
    return images.lerp(F.interpolate(shrunk, images.shape[-2:], mode="bicubic"), _strength(images, 1.0))


def tint(images: Tensor) -> Tensor:
    """Gamma, contrast, saturation, brightness and hue, by less than what gives a colour another name."""
    images = images.clamp(1e-3, 1) ** _factor(images, 1.3)
    mean = images.mean((-3, -2, -1), keepdim=True)
    images = mean + (images - mean) * _factor(images, 1.7)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * _factor(images, 1.7)
    images = images + _strength(images, 0.1) * _sign(images)
    return turn_hue(images, _strength(images, 0.1) * _sign(images))


def turn_hue(images: Tensor, angle: Tensor) -> Tensor:
    """A rotation about the axis of greys, by an angle in radians (Rodrigues' formula)."""
    red, green, blue = images.unbind(1)
    across = torch.stack([blue - green, red - blue, green - red], dim=1) / math.sqrt(3)
    along = images.mean(1, keepdim=True)
    return along + (images - along) * torch.cos(angle) + across * torch.sin(angle)


def grain(images: Tensor) -> Tensor:
    """Noise from pixel to pixel, and noise in blotches, each more or less coloured."""
    height, width = images.shape[-2:]
    for coarseness, sigma in ((1, 0.15), (2, 0.15), (4, 0.1)):
        noise = torch.randn_like(images[..., ::coarseness, ::coarseness])
        noise = noise.mean(1, keepdim=True).lerp(noise, _uniform(images))
        noise = F.interpolate(noise, (height, width), mode="bilinear")
        images = images + noise * _strength(images, sigma)
    return images


def compress(images: Tensor) -> Tensor:
    """JPEG's loss: cosines of small squares, rounded the more coarsely the finer they are."""
    count, channels, height, width = images.shape
    index = torch.arange(BLOCK, device=images.device)
    cosines = torch.cos(math.pi / BLOCK * (index + 0.5) * index[:, None]) * math.sqrt(2 / BLOCK)
    cosines[0] /= math.sqrt(2)
    squares = images.reshape(count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4)
    steps = (_strength(images, 0.3)[..., None, None] * (0.3 + (index + index[:, None]) / 4)).clamp(min=1e-4)
    coefficients = (cosines @ squares @ cosines.T / steps).round() * steps
    return (cosines.T @ coefficients @ cosines).transpose(3, 4).reshape(images.shape)


FAULTS: tuple[Callable[[Tensor], Tensor], ...] = (warp, blur, shrink, tint, grain, compress)
"""In the order in which a picture suffers them."""


def _uniform(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device)


def _sign(images: Tensor) -> Tensor:
    return (_uniform(images) < 0.5).float() * 2 - 1


def _strength(images: Tensor, most: float) -> Tensor:
    """Zero where the fault is absent, else up to `most`; weak faults are more frequent than strong ones."""
    return (_uniform(images) < EACH) * most * _uniform(images) ** 1.5


def _factor(images: Tensor, most: float) -> Tensor:
    """One where the fault is absent, else from 1/most to most."""
    return torch.exp(_strength(images, math.log(most)) * _sign(images))
