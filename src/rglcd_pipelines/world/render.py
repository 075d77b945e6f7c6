"""From scenes to pictures: an icon laid over a background, at any resolution in the same proportions."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rglcd_pipelines.world.icons import icon
from rglcd_pipelines.world.scenes import MAX_SHIFT, Scene
from rglcd_pipelines.world.vocabulary import COLOURS, PALER, RGB, SIZES, STYLES, lab

UNIT = 32
"""Lengths below are for an image of 32 by 32 and grow with it."""

MIN_RESOLUTION = 16

# How often a texture repeats; both of its shades are wide enough to be seen and narrow enough to be lost.
PERIOD = {"striped": 8.0, "checked": 8.0, "dotted": 6.0}
DOT_RADIUS = 1.5
TEXTURE_STEP = 0.16
GRADIENT_STEP = 0.25
"""How far the two shades of a background lie from its colour: towards white and towards black."""

INKS: tuple[RGB, ...] = ((24, 24, 28), (248, 248, 248), (128, 128, 128))
"""What the rim of the cartoon style may be drawn with."""

Pixels = NDArray[np.uint8]


def render(scene: Scene, resolution: int = UNIT) -> Pixels:
    """The picture as [y, x, channel]."""
    return render_batch([scene], resolution)[0]


def render_batch(scenes: Sequence[Scene], resolution: int = UNIT) -> Pixels:
    """The pictures as [scene, y, x, channel]."""
    if resolution < MIN_RESOLUTION:
        raise ValueError(f"resolution {resolution}: nothing can be recognised below {MIN_RESOLUTION}")
    alpha = np.zeros((2, len(scenes), resolution, resolution, 1), np.uint8)
    canvas = np.empty((len(scenes), resolution, resolution, 3), np.float32)
    margin = _offset(MAX_SHIFT, resolution)
    for index, scene in enumerate(scenes):
        x, y = _offset(scene.shift_x, resolution), _offset(scene.shift_y, resolution)
        mask = icon(scene.style, scene.noun, round(SIZES[scene.size] * resolution))
        rows, columns = _place(mask.shape[1], y, resolution), _place(mask.shape[2], x, resolution)
        alpha[:, index, rows, columns, 0] = mask
        # The texture moves with the object, so that no pixel always has the same shade.
        background = _background(scene.background, scene.background_colour, resolution)
        canvas[index] = background[margin - y :, margin - x :][:resolution, :resolution]
    colours = [
        [under_colour(s.style, s.colour, s.background_colour) for s in scenes],
        [COLOURS[s.colour] for s in scenes],
    ]
    for layer in range(2):
        colour = np.asarray(colours[layer], np.float32)[:, None, None, :]
        canvas += (colour - canvas) * (alpha[layer] * np.float32(1 / 255))
    return (canvas + 0.5).astype(np.uint8)


@cache
def under_colour(style: str, colour: str, background_colour: str) -> RGB:
    """What the lower layer is drawn with: the cartoon's rim, or the paler body of the two-tone style."""
    rgb = COLOURS[colour]
    if STYLES[style].rim:
        others = [lab(rgb)[0], lab(COLOURS[background_colour])[0]]
        return max(INKS, key=lambda ink: min(abs(lab(ink)[0] - lightness) for lightness in others))
    return _mix(rgb, *PALER.get(colour, (255, 0.4)))


@cache
def _background(kind: str, colour: str, resolution: int) -> NDArray[np.float32]:
    """One background, with a margin on each side for the scene's shift."""
    margin = _offset(MAX_SHIFT, resolution)
    side = resolution + 2 * margin
    step = GRADIENT_STEP if kind == "gradient" else TEXTURE_STEP
    light, dark = (np.asarray(_mix(COLOURS[colour], to, step), np.float32) for to in (255, 0))
    if kind == "plain":
        return np.broadcast_to(np.asarray(COLOURS[colour], np.float32), (side, side, 3))
    if kind == "gradient":
        share = np.linspace(0, 1, side, dtype=np.float32)[:, None].repeat(side, 1)
    else:
        share = _texture(kind, side, UNIT / resolution)
    return (light + (dark - light) * share[..., None]).astype(np.float32)


def _texture(kind: str, side: int, unit: float) -> NDArray[np.float32]:
    """How much of each pixel has the darker shade."""
    fine = 4  # each pixel is the mean of 4 by 4 points
    points = (np.arange(side * fine) + 0.5) * (unit / fine)
    y, x = points[:, None], points[None, :]
    period = PERIOD[kind]
    if kind == "striped":
        dark = (x + y) % period < period / 2
    elif kind == "checked":
        dark = (x % period < period / 2) ^ (y % period < period / 2)
    else:
        dark = np.hypot(x % period - period / 2, y % period - period / 2) < DOT_RADIUS
    return dark.reshape(side, fine, side, fine).mean(axis=(1, 3)).astype(np.float32)


def _place(length: int, shift: int, resolution: int) -> slice:
    """Where along one side the object lies: off the middle by `shift`, and never cut off."""
    start = min(max((resolution - length) // 2 + shift, 0), resolution - length)
    return slice(start, start + length)


def _mix(rgb: RGB, to: int, share: float) -> RGB:
    red, green, blue = (round(value + (to - value) * share) for value in rgb)
    return red, green, blue


def _offset(shift: int, resolution: int) -> int:
    return round(shift * resolution / UNIT)
