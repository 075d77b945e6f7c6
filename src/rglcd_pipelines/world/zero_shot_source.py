"""The world's small ImageNet as a labelled set: its rendered pictures and the numbers of their nouns."""

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.data.labelled.source import Labelled
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world import vocabulary
from rglcd_pipelines.world.sets import CLASSES, ZERO_SHOT, read_strings, read_zero_shot

FORMAT = 1
"""Raised whenever the same world would give other pictures or labels than before."""


class WorldZeroShotSource:
    """The zero-shot set of the `sets` folder of a world; classes are in the order of its classes.json."""

    def __init__(self, sets: Path) -> None:
        self.sets = sets
        for name in (ZERO_SHOT, CLASSES):
            if not (sets / name).is_file():
                raise DataError(
                    f"{sets / name}: there is no zero-shot set here. Make the world with: "
                    "kedro run --pipeline=world"
                )

    def identity(self) -> dict[str, Any]:
        return {
            "source": "world",
            "format": FORMAT,
            # It holds the digest of all pixels.
            "pictures": digest_file(self.sets / ZERO_SHOT),
            "nouns": digest_file(self.sets / CLASSES),
            "vocabulary": vocabulary.digest(),
        }

    def classes(self) -> int:
        return len(read_strings(self.sets / CLASSES))

    def expected(self) -> None:
        return None

    def samples(self, first: int = 0) -> Iterator[Labelled]:
        label_of = {noun: label for label, noun in enumerate(read_strings(self.sets / CLASSES))}
        pixels, scenes = read_zero_shot(self.sets)
        for number, (image, scene) in islice(enumerate(zip(pixels, scenes, strict=True)), first, None):
            place = f"{self.sets / ZERO_SHOT}, picture {number}"
            yield Labelled(scene.caption, place, _png(image), label_of[scene.noun])


def _png(image: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
