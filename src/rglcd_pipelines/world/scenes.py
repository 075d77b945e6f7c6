"""A scene is everything that one picture shows; its caption says all of it but the object's exact place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world.vocabulary import (
    BACKGROUNDS,
    COLOURS,
    CONTRASTING,
    NOUNS,
    SIZES,
    STYLES,
    stands_out,
)

T = TypeVar("T")

PHRASINGS = (
    "a {size} {colour} {noun} on a {background} {background_colour} background, {style} style",
    "{style} style icon of a {size} {colour} {noun}, {background} {background_colour} background",
    "a {size} {noun} in {colour}, drawn in {style} style on a {background} {background_colour} background",
)

SHIFTS = (-2, 0, 2)
"""How far the object may be off the middle along each side, in 32nds of the image's side.

Nine places: enough for a caption to leave something open, and few enough to be learnt on a laptop."""

MAX_SHIFT = max(SHIFTS)


@dataclass(frozen=True, slots=True)
class Scene:
    """One object of one colour on one background."""

    style: str
    noun: str
    colour: str
    size: str
    background: str
    background_colour: str
    shift_x: int = 0
    shift_y: int = 0
    phrasing: int = 0

    @property
    def caption(self) -> str:
        return PHRASINGS[self.phrasing].format_map(self.as_json())

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _NAMES}  # asdict is ten times slower

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Scene":
        """The scene that `as_json` told, or a DataError that names the attribute which no scene has."""
        for name in _NAMES:
            if name not in values:
                raise DataError(f"{name}: a scene of the miniature world has one, this one has not")
        for name, value in values.items():
            if name not in _ALLOWED:
                raise DataError(f"{name}: no scene of the miniature world has one")
            # True equals 1, so the type is looked at too.
            if type(value) not in (int, str) or value not in _ALLOWED[name]:
                choices = ", ".join(map(str, _ALLOWED[name]))
                raise DataError(f"{name}: the miniature world has no {value!r}; it has {choices}")
        if not stands_out(values["colour"], values["background_colour"]):
            raise DataError(
                f"background_colour: {values['colour']} does not stand out on {values['background_colour']}"
            )
        return cls(**values)


_ALLOWED: dict[str, tuple[str | int, ...]] = {
    "style": tuple(STYLES),
    "noun": tuple(NOUNS),
    "colour": tuple(COLOURS),
    "size": tuple(SIZES),
    "background": BACKGROUNDS,
    "background_colour": tuple(COLOURS),
    "shift_x": SHIFTS,
    "shift_y": SHIFTS,
    "phrasing": tuple(range(len(PHRASINGS))),
}

_NAMES = tuple(_ALLOWED)


def is_held_out(noun: str, colour: str) -> bool:
    """Whether no training picture shows this noun in this colour: one colour in nine for each noun."""
    return (2 * _NOUN_INDEX[noun] + _COLOUR_INDEX[colour]) % len(COLOURS) == 0


_NOUN_INDEX = {noun: index for index, noun in enumerate(NOUNS)}
_COLOUR_INDEX = {colour: index for index, colour in enumerate(COLOURS)}
_PAIRS = {
    held_out: [(n, c) for n in NOUNS for c in COLOURS if is_held_out(n, c) == held_out]
    for held_out in (False, True)
}

_SHOWN = {colour: [noun for noun, shown in _PAIRS[False] if shown == colour] for colour in COLOURS}
MOST_RIVALS = min(map(len, _SHOWN.values()))
"""How many nouns every colour has in training pictures."""


def draw_scenes(seed: int, block: int, count: int, held_out: bool = False) -> list[Scene]:
    """The first `count` scenes of one block of a seed's endless supply, training and held-out apart."""
    generator = np.random.Generator(np.random.PCG64([seed, block, int(held_out)]))
    # One row of uniform numbers a scene: a longer draw begins with the shorter one.
    return [_scene(row, _PAIRS[held_out]) for row in generator.random((count, 8)).tolist()]


def draw_rivals(seed: int, block: int, count: int, rivals: int) -> list[Scene]:
    """Training scenes in groups that differ in the noun, and in what their captions leave open."""
    generator = np.random.Generator(np.random.PCG64([seed, block, 2]))
    scenes: list[Scene] = []
    for first in draw_scenes(seed, block, -(-count // rivals)):
        others = [noun for noun in _SHOWN[first.colour] if noun != first.noun]
        for noun in [first.noun, *generator.permutation(others)[: rivals - 1].tolist()]:
            x, y, phrasing = generator.integers([len(SHIFTS), len(SHIFTS), len(PHRASINGS)]).tolist()
            scenes.append(replace(first, noun=noun, shift_x=SHIFTS[x], shift_y=SHIFTS[y], phrasing=phrasing))
    return scenes[:count]


def _pick(choices: Sequence[T], uniform: float) -> T:
    return choices[int(uniform * len(choices))]


def _scene(row: list[float], pairs: list[tuple[str, str]]) -> Scene:
    noun, colour = _pick(pairs, row[0])
    return Scene(
        style=_pick(tuple(STYLES), row[1]),
        noun=noun,
        colour=colour,
        size=_pick(tuple(SIZES), row[2]),
        background=_pick(BACKGROUNDS, row[3]),
        background_colour=_pick(CONTRASTING[colour], row[4]),
        shift_x=_pick(SHIFTS, row[5]),
        shift_y=_pick(SHIFTS, row[6]),
        phrasing=int(row[7] * len(PHRASINGS)),
    )
