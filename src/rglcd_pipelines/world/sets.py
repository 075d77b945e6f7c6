"""What later stages are measured on: a small ImageNet, small HPSv2 and COCO prompts, a reference for FID.

All of it shows combinations that no training picture has. Of pictures only the recipe and the digest are
kept: rendering them takes seconds, and git keeps files for ever.
"""

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from rglcd_pipelines.artifacts import (
    Artifact,
    digest_files,
    draft,
    publish,
    standing,
    write_json,
)
from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world import vocabulary
from rglcd_pipelines.world.batches import SUPPLIES
from rglcd_pipelines.world.icons import font_versions
from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import PHRASINGS, Scene, draw_scenes, is_held_out
from rglcd_pipelines.world.vocabulary import BACKGROUNDS, COLOURS, CONTRASTING, NOUNS, SIZES, STYLES

FORMAT = 1
ZERO_SHOT = "zero_shot/pictures.json"
CLASSES, TEMPLATES = "zero_shot/classes.json", "zero_shot/templates.json"
PROMPTS, CAPTIONS, REFERENCE = "prompts", "prompts/captions.json", "reference.json"
TEMPLATES_PER_STYLE = 20
"""80 in all, as many as open_clip has for ImageNet."""
CHUNKS = 10
"""Into how many equal chunks HPSv2's benchmark divides the prompts of a style."""


class SetsConfig(Config):
    """The sizes of the sets."""

    zero_shot_per_class: int = Field(default=20, ge=1)
    """Pictures of each noun in the zero-shot set."""
    prompts_per_style: int = Field(default=160, ge=CHUNKS, multiple_of=CHUNKS)
    """Prompts of each style; HPSv2's benchmark scores them in ten chunks."""
    captions: int = Field(default=5_000, ge=1)
    """Captions of all styles that images are generated from for FID."""
    reference: int = Field(default=5_000, ge=1)
    """Renders that the generated images are compared with."""

    @model_validator(mode="after")
    def _there_are_enough(self) -> "SetsConfig":
        # Beyond half of all there are, drawing until one is new takes ever longer.
        most = _held_out_captions() // 2
        for name, asked, limit in (
            ("captions", self.captions, most),
            ("prompts_per_style", self.prompts_per_style, most // len(STYLES)),
        ):
            if asked > limit:
                raise ValueError(f"{name} is {asked}, more than the {limit} that can be drawn; lower it")
        return self


def _held_out_captions() -> int:
    """How many different captions there are of combinations that no training picture shows."""
    pairs = sum(len(CONTRASTING[colour]) for noun in NOUNS for colour in COLOURS if is_held_out(noun, colour))
    return pairs * len(STYLES) * len(SIZES) * len(BACKGROUNDS) * len(PHRASINGS)


def make_sets(config: SetsConfig, resolution: int, place: Path) -> Artifact:
    """All sets at `place`; they follow from the vocabulary and the fonts, and take a few seconds."""
    made_from = {
        "format": FORMAT,
        "resolution": resolution,
        **config.model_dump(),
        "vocabulary": vocabulary.digest(),
        "fonts": font_versions(),
    }
    if ready := standing(place, "sets", made_from):
        return ready
    began = time.monotonic()
    with draft(place, made_from) as work:
        for folder in (ZERO_SHOT, CAPTIONS):
            (work.path / folder).parent.mkdir(exist_ok=True)
        write_json(
            work.path / ZERO_SHOT,
            _told(_zero_shot(config.zero_shot_per_class), resolution)
            | {"per_class": config.zero_shot_per_class},
        )
        write_json(work.path / CLASSES, list(NOUNS))
        write_json(work.path / TEMPLATES, templates())
        for style in STYLES:
            write_json(work.path / PROMPTS / f"{style}.json", prompts(config.prompts_per_style, style))
        write_json(work.path / CAPTIONS, prompts(config.captions))
        write_json(
            work.path / REFERENCE,
            _told(_reference(config.reference), resolution) | {"renders": config.reference},
        )
        seconds = round(time.monotonic() - began, 1)
        return publish(
            work, place, "sets", made_from, {"files": digest_files(work.path)}, {"seconds": seconds}
        )


def _zero_shot(per_class: int) -> list[Scene]:
    """As many scenes of each noun."""
    missing = dict.fromkeys(NOUNS, per_class)
    scenes: list[Scene] = []
    block = 0
    while any(missing.values()):
        for scene in draw_scenes(SUPPLIES["zero_shot"], block, 1_000, held_out=True):
            if missing[scene.noun]:
                missing[scene.noun] -= 1
                scenes.append(scene)
        block += 1
    return scenes


def _reference(count: int) -> list[Scene]:
    return draw_scenes(SUPPLIES["reference"], 0, count, held_out=True)


def read_zero_shot(folder: Path) -> tuple[NDArray[np.uint8], list[Scene]]:
    """The zero-shot pictures as [picture, y, x, channel], and what they show."""
    told = _read(folder / ZERO_SHOT)
    scenes = _zero_shot(told["per_class"])
    return _rendered(scenes, told, folder / ZERO_SHOT), scenes


def read_reference(folder: Path) -> NDArray[np.uint8]:
    """The reference set for FID as [picture, y, x, channel]."""
    told = _read(folder / REFERENCE)
    return _rendered(_reference(told["renders"]), told, folder / REFERENCE)


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def _told(scenes: list[Scene], resolution: int) -> dict[str, Any]:
    return {"resolution": resolution, "sha256": _digest(_render(scenes, resolution))}


def _rendered(scenes: list[Scene], told: dict[str, Any], file: Path) -> NDArray[np.uint8]:
    """The pictures, to the pixel as when the world was made, or a DataError."""
    pixels = _render(scenes, told["resolution"])
    if _digest(pixels) != told["sha256"]:
        raise DataError(
            f"{file}: the renderer draws other pixels than when the world was made. Install "
            "the pillow and qtawesome that requirements.lock names (make setup), or make the world again."
        )
    return pixels


def _render(scenes: list[Scene], resolution: int) -> NDArray[np.uint8]:
    parts = [render_batch(scenes[first : first + 256], resolution) for first in range(0, len(scenes), 256)]
    return np.concatenate(parts)


def _digest(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def templates() -> list[str]:
    """The grammar's captions with a gap for the noun; all else in them is drawn."""
    # From the prompts' supply, beyond the blocks of the prompts themselves.
    scenes = draw_scenes(SUPPLIES["prompts"], len(STYLES) + 1, TEMPLATES_PER_STYLE * len(STYLES))
    styles = list(STYLES) * TEMPLATES_PER_STYLE
    return [
        PHRASINGS[scene.phrasing].format_map(scene.as_json() | {"style": style, "noun": "{}"})
        for scene, style in zip(scenes, styles, strict=True)
    ]


def prompts(count: int, style: str | None = None) -> list[str]:
    """Different captions of combinations that no training picture shows; of one style, or of all of them."""
    block = list(STYLES).index(style) if style else len(STYLES)
    found: dict[str, None] = {}
    drawn = 2 * count
    while len(found) < count:
        # A longer draw begins with the shorter one, so nothing that was found is lost.
        for scene in draw_scenes(SUPPLIES["prompts"], block, drawn, held_out=True):
            found[(replace(scene, style=style) if style else scene).caption] = None
        drawn *= 2
    return list(found)[:count]


def read_strings(file: Path) -> list[str]:
    """Prompts, captions, classes or templates."""
    return json.loads(file.read_text(encoding="utf-8"))
