"""What a report is made of: sections of words, tables, charts and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    small: str = ""
    """Below it, such as the interval; in lines."""
    url: str | None = None
    """Where the number comes from."""
    best: bool = False
    tone: str = ""
    """"yes", "no" or "open" of an ordering: shown by a mark, never by colour alone."""


@dataclass(frozen=True)
class Head:
    """The head of a column, or of several beside each other."""

    text: str
    small: str = ""
    span: int = 1
    rows: int = 1


@dataclass(frozen=True)
class Table:
    kind: ClassVar[str] = "table"
    caption: str
    heads: Sequence[Sequence[Head]]
    """Rows of heads; the last has a head for each column that no head above reaches down to."""
    rows: Sequence[Sequence[Cell]]
    """The first cell of a row is its head."""
    note: str = ""
    text: Sequence[int] = ()
    """The columns that hold words, from 0."""


@dataclass(frozen=True)
class Words:
    kind: ClassVar[str] = "words"
    sentences: Sequence[str]


@dataclass(frozen=True)
class Chart:
    """One picture of a figure, for a light page and for a dark one."""

    name: str
    """Of its file, without the ending."""
    alt: str
    light: bytes
    dark: bytes
    width: int
    height: int
    """On the page; the file has twice as many pixels."""


@dataclass(frozen=True)
class Charts:
    kind: ClassVar[str] = "charts"
    charts: Sequence[Chart]
    caption: str


@dataclass(frozen=True)
class Shown:
    """A picture that a model drew, enlarged by a whole number where it is small."""

    data: bytes
    media: str
    alt: str
    width: int
    height: int
    """On the page."""
    pixelated: bool


@dataclass(frozen=True)
class Grid:
    """Pictures in rows and columns, with a head for each of them."""

    kind: ClassVar[str] = "grid"
    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[str]
    cells: Sequence[Sequence[Shown | None]]


@dataclass(frozen=True)
class Sheets:
    """Whole sheets side by side, each with its title."""

    kind: ClassVar[str] = "sheets"
    caption: str
    titles: Sequence[str]
    sheets: Sequence[Shown]


Block = Table | Words | Charts | Grid | Sheets


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)


@dataclass(frozen=True)
class LeftOut:
    """A section that could not be made."""

    title: str
    why: str
    command: str
    """Which makes what it needs."""
