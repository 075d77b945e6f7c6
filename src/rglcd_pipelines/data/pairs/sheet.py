"""A sheet of pairs to look at: pictures with their captions below."""

from collections.abc import Sequence
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

CELL = 192
"""Pixels of a picture's side on the sheet."""
MARGIN = 8
TEXT_LINES = 3
TEXT_SIZE = 12
LETTERS = 31


def draw_sheet(pairs: Sequence[tuple[Image.Image, str]], columns: int = 6) -> Image.Image:
    """Pictures in rows of `columns`, each fitted into a square; small ones are enlarged without smoothing."""
    rows = max(1, -(-len(pairs) // columns))
    height = CELL + TEXT_LINES * (TEXT_SIZE + 3) + MARGIN
    sheet = Image.new("RGB", (columns * (CELL + MARGIN) + MARGIN, rows * (height + MARGIN) + MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT_SIZE)
    for index, (picture, caption) in enumerate(pairs):
        left = MARGIN + index % columns * (CELL + MARGIN)
        top = MARGIN + index // columns * (height + MARGIN)
        fitted = _fit(picture)
        sheet.paste(fitted, (left + (CELL - fitted.width) // 2, top + (CELL - fitted.height) // 2))
        text = "\n".join(wrap(caption, LETTERS, max_lines=TEXT_LINES, placeholder=" …"))
        draw.multiline_text((left, top + CELL + 4), text, "black", font, spacing=3)
    return sheet


def _fit(picture: Image.Image) -> Image.Image:
    scale = CELL / max(picture.size)
    if scale >= 1:
        whole = int(scale) if scale < 1.5 or scale >= 2 else 1
        return picture.resize((picture.width * whole, picture.height * whole), Image.Resampling.NEAREST)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
