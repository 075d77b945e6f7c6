"""Scenes that are not what a caption says: it differs in one thing, or in a few."""

from dataclasses import replace

import numpy as np

from rglcd_pipelines.world.scenes import SHIFTS, Scene, is_held_out
from rglcd_pipelines.world.vocabulary import ATTRIBUTES, stands_out

OFTEN = {
    "noun": 0.4,
    "colour": 0.2,
    "background_colour": 0.1,
    "style": 0.1,
    "background": 0.1,
    "size": 0.1,
}
"""How often each attribute is what is wrong: models get nouns wrong first."""

HOW_MANY = (0.7, 0.2, 0.1)
"""How often one thing is wrong, or two, or three."""


def wrong_scene(scene: Scene, generator: np.random.Generator, held_out: bool) -> Scene:
    """Another scene; one that is held out only if `held_out` allows it."""
    while True:
        count = 1 + generator.choice(len(HOW_MANY), p=HOW_MANY)
        names = generator.choice(list(OFTEN), size=count, replace=False, p=list(OFTEN.values()))
        other = replace(scene, **{str(name): _other(scene, str(name), generator) for name in names})
        clear = stands_out(other.colour, other.background_colour)
        if clear and (held_out or not is_held_out(other.noun, other.colour)):
            return moved(other, generator)


def moved(scene: Scene, generator: np.random.Generator) -> Scene:
    """The same scene somewhere else in the picture, which no caption tells."""
    x, y = generator.choice(SHIFTS, size=2).tolist()
    return replace(scene, shift_x=x, shift_y=y)


def _other(scene: Scene, name: str, generator: np.random.Generator) -> str:
    others = [value for value in ATTRIBUTES[name] if value != getattr(scene, name)]
    return others[generator.integers(len(others))]
