"""Which classes are taken for which: the worst pairs of a confusion matrix, and a picture of all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

NAMED = 60
"""The most classes whose names still fit beside the matrix."""
SIDE, LARGEST_CELL = 760, 44
"""Of the matrix and of one of its cells, in pixels."""
MARGIN, GAP, PANEL = 28, 10, 440
HEADER = 84
"""The height of the title and of what is told below it."""
NAME_WIDTH = 150
SCALE_WIDTH, SCALE_HEIGHT = 320, 74
ROW = 23
"""The height of a line in the lists."""
LEAST_PAIRS, MOST_CLASSES = 20, 8
BAR, COUNT = 70, 72
TITLE_SIZE, HEADING_SIZE, TEXT_SIZE, SMALL = 26, 17, 13, 11

PAPER, INK, FAINT, RULE = (255, 255, 255), (28, 28, 32), (104, 104, 112), (232, 232, 236)
RIGHT: tuple[Colour, ...] = ((255, 255, 255), (178, 220, 206), (62, 155, 130), (8, 84, 74))
WRONG: tuple[Colour, ...] = ((255, 255, 255), (253, 204, 158), (232, 98, 52), (122, 14, 24))
"""From no image of a class to all of them."""
TICKS = (0.0, 0.05, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Confused:
    """Images of one class that were taken for another."""

    true: int
    guessed: int
    count: int
    share: float
    """Of all images of the true class."""


def most_confused(confusion: NDArray[np.int64], count: int) -> list[Confused]:
    """The pairs with the most images, and of those with as many, the ones of the largest share."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    portions = shares(confusion)
    found = [
        Confused(int(true), int(guessed), int(wrong[true, guessed]), float(portions[true, guessed]))
        for true, guessed in np.argwhere(wrong)
    ]
    return sorted(found, key=lambda pair: (-pair.count, -pair.share, pair.true, pair.guessed))[:count]


def shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each row as shares of the images of its class; a class without images has none."""
    return confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)


def draw_confusion(
    confusion: NDArray[np.int64], classes: Sequence[str], top1: float, top5: float
) -> Image.Image:
    """The matrix as a picture, and the worst of it in words beside it."""
    return _Drawing(confusion, classes).draw(top1, top5)


class _Drawing:
    """A sheet: title above, the matrix on the left, lists on the right."""

    def __init__(self, confusion: NDArray[np.int64], classes: Sequence[str]) -> None:
        self.confusion, self.classes = confusion, classes
        self.named = len(classes) <= NAMED
        self.cell = min(LARGEST_CELL, max(1, SIDE // len(classes)))
        self.side = self.cell * len(classes)
        self.text, self.small = ImageFont.load_default(TEXT_SIZE), ImageFont.load_default(SMALL)
        self.names = ImageFont.load_default(min(TEXT_SIZE, max(9, self.cell - 3)))
        labels = max(self.names.getlength(self._name(name)) for name in classes) if self.named else 34
        self.left = MARGIN + TEXT_SIZE + 2 * GAP + round(labels)
        self.top = MARGIN + HEADER + TEXT_SIZE + GAP + (round(labels) if self.named else GAP)
        self.panel = self.left + max(self.side, SCALE_WIDTH) + 3 * GAP
        bottom = self.top + self.side + SCALE_HEIGHT
        # As many pairs as there is room for beside the matrix.
        room = (bottom - MARGIN - HEADER - 120) // ROW - MOST_CLASSES
        self.pairs = most_confused(confusion, max(LEAST_PAIRS, room))
        self.weakest = self._weakest()
        lists = MARGIN + HEADER + 120 + ROW * (max(1, len(self.pairs)) + len(self.weakest))
        size = (self.panel + PANEL + MARGIN, max(bottom, lists) + MARGIN)
        self.sheet = Image.new("RGB", size, PAPER)
        self.pen = ImageDraw.Draw(self.sheet)

    def draw(self, top1: float, top5: float) -> Image.Image:
        self._title(top1, top5)
        self._matrix()
        self._axes()
        self._scale()
        self._lists()
        return self.sheet

    def _title(self, top1: float, top5: float) -> None:
        samples, nearest = int(self.confusion.sum()), min(5, len(self.classes))
        self.pen.text((MARGIN, MARGIN), "Zero-shot: what is taken for what", INK, _font(TITLE_SIZE))
        told = (
            f"{samples:,} latents of {len(self.classes):,} classes: the right one is the nearest for "
            f"{100 * top1:.1f} % (top-1), among the {nearest} nearest for {100 * top5:.1f} % (top-{nearest})"
        )
        self.pen.text((MARGIN, MARGIN + 38), told, FAINT, _font(15))

    def _matrix(self) -> None:
        picture = Image.fromarray(_coloured(shares(self.confusion), spread=self.cell < 3))
        picture = picture.resize((self.side, self.side), Image.Resampling.NEAREST)
        self.sheet.paste(picture, (self.left, self.top))
        if self.named:
            for number in range(len(self.classes) + 1):
                at = number * self.cell
                self.pen.line((self.left + at, self.top, self.left + at, self.top + self.side), RULE)
                self.pen.line((self.left, self.top + at, self.left + self.side, self.top + at), RULE)
        edge = (self.left - 1, self.top - 1, self.left + self.side + 1, self.top + self.side + 1)
        self.pen.rectangle(edge, outline=FAINT)

    def _axes(self) -> None:
        if self.named:
            for number, name in enumerate(self.classes):
                middle = number * self.cell + self.cell / 2
                told = self._name(name)
                self.pen.text((self.left - 7, self.top + middle), told, INK, self.names, anchor="rm")
                self._upright(told, self.left + middle, self.top - 7, self.names, INK)
        else:
            step = _round_step(len(self.classes))
            for number in range(0, len(self.classes), step):
                at = number * self.cell
                self.pen.line((self.left - 6, self.top + at, self.left - 2, self.top + at), FAINT)
                self.pen.text((self.left - 9, self.top + at), str(number), FAINT, self.small, anchor="rm")
                self.pen.line((self.left + at, self.top - 6, self.left + at, self.top - 2), FAINT)
                self.pen.text((self.left + at, self.top - 9), str(number), FAINT, self.small, anchor="mb")
        middle = self.left + self.side / 2
        self.pen.text((middle, MARGIN + HEADER - 4), "taken for", FAINT, self.text, anchor="mt")
        middle = self.top + self.side / 2 + self.text.getlength("true class") / 2
        self._upright("true class", MARGIN + TEXT_SIZE / 2, middle, self.text, FAINT)

    def _scale(self) -> None:
        """What the colours say: two ramps on a scale whose small shares are spread."""
        width, height = min(300, max(160, self.side)), 11
        top = self.top + self.side + 2 * GAP
        places = np.linspace(0, 1, width)
        for row, (stops, told) in enumerate(((RIGHT, "right"), (WRONG, "wrong"))):
            bar = np.broadcast_to(_ramp(stops, places), (height, width, 3))
            at = top + row * (height + 5)
            self.sheet.paste(Image.fromarray(np.ascontiguousarray(bar)), (self.left, at))
            self.pen.rectangle((self.left - 1, at - 1, self.left + width, at + height), outline=RULE)
            self.pen.text((self.left + width + 9, at + height / 2), told, INK, self.small, anchor="lm")
        below = top + 2 * (height + 5)
        for share in TICKS:
            at = self.left + round(share**0.5 * (width - 1))
            self.pen.line((at, below - 3, at, below + 2), FAINT)
            self.pen.text((at, below + 4), f"{100 * share:g} %", FAINT, self.small, anchor="mt")
        told = "of the class's images"
        self.pen.text((self.left + width + 30, below + 4), told, FAINT, self.small, anchor="lt")

    def _lists(self) -> None:
        totals = self.confusion.sum(axis=1)
        top = self._heading("Most often taken for another", ("class", "taken for"), MARGIN + HEADER)
        if not self.pairs:
            self.pen.text((self.panel, top), "None: every guess is right.", FAINT, self.text)
            top += ROW
        for pair in self.pairs:
            words = (self.classes[pair.true], self.classes[pair.guessed])
            self._line(words, pair.share, WRONG[2], f"{pair.count} of {totals[pair.true]}", top)
            top += ROW
        top = self._heading("Least often found", ("class",), top + 2 * GAP)
        for label in self.weakest:
            found = int(self.confusion[label, label])
            told = f"{found} of {totals[label]}"
            self._line((self.classes[label],), found / totals[label], RIGHT[2], told, top)
            top += ROW

    def _heading(self, text: str, columns: tuple[str, ...], top: int) -> int:
        self.pen.text((self.panel, top), text, INK, _font(HEADING_SIZE))
        top += HEADING_SIZE + GAP
        for left, width, name in self._columns(columns):
            self.pen.text((left, top), _fitted(name, self.small, width), FAINT, self.small)
        self.pen.text((self.panel + PANEL, top), "images", FAINT, self.small, anchor="ra")
        return top + SMALL + 6

    def _line(self, words: tuple[str, ...], share: float, colour: Colour, told: str, top: int) -> None:
        """One or two names, a bar as long as the share, and the count."""
        for left, width, word in self._columns(words):
            self.pen.text((left, top), _fitted(word, self.text, width), INK, self.text)
        left = self.panel + PANEL - BAR - COUNT
        self.pen.rectangle((left, top + 4, left + BAR, top + 13), fill=RULE)
        if share > 0:
            self.pen.rectangle((left, top + 4, left + max(1, round(share * BAR)), top + 13), fill=colour)
        self.pen.text((self.panel + PANEL, top), told, FAINT, self.text, anchor="ra")

    def _columns(self, words: tuple[str, ...]) -> list[tuple[int, int, str]]:
        """Where each word begins, and how wide it may be."""
        width = (PANEL - BAR - COUNT) // len(words)
        return [(self.panel + number * width, width - GAP, word) for number, word in enumerate(words)]

    def _weakest(self) -> list[int]:
        """The classes that are found least often, of those that have images."""
        found = shares(self.confusion).diagonal()
        there = np.flatnonzero(self.confusion.sum(axis=1))
        return there[np.argsort(found[there], kind="stable")][:MOST_CLASSES].tolist()

    def _name(self, name: str) -> str:
        return _fitted(name, self.names, NAME_WIDTH)

    def _upright(self, text: str, middle: float, bottom: float, font: Font, colour: Colour) -> None:
        """A text that is read from below, ending at `bottom`."""
        length, height = round(font.getlength(text)) + 2, 2 * TEXT_SIZE
        strip = Image.new("L", (length, height))
        ImageDraw.Draw(strip).text((0, height / 2), text, 255, font, anchor="lm")
        strip = strip.rotate(90, expand=True)
        # By a mask, for the strips of neighbours overlap.
        self.sheet.paste(colour, (round(middle - height / 2), round(bottom - length)), strip)


def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _coloured(portions: NDArray[np.float64], spread: bool) -> NDArray[np.uint8]:
    """A pixel for each cell; `spread` has each colour its neighbours too, for one alone is hardly seen."""
    wrong = portions.copy()
    np.fill_diagonal(wrong, 0)
    if spread:
        for axis in (0, 1):
            padded = np.pad(wrong, 1)
            near = [np.roll(padded, by, axis)[1:-1, 1:-1] for by in (-1, 0, 1)]
            wrong = np.maximum.reduce(near)
    colours = _ramp(WRONG, np.sqrt(wrong))
    diagonal = np.arange(len(portions))
    for by in (-1, 1, 0) if spread else (0,):
        near = np.clip(diagonal + by, 0, len(portions) - 1)
        colours[diagonal, near] = _ramp(RIGHT, np.sqrt(portions.diagonal()))
    return colours


def _ramp(stops: tuple[Colour, ...], values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours [..., 3] between the stops, which are equally far apart from 0 to 1."""
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(values, places, channel) for channel in zip(*stops, strict=True)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _round_step(count: int) -> int:
    """From one number on an axis to the next: about ten of them."""
    return next(step for step in (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000) if step * 12 >= count)


def _fitted(text: str, font: Font, width: float) -> str:
    """The text, or as much of its beginning as fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text} …") > width:
        text = text[:-1].rstrip()
    return f"{text} …"
