"""What the miniature world can show: the tables of its styles, nouns, colours, sizes and backgrounds.

Every noun was looked at in every style, at 32 pixels and in every size, and can be named from the picture.
"""

from dataclasses import asdict, dataclass
from math import dist
from typing import Any

from rglcd_pipelines.artifacts import digest_json

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Style:
    """One icon family and how it is drawn: `over` in the object's colour, on top of `under` if it has one."""

    font: str
    """How the names of the font's files begin."""

    glyphs: int
    """The column of `NOUNS` that holds its glyph names."""

    over: str = ""
    """What a glyph name ends with for the part in the object's colour."""

    under: tuple[str, ...] = ()
    """What the glyph names end with for a paler body underneath."""

    rim: float = 0.0
    """The width of a dark or light rim around the glyph, as a share of the glyph's font size."""


STYLES = {
    "solid": Style("fontawesome6-solid", glyphs=0),
    "cartoon": Style("materialdesignicons6", glyphs=1, rim=0.06),
    "thin": Style("phosphor", glyphs=2, over="-light"),
    "two-tone": Style("phosphor", glyphs=2, under=("", "-fill")),
}

NOUNS = {
    # noun: the glyph in Font Awesome 6 solid, Material Design Icons 6, Phosphor
    "airplane": ("plane", "airplane", "airplane"),
    "anchor": ("anchor", "anchor", "anchor"),
    "bell": ("bell", "bell", "bell"),
    "bicycle": ("bicycle", "bicycle", "bicycle"),
    "bird": ("dove", "bird", "bird"),
    "book": ("book-open", "book-open-variant", "book-open"),
    "bus": ("bus", "bus", "bus"),
    "cake": ("cake-candles", "cake-variant", "cake"),
    "camera": ("camera", "camera", "camera"),
    "car": ("car", "car", "car"),
    "cat": ("cat", "cat", "cat"),
    "clock": ("clock", "clock", "clock"),
    "cloud": ("cloud", "cloud", "cloud"),
    "cookie": ("cookie-bite", "cookie", "cookie"),
    "crown": ("crown", "crown", "crown"),
    "cup": ("mug-saucer", "coffee", "coffee"),
    "diamond": ("gem", "diamond-stone", "sketch-logo"),
    "dog": ("dog", "dog-side", "dog"),
    "eye": ("eye", "eye", "eye"),
    "fish": ("fish", "fish", "fish"),
    "flag": ("flag", "flag", "flag"),
    "flame": ("fire", "fire", "fire"),
    "ghost": ("ghost", "ghost", "ghost"),
    "gift": ("gift", "gift", "gift"),
    "heart": ("heart", "cards-heart", "heart"),
    "hourglass": ("hourglass", "timer-sand", "hourglass"),
    "house": ("house", "home", "house"),
    "key": ("key", "key", "key"),
    "leaf": ("leaf", "leaf", "leaf"),
    "lightbulb": ("lightbulb", "lightbulb", "lightbulb"),
    "lightning bolt": ("bolt-lightning", "lightning-bolt", "lightning"),
    "lock": ("lock", "lock", "lock"),
    "magnet": ("magnet", "magnet", "magnet"),
    "moon": ("moon", "moon-waning-crescent", "moon"),
    "paw print": ("paw", "paw", "paw-print"),
    "pencil": ("pencil", "pencil", "pencil"),
    "pizza": ("pizza-slice", "pizza", "pizza"),
    "puzzle piece": ("puzzle-piece", "puzzle", "puzzle-piece"),
    "robot": ("robot", "robot", "robot"),
    "rocket": ("rocket", "rocket", "rocket"),
    "shirt": ("shirt", "tshirt-crew", "t-shirt"),
    "snowflake": ("snowflake", "snowflake", "snowflake"),
    "star": ("star", "star", "star"),
    "sun": ("sun", "white-balance-sunny", "sun"),
    "tree": ("tree", "pine-tree", "tree-evergreen"),
    "trophy": ("trophy", "trophy", "trophy"),
    "truck": ("truck", "truck", "truck"),
    "umbrella": ("umbrella", "umbrella", "umbrella"),
}

COLOURS: dict[str, RGB] = {
    "red": (214, 36, 40),
    "orange": (245, 130, 30),
    "yellow": (250, 215, 50),
    "green": (45, 155, 70),
    "blue": (36, 86, 214),
    "purple": (120, 52, 168),
    "pink": (248, 130, 196),
    "white": (244, 244, 244),
    "black": (30, 30, 34),
}

SIZES = {"small": 0.53, "medium": 0.69, "large": 0.88}
"""The longer side of the object's ink, as a share of the image's side."""

PALER: dict[str, tuple[int, float]] = {"white": (0, 0.2), "black": (255, 0.2)}
"""How the paler body of an object is mixed where it is not with 0.4 of white: black stays black."""

BACKGROUNDS = ("plain", "gradient", "striped", "checked", "dotted")

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "noun": tuple(NOUNS),
    "style": tuple(STYLES),
    "colour": tuple(COLOURS),
    "size": tuple(SIZES),
    "background": BACKGROUNDS,
    "background_colour": tuple(COLOURS),
}
"""What a caption tells of a picture, and what each may be."""

MIN_CONTRAST = 55.0
"""The least distance of object and background colour in CIELAB; black on white has 85."""

MIN_LIGHTNESS_STEP = 18.0
"""The least difference in CIELAB lightness alone: without one, thin lines flicker (red on blue)."""


def stands_out(colour: str, background: str) -> bool:
    """Whether an object of one colour is seen clearly on the other, even in thin lines."""
    a, b = lab(COLOURS[colour]), lab(COLOURS[background])
    return dist(a, b) >= MIN_CONTRAST and abs(a[0] - b[0]) >= MIN_LIGHTNESS_STEP


def lab(rgb: RGB) -> tuple[float, float, float]:
    """An sRGB colour in CIELAB (D65), where equal distances look about equally large."""
    r, g, b = (v / 3294.6 if v <= 10.3 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


CONTRASTING = {colour: tuple(b for b in COLOURS if stands_out(colour, b)) for colour in COLOURS}
"""The background colours on which an object of a colour stands out."""


def digest() -> str:
    """A digest of everything in these tables: a picture with the same scene and digest is the same."""
    tables: dict[str, Any] = {
        "styles": {name: asdict(style) for name, style in STYLES.items()},
        "nouns": NOUNS,
        "colours": COLOURS,
        "paler": PALER,
        "sizes": SIZES,
        "backgrounds": BACKGROUNDS,
        "contrasting": CONTRASTING,
        "order": [list(NOUNS), list(COLOURS)],  # the held-out pairs depend on it
    }
    return digest_json(tables)
