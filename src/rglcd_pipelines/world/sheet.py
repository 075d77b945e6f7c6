"""The world on one sheet: renders, reconstructions, the teacher's samples, and who prefers which picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from rglcd_pipelines.training.fit import pick_device
from rglcd_pipelines.world.autoencoder import load_autoencoder, reconstruct
from rglcd_pipelines.world.batches import as_bytes, draw_batch
from rglcd_pipelines.world.figures import load_reward
from rglcd_pipelines.world.judge import Judge
from rglcd_pipelines.world.kept_pairs import read_pairs
from rglcd_pipelines.world.preferences.load import Preferences
from rglcd_pipelines.world.preferences.measure import score_pairs
from rglcd_pipelines.world.preferences.pairs import PEOPLE
from rglcd_pipelines.world.sampling import load_teacher, sample
from rglcd_pipelines.world.sets import PROMPTS, read_strings
from rglcd_pipelines.world.vocabulary import STYLES

COLUMNS = 10
SCALE = 3
"""Screen pixels to one of a picture's, so that each of them is seen."""
GAP, MARGIN, LABEL = 9, 28, 118
PAPER, INK, FAINT, RULE = (255, 255, 255), (28, 28, 32), (104, 104, 112), (216, 216, 222)
RIGHT, WRONG = (24, 122, 62), (190, 42, 42)
TITLE_SIZE, HEADING_SIZE, TEXT_SIZE, CAPTION_SIZE = 30, 19, 13, 11
CAPTION_LINES, LINE = 7, 14

VISIBLE = 0.08
"""By how much gold prefers the better picture of a pair on the sheet, at least."""

OMEGAS = (1.0, 3.0, 7.5, 12.0)


@dataclass(frozen=True)
class Row:
    """Pictures, or lines of small text, under each other in columns."""

    label: str
    pictures: Tensor | None = None
    """[COLUMNS, 3, H, W], uint8."""
    texts: Sequence[tuple[str, tuple[int, int, int]]] = ()
    """A text and its colour for each column."""


@dataclass(frozen=True)
class Section:
    heading: str
    about: str
    rows: list[Row]


def draw_world(world: Path, steps: int) -> Image.Image:
    """The sheet of a finished world, whose teacher takes so many steps for a picture."""
    device = pick_device()
    with torch.no_grad():
        sections = [_renders(world, device), _samples(world, steps, device), _preferences(world, device)]
    return draw_sections("The miniature world", sections)


def _renders(world: Path, device: torch.device) -> Section:
    resolution = Judge.load(world / "judge", device).resolution
    batch = draw_batch("figures", 0, COLUMNS, resolution, held_out=True)
    model = load_autoencoder(world / "teacher" / "vae", device)
    return Section(
        "Renders, and what the autoencoder keeps of them",
        "Combinations that no training picture shows, and the same through the latents and back.",
        [
            _captions(batch.captions),
            Row("renders", batch.images),
            Row("reconstructed", reconstruct(model, batch.images.to(device)).cpu()),
        ],
    )


def _samples(world: Path, steps: int, device: torch.device) -> Section:
    sets = [read_strings(world / "sets" / PROMPTS / f"{style}.json") for style in STYLES]
    captions = [sets[index % len(sets)][index] for index in range(COLUMNS)]
    teacher = load_teacher(world / "teacher", device)
    rows = [
        Row(f"guidance {omega:g}", as_bytes(sample(teacher, captions, range(COLUMNS), steps, omega)))
        for omega in OMEGAS
    ]
    return Section(
        "The teacher's samples",
        f"{steps} DDIM steps, prompts that were never trained on; a column has the same noise at every scale "
        "of classifier-free guidance.",
        [_captions(captions), *rows],
    )


def _preferences(world: Path, device: torch.device) -> Section:
    """Pairs from every source, the one that gold prefers above, and what each stand-in says of them."""
    pairs = read_pairs(world / "preferences", PEOPLE[0])
    judge = Judge.load(world / "judge", device)
    gold = score_pairs(judge, pairs.images, pairs.captions, device)
    chosen = _of_every_source(pairs, gold)
    images, captions = pairs.images[chosen], [pairs.captions[index] for index in chosen]
    swapped = gold[chosen] < 0
    images[swapped] = images[swapped].flip(1)
    rows = [_captions(captions), Row("preferred", images[:, 0]), Row("rejected", images[:, 1])]
    rows.append(Row("gold", texts=[(f"{value:+.2f}", INK) for value in gold[chosen].abs().tolist()]))
    for name in PEOPLE:
        found = score_pairs(load_reward(world, name, device), images, captions, device)
        texts = [(f"{value:+.2f}", RIGHT if value > 0 else WRONG) for value in found.tolist()]
        rows.append(Row(f"{name}-mini", texts=texts))
    return Section(
        "Preferred and rejected",
        "Held-out pairs, the picture above as the gold judge prefers it. Numbers: how much higher it scores; "
        "red where a stand-in disagrees.",
        rows,
    )


