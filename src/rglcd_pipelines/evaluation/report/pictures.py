"""Pictures that models drew, for the page: chosen evenly, enlarged by whole numbers, put into grids."""

import base64
import io
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.evaluation.report.blocks import Grid, Shown
from rglcd_pipelines.evaluation.report.compare import Side

ALL = 10**9
SIDE = 160
"""Of a picture on the page, about; small ones are enlarged by the whole number that comes near."""
LARGEST = 512
"""The side of a large picture on the page."""
CROP, ENLARGED = 112, 224
"""Of a large picture's middle: so many pixels, and how large they are shown."""


def chosen(prompts: Iterable[Prompt], count: int) -> list[Prompt]:
    """So many, evenly over the groups and within each of them; always the same ones."""
    groups: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        if prompt.repeat == 0:
            groups.setdefault(prompt.group, []).append(prompt)
    found: list[Prompt] = []
    for place, members in enumerate(groups.values()):
        share = min(count // len(groups) + (place < count % len(groups)), len(members))
        # Groups may hold the same objects in the same order, so each begins elsewhere.
        shift = (place + 0.5) / len(groups)
        found += [members[int(len(members) * (number + shift) / share)] for number in range(share)]
    return found


def prompts_of(side: Side, set_name: str, count: int) -> list[Prompt]:
    """Prompts of which the side has pictures."""
    samples = side.setting.first.samples
    if samples is None or side.column not in samples.columns:
        return []
    return chosen((one for one in samples.prompts(side.column) if one.set == set_name), count)


def pictures_of(side: Side, set_name: str, prompts: Sequence[Prompt]) -> dict[str, bytes]:
    """The files of some prompts, by key; read no further than the last of them."""
    samples, wanted = side.setting.first.samples, {prompt.key for prompt in prompts}
    found: dict[str, bytes] = {}
    if not wanted & {prompt.key for prompt in prompts_of(side, set_name, ALL)} or samples is None:
        return found
    for prompt, png in samples.pngs(side.column, set_name):
        if prompt.key in wanted:
            found[prompt.key] = png
        if len(found) == len(wanted):
            break
    return found


def shown_whole(png: bytes, alt: str, side: int = SIDE) -> Shown:
    """All of a picture: small ones pixel by pixel, large ones no larger than a page needs."""
    image = opened(png, alt)
    width, height = image.size
    if max(width, height) <= side:
        factor = max(1, side // max(width, height))
        return Shown(_png(image), "image/png", alt, width * factor, height * factor, True)
    if max(width, height) > LARGEST:
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92, subsampling=0)
    return Shown(file.getvalue(), "image/jpeg", alt, image.width // 2, image.height // 2, False)


def shown_close(png: bytes, alt: str) -> Shown:
    """Pixel by pixel: a small picture whole, of a large one the middle."""
    image = opened(png, alt)
    if max(image.size) > ENLARGED:
        left, top = (image.width - CROP) // 2, (image.height - CROP) // 2
        image = image.crop((left, top, left + CROP, top + CROP))
    factor = max(1, ENLARGED // max(image.size))
    return Shown(_png(image), "image/png", alt, image.width * factor, image.height * factor, True)


def opened(png: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(png)).convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(
            f"the picture of {name} cannot be read ({error}). Remove its samples and draw them again with "
            "kedro run --pipeline=evaluate."
        ) from None


def pixels(png: bytes, name: str) -> NDArray[np.float64]:
    """[H, W, 3] in [0, 1]."""
    return np.asarray(opened(png, name), np.float64) / 255


def data_uri(data: bytes, media: str) -> str:
    return f"data:{media};base64,{base64.b64encode(data).decode('ascii')}"


def grid_of(
    name: str,
    caption: str,
    sides: Sequence[tuple[str, Side]],
    set_name: str,
    prompts: Sequence[Prompt],
    close: bool = False,
) -> Grid:
    """A row a prompt, a column a side under its head."""
    show = shown_close if close else shown_whole
    columns = [pictures_of(side, set_name, prompts) for _, side in sides]
    cells = [
        [
            show(column[prompt.key], f"{head}: {prompt.text}") if prompt.key in column else None
            for (head, _), column in zip(sides, columns, strict=True)
        ]
        for prompt in prompts
    ]
    return Grid(name, caption, [head for head, _ in sides], [prompt.text for prompt in prompts], cells)


GAP, INK, FAINT, PAPER = 10, (29, 31, 36), (106, 111, 122), (255, 255, 255)


def draw_grid(grid: Grid) -> Image.Image:
    """A grid as one picture, for files that stand alone."""
    wide = max((cell.width for row in grid.cells for cell in row if cell), default=SIDE)
    high = max((cell.height for row in grid.cells for cell in row if cell), default=SIDE)
    font = _font(13)
    heads = [_wrapped(head, font, wide) for head in grid.columns]
    head_lines = max(head.count("\n") + 1 for head in heads)
    width = GAP + (wide + GAP) * len(grid.columns)
    texts = [_wrapped(text, font, width - 2 * GAP) for text in grid.rows]
    line = 17
    row_heights = [(text.count("\n") + 1) * line + GAP // 2 + high + GAP for text in texts]
    sheet = Image.new("RGB", (width, GAP + head_lines * line + GAP + sum(row_heights)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        pen.multiline_text((GAP + column * (wide + GAP), GAP), head, INK, font)
    top = GAP + head_lines * line + GAP
    for text, cells, height in zip(texts, grid.cells, row_heights, strict=True):
        pen.multiline_text((GAP, top), text, FAINT, font)
        below = top + (text.count("\n") + 1) * line + GAP // 2
        for column, cell in enumerate(cells):
            if cell is not None:
                sheet.paste(_enlarged(cell), (GAP + column * (wide + GAP), below))
        top += height
    return sheet


def _enlarged(cell: Shown) -> Image.Image:
    how = Image.Resampling.NEAREST if cell.pixelated else Image.Resampling.LANCZOS
    return Image.open(io.BytesIO(cell.data)).convert("RGB").resize((cell.width, cell.height), how)


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrapped(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _png(image: Image.Image) -> bytes:
    """Without what a file may tell beside the picture."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
