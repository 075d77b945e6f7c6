"""What later stages are measured on: a small ImageNet, small HPSv2 and COCO prompts, a reference for FID.

All of it shows combinations that no training picture has.
"""

import hashlib
import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from rglcd_pipelines.artifacts import (
    Artifact,
    canonical_json,
    digest_files,
    draft,
    publish,
    standing,
    write_json,
)
from rglcd_pipelines.config import Config
from rglcd_pipelines.data.shards import Damage, Sample, read_shard, write_shard
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world import vocabulary
from rglcd_pipelines.world.batches import SUPPLIES
from rglcd_pipelines.world.icons import font_versions
from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import PHRASINGS, Scene, draw_scenes, is_held_out
from rglcd_pipelines.world.vocabulary import BACKGROUNDS, COLOURS, CONTRASTING, NOUNS, SIZES, STYLES

FORMAT = 1
ZERO_SHOT, CLASSES, TEMPLATES = "zero_shot/images.tar", "zero_shot/classes.json", "zero_shot/templates.json"
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
                raise ValueError(
                    f"{name} is {asked}, more than the {limit} different ones there are; lower it"
                )
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
        write_shard(work.path / ZERO_SHOT, _zero_shot(config.zero_shot_per_class, resolution))
        write_json(work.path / CLASSES, list(NOUNS))
        write_json(work.path / TEMPLATES, templates())
        for style in STYLES:
            write_json(work.path / PROMPTS / f"{style}.json", prompts(config.prompts_per_style, style))
        write_json(work.path / CAPTIONS, prompts(config.captions))
        write_json(work.path / REFERENCE, _reference(config.reference, resolution))
        seconds = round(time.monotonic() - began, 1)
        return publish(
            work, place, "sets", made_from, {"files": digest_files(work.path)}, {"seconds": seconds}
        )


def _zero_shot(per_class: int, resolution: int) -> Iterator[Sample]:
    """As many pictures of each noun, in webdataset's form; the class is in the `.json`."""
    missing = dict.fromkeys(NOUNS, per_class)
    scenes: list[Scene] = []
    block = 0
    while any(missing.values()):
        for scene in draw_scenes(SUPPLIES["zero_shot"], block, 1_000, held_out=True):
            if missing[scene.noun]:
                missing[scene.noun] -= 1
                scenes.append(scene)
        block += 1
    classes = list(NOUNS)
    for index, (scene, image) in enumerate(zip(scenes, render_batch(scenes, resolution), strict=True)):
        meta = {"class": classes.index(scene.noun), **scene.as_json()}
        yield Sample(f"{index:05d}", _png(image), "png", None, canonical_json(meta).encode())


def _png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=9)
    return file.getvalue()


def read_zero_shot(folder: Path) -> tuple[NDArray[np.uint8], list[Scene]]:
    """The zero-shot pictures as [picture, y, x, channel], and what they show."""
    images, scenes = [], []
    for sample in read_shard(folder / ZERO_SHOT):
        if isinstance(sample, Damage) or sample.image is None or sample.meta is None:
            raise DataError(f"{folder / ZERO_SHOT}: is damaged at {sample.key}. Make or fetch it again.")
        with Image.open(io.BytesIO(sample.image)) as image:
            images.append(np.asarray(image))
        meta = json.loads(sample.meta)
        del meta["class"]
        scenes.append(Scene.from_json(meta))
    return np.stack(images), scenes


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


def _reference(count: int, resolution: int) -> dict[str, Any]:
    """What the reference set is drawn from, and the digest of its pixels.

    5,000 PNGs would be a tenth of all that git keeps of the world, and rendering them takes two seconds: so
    they are rendered again when they are wanted, and must have this digest.
    """
    pixels = _render_reference(count, resolution)
    return {"renders": count, "resolution": resolution, "sha256": _digest(pixels)}


def read_reference(folder: Path) -> NDArray[np.uint8]:
    """The reference set for FID as [picture, y, x, channel], to the pixel as when the world was made."""
    told = json.loads((folder / REFERENCE).read_text(encoding="utf-8"))
    pixels = _render_reference(told["renders"], told["resolution"])
    if _digest(pixels) != told["sha256"]:
        raise DataError(
            f"{folder / REFERENCE}: the renderer draws other pixels than when the world was made. Install "
            "the pillow and qtawesome that requirements.lock names (make setup), or make the world again."
        )
    return pixels


def _digest(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def _render_reference(count: int, resolution: int) -> NDArray[np.uint8]:
    scenes = draw_scenes(SUPPLIES["reference"], 0, count, held_out=True)
    parts = [render_batch(scenes[first : first + 256], resolution) for first in range(0, count, 256)]
    return np.concatenate(parts)