def _of_every_source(pairs: Preferences, gold: Tensor) -> list[int]:
    """Pairs of one source after the other, of those where the better one can be seen."""
    clear = [index for index, value in enumerate(gold.abs().tolist()) if value > VISIBLE]
    by_source = [
        [i for i in clear if pairs.sources[i] == source] for source in pairs.sources.unique().tolist()
    ]
    chosen = [index for turn in zip_longest(*by_source) for index in turn if index is not None][:COLUMNS]
    # Few and alike as they may be in a world that is made for a test, a row has as many as it has.
    others = [index for index in range(len(gold)) if index not in chosen]
    return sorted([*chosen, *others[: COLUMNS - len(chosen)]], key=lambda index: int(pairs.sources[index]))


def _captions(captions: Sequence[str]) -> Row:
    return Row("", texts=[(caption, FAINT) for caption in captions])


def draw_sections(title: str, sections: Sequence[Section]) -> Image.Image:
    """All sections under each other; first measured on nothing, then drawn."""
    height = _Drawing(1).sections(title, sections)
    drawing = _Drawing(height)
    drawing.sections(title, sections)
    return drawing.sheet


class _Drawing:
    """A sheet that is filled from the top."""

    def __init__(self, height: int) -> None:
        self.cell = 0
        self.height = height
        self.small = ImageFont.load_default(CAPTION_SIZE)
        self.sheet = Image.new("RGB", (1, 1), PAPER)

    def sections(self, title: str, sections: Sequence[Section]) -> int:
        """Draw everything; where it ends."""
        self.cell = SCALE * next(
            row.pictures.shape[-1] for section in sections for row in section.rows if row.pictures is not None
        )
        width = 2 * MARGIN + LABEL + COLUMNS * self.cell + (COLUMNS - 1) * GAP
        self.sheet = Image.new("RGB", (width, self.height), PAPER)
        self.draw = ImageDraw.Draw(self.sheet)
        top = self._text(MARGIN, MARGIN, title, TITLE_SIZE, INK) + 4
        for section in sections:
            top = self._section(section, top + 14)
        return top + MARGIN

    def _section(self, section: Section, top: int) -> int:
        self.draw.line((MARGIN, top, self.sheet.width - MARGIN, top), RULE)
        top = self._text(MARGIN, top + 14, section.heading, HEADING_SIZE, INK)
        top = self._text(MARGIN, top + 2, section.about, TEXT_SIZE, FAINT) + 10
        for row in section.rows:
            top = self._row(row, top) + GAP
        return top

    def _row(self, row: Row, top: int) -> int:
        bottom = top
        if row.pictures is not None:
            bottom = top + self.cell
            middle = top + self.cell // 2 - TEXT_SIZE // 2 - 2
            for column, picture in enumerate(row.pictures):
                self._picture(picture, self._left(column), top)
        else:
            wrapped = [self._wrapped(text) for text, _ in row.texts]
            bottom, middle = top + LINE * max(map(len, wrapped)), top
            for column, (lines, (_, colour)) in enumerate(zip(wrapped, row.texts, strict=True)):
                for index, line in enumerate(reversed(lines), 1):
                    self.draw.text((self._left(column), bottom - LINE * index), line, colour, self.small)
        self._text(MARGIN, middle, row.label, TEXT_SIZE, INK)
        return bottom

    def _left(self, column: int) -> int:
        return MARGIN + LABEL + column * (self.cell + GAP)

    def _picture(self, picture: Tensor, left: int, top: int) -> None:
        image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
        self.sheet.paste(image.resize((self.cell, self.cell), Image.Resampling.NEAREST), (left, top))
        self.draw.rectangle((left - 1, top - 1, left + self.cell, top + self.cell), outline=RULE)

    def _wrapped(self, text: str) -> list[str]:
        """Lines as wide as a picture."""
        letters = round(1.08 * self.cell / self.small.getlength("n"))
        return wrap(text, letters, max_lines=CAPTION_LINES, placeholder=" …")

    def _text(self, left: int, top: int, text: str, size: int, colour: tuple[int, int, int]) -> int:
        """One line; where the next may begin."""
        self.draw.text((left, top), text, colour, ImageFont.load_default(size))
        return top + round(1.35 * size)
