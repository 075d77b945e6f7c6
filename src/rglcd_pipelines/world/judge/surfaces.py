"""The object's and the background's colours, measured where a render of the scene would have them."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.world.batches import unit
from rglcd_pipelines.world.icons import icon
from rglcd_pipelines.world.judge.measures import lab
from rglcd_pipelines.world.render import UNIT, under_colour
from rglcd_pipelines.world.scenes import MAX_SHIFT, Scene
from rglcd_pipelines.world.vocabulary import COLOURS, SIZES

CORE = 0.7
"""The object's pixels are those that its layer covers this much, as a share of the most it covers anywhere.
Thin lines cover no pixel wholly; there the mixed colour is compared with a render's mixed colour."""

OBJECT_SHARE, BACKGROUND_SHARE = 0.5, 0.75
"""How many of their pixels count, the best first: an outline that is drawn otherwise is no wrong colour."""

NEVER = 1e9


class Layers(NamedTuple):
    """What scenes are painted from: flat sRGB colours [B, 3, 1, 1] in [0, 1], and where each layer lies."""

    background: Tensor
    under: Tensor
    over: Tensor
    coverage: Tensor
    """[B, 2, H + 2m, W + 2m]: how much of each pixel is under and over; the margin m is for moving them."""


class Surfaces(NamedTuple):
    """What `survey` reads from each image of a batch, all in CIELAB."""

    object_distance: Tensor
    """From the object's colour to what it should be."""
    background: Tensor
    """[B, 3]: the background's mean colour."""
    background_spread: Tensor
    """How much hue and saturation vary over the background: noise and stains do that, textures hardly."""


def layers_of(scenes: Sequence[Scene], resolution: int, device: torch.device) -> Layers:
    colours = [
        (
            COLOURS[s.background_colour],
            under_colour(s.style, s.colour, s.background_colour),
            COLOURS[s.colour],
        )
        for s in scenes
    ]
    background, under, over = (torch.tensor(colours, device=device) / 255)[..., None, None].unbind(1)
    masks = np.stack([_field(s.style, s.noun, s.size, resolution) for s in scenes])
    return Layers(background, under, over, unit(torch.from_numpy(masks).to(device)))


@cache
def _field(style: str, noun: str, size: str, resolution: int) -> np.ndarray:
    """The icon's two layers in the middle of an empty field with the margin."""
    mask = icon(style, noun, round(SIZES[size] * resolution))
    margin = round(MAX_SHIFT * resolution / UNIT)
    field = np.zeros((2, resolution + 2 * margin, resolution + 2 * margin), np.uint8)
    top, left = (margin + (resolution - length) // 2 for length in mask.shape[1:])
    field[:, top : top + mask.shape[1], left : left + mask.shape[2]] = mask
    return field


def paint(layers: Layers, x: int, y: int, resolution: int) -> tuple[Tensor, Tensor]:
    """The layers' coverage with the object off the middle by x and y, and the scene without its texture."""
    margin = (layers.coverage.shape[-1] - resolution) // 2
    left, top = (margin - round(shift * resolution / UNIT) for shift in (x, y))
    coverage = layers.coverage[..., top : top + resolution, left : left + resolution]
    return coverage, layers.background.lerp(layers.under, coverage[:, :1]).lerp(layers.over, coverage[:, 1:])


def fit(images: Tensor, layers: Layers) -> tuple[Tensor, Tensor]:
    """What `paint` gives where each image has its object: captions leave the place open.

    Only how far pixels are from the colour along the image's border counts: neither a wrong background nor
    a rim that happens to have the object's colour must lead astray.
    """
    resolution = images.shape[-1]
    apart = (images - _border(images)).norm(dim=1, keepdim=True)
    best = torch.full((len(images), 1, 1, 1), -1.0, device=images.device)
    coverage, scene = paint(layers, 0, 0, resolution)
    steps = range(-MAX_SHIFT, MAX_SHIFT + 1)
    for x, y in ((x, y) for x in steps for y in steps):
        there, painted = paint(layers, x, y, resolution)
        overlap = (apart * there.amax(1, keepdim=True)).sum((1, 2, 3), keepdim=True)
        better = overlap > best
        best = torch.where(better, overlap, best)
        coverage, scene = torch.where(better, there, coverage), torch.where(better, painted, scene)
    return coverage, scene


def _border(images: Tensor) -> Tensor:
    """[B, 3, 1, 1]: the median along all four sides, where most is background even if the object is large."""
    sides = [images[..., :2, :], images[..., -2:, :], images[..., :, :2], images[..., :, -2:]]
    return torch.cat([side.flatten(2) for side in sides], dim=2).median(dim=2).values[..., None, None]


def survey(images: Tensor, coverage: Tensor, scene: Tensor, layers: Layers) -> Surfaces:
    over = coverage[:, 1:]
    core = over >= CORE * over.amax((-2, -1), keepdim=True)
    # Beside the object a decoder mixes its colour in.
    bare = F.max_pool2d(coverage.amax(1, keepdim=True), 3, stride=1, padding=1) < 0.02
    seen, wanted = lab(images), lab(scene)
    object_pixels = _nearest(seen, wanted, core, OBJECT_SHARE)
    background_pixels = _nearest(seen, lab(layers.background), bare, BACKGROUND_SHARE)
    background = _mean(seen, background_pixels)
    deviation = (seen - background[..., None, None])[:, 1:].square().sum(1, keepdim=True)
    return Surfaces(
        object_distance=_mean(seen - wanted, object_pixels).norm(dim=1),
        background=background,
        background_spread=_mean(deviation, background_pixels).sqrt().squeeze(1),
    )


def _nearest(seen: Tensor, wanted: Tensor, where: Tensor, share: float) -> Tensor:
    """Which pixels are the nearest to what is wanted, a share of those that `where` marks."""
    apart = torch.where(where, (seen - wanted).norm(dim=1, keepdim=True), NEVER)
    count = (where.sum((-2, -1)) * share).long().clamp(min=1)
    limit = apart.flatten(2).sort(dim=2).values.gather(2, count[..., None] - 1)
    return where & (apart <= limit[..., None])


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """[B, C]: over the marked pixels."""
    return (values * where).sum((-2, -1)) / where.sum((-2, -1)).clamp(min=1)
