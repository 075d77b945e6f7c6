"""The miniature world as a source of pairs: shards that are rendered when they are asked for."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import Field

from rglcd_pipelines.artifacts import canonical_json, digest_json, explain_full_disk
from rglcd_pipelines.config import Config
from rglcd_pipelines.data.shards import Sample, write_shard
from rglcd_pipelines.world import vocabulary
from rglcd_pipelines.world.icons import font_versions
from rglcd_pipelines.world.render import MIN_RESOLUTION, UNIT, render_batch
from rglcd_pipelines.world.scenes import draw_scenes

FORMAT = 2
"""Raised whenever the same settings and vocabulary would give other shards than before."""

BATCH = 256

logger = logging.getLogger(__name__)


class WorldPairs(Config):
    """How many pictures of the miniature world there are, and how large."""

    samples: int = Field(default=20_000, ge=1)
    """How many pairs are rendered."""

    seed: int = Field(default=0, ge=0)
    """Which scenes are drawn: another seed gives another set of pairs."""

    resolution: int = Field(default=UNIT, ge=MIN_RESOLUTION, le=1024)
    """The side of the pictures in pixels."""

    samples_per_shard: int = Field(default=5_000, ge=1)
    """How many pairs a rendered shard holds; the last one may hold fewer."""


class WorldSource:
    """Renders pairs of scenes that are not held out."""

    def __init__(self, config: WorldPairs, raw: Path) -> None:
        self.config = config
        self.folder = raw / f"world-{digest_json(self.identity())[:16]}"

    def identity(self) -> dict[str, Any]:
        return {
            "source": "world",
            "format": FORMAT,
            **self.config.model_dump(),
            "vocabulary": vocabulary.digest(),
            "fonts": font_versions(),
        }

    def shards(self) -> Iterator[Path]:
        size = self.config.samples_per_shard
        with explain_full_disk(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        for block, start in enumerate(range(0, self.config.samples, size)):
            path = self.folder / f"{block:05d}.tar"
            if not path.exists():
                count = write_shard(path, self._samples(block, start))
                logger.debug("rendered %d pairs into %s", count, path)
            yield path

    def expected(self) -> int:
        return self.config.samples

    def losses(self) -> dict[str, int]:
        return {}

    def _samples(self, block: int, start: int) -> Iterator[Sample]:
        """The pairs of one shard; keys go on from shard to shard."""
        count = min(self.config.samples_per_shard, self.config.samples - start)
        scenes = draw_scenes(self.config.seed, block, count)
        for first in range(0, count, BATCH):
            batch = scenes[first : first + BATCH]
            images = render_batch(batch, self.config.resolution)
            for index, (scene, image) in enumerate(zip(batch, images, strict=True), start + first):
                yield Sample(
                    key=f"{index:08d}",
                    image=_png(image),
                    extension="png",
                    caption=scene.caption.encode(),
                    meta=canonical_json(scene.as_json()).encode(),
                )


def _png(image: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
