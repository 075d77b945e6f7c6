"""The icons: glyphs of qtawesome's fonts as antialiased masks.

qtawesome is only a place where fonts are: importing it would ask for Qt, so its folder is found without.
"""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world.vocabulary import NOUNS, STYLES

OVERSAMPLING = 6
"""A glyph is drawn this many times too large and then averaged down, so that hinting never bends it."""

Mask = NDArray[np.uint8]


@cache
def icon(style: str, noun: str, pixels: int) -> Mask:
    """The glyph's coverage, 0 to 255, as [layer, y, x]: layer 0 lies under layer 1.

    The longer side of its ink is `pixels` long.
    """
    drawing = STYLES[style]
    name = NOUNS[noun][drawing.glyphs]
    # The ink's share of the font size differs from glyph to glyph: draw once to measure, once to keep.
    side = pixels * OVERSAMPLING
    ink = _draw(style, name, side)[0].shape
    under, over = _draw(style, name, round(side * side / max(ink)))
    scale = pixels / max(over.shape)
    width, height = (max(1, round(n * scale)) for n in (over.shape[1], over.shape[0]))
    layers = [Image.fromarray(layer).resize((width, height), Image.Resampling.BOX) for layer in (under, over)]
    return np.stack([np.asarray(layer) for layer in layers])


def _draw(style: str, name: str, size: int) -> tuple[Mask, Mask]:
    """Both layers at the font size `size`, cropped to the ink that they have together."""
    drawing = STYLES[style]
    font = _font(drawing.font, size)
    rim = round(size * drawing.rim)
    over_text = _character(drawing.font, name + drawing.over)
    under_texts = [_character(drawing.font, name + ending) for ending in drawing.under]
    if rim:
        under_texts.append(over_text)
    over, under = (Image.new("L", (3 * size, 3 * size)) for _ in range(2))
    ImageDraw.Draw(over).text((size, 2 * size), over_text, fill=255, font=font, anchor="ls")
    for text in under_texts:
        ImageDraw.Draw(under).text((size, 2 * size), text, fill=255, font=font, anchor="ls", stroke_width=rim)
    boxes = [box for box in (under.getbbox(), over.getbbox()) if box]
    if not boxes:
        raise DataError(f"{_files(drawing.font)[0]}: the glyph {name!r} is empty. Install qtawesome anew.")
    left, top = (min(box[i] for box in boxes) for i in (0, 1))
    right, bottom = (max(box[i] for box in boxes) for i in (2, 3))
    crop = (left, top, right, bottom)
    return np.asarray(under.crop(crop)), np.asarray(over.crop(crop))


@cache
def _font(prefix: str, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout is there in every build of Pillow, and the same in all of them.
    return ImageFont.truetype(_files(prefix)[0], size, layout_engine=ImageFont.Layout.BASIC)


def _character(prefix: str, name: str) -> str:
    file = _files(prefix)[1]
    try:
        return chr(int(_charmap(file)[name], 16))
    except KeyError:
        raise DataError(
            f"{file}: there is no glyph {name!r}. Install the qtawesome that requirements.lock names."
        ) from None


@cache
def _charmap(file: Path) -> dict[str, str]:
    return json.loads(file.read_text(encoding="utf-8"))


@cache
def _files(prefix: str) -> tuple[Path, Path]:
    """A family's font and the list of its glyphs; the version in their names is left open."""
    spec = find_spec("qtawesome")
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise DataError(
            "qtawesome, whose fonts the miniature world is drawn from, is missing. Run: make setup"
        )
    fonts = Path(folders[0]) / "fonts"
    found = [sorted(fonts.glob(f"{prefix}{rest}")) for rest in ("*.ttf", "*charmap-*.json")]
    if not all(found):
        raise DataError(
            f"{fonts}: there is no {prefix} font. Install the qtawesome that requirements.lock names."
        )
    return found[0][0], found[1][0]


def font_versions() -> dict[str, str]:
    """The files that the styles are drawn from; their names hold the fonts' versions."""
    return {name: _files(style.font)[0].name for name, style in STYLES.items()}
