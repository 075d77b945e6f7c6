"""The world's zero-shot set as labelled images: its own pictures, and its own nouns' numbers."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.labelled.make import make_labelled
from rglcd_pipelines.data.shards import Sample, read_shard
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world.sets import CLASSES, SetsConfig, make_sets, read_strings, read_zero_shot
from rglcd_pipelines.world.zero_shot_source import WorldZeroShotSource

CONFIG = SetsConfig(zero_shot_per_class=2, prompts_per_style=10, captions=10, reference=10)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_sets(CONFIG, 32, tmp_path_factory.mktemp("sets") / "sets")


def test_each_picture_comes_with_the_number_of_its_noun(sets: Artifact, tmp_path: Path) -> None:
    source, nouns = WorldZeroShotSource(sets.path), read_strings(sets.path / CLASSES)
    made = make_labelled(source, source.classes(), tmp_path / "labelled", progress=False)
    pixels, scenes = read_zero_shot(sets.path)
    (shard,) = made.manifest["shards"]
    samples = list(read_shard(made.path / shard["name"]))
    assert len(samples) == len(scenes) == 2 * len(nouns)
    for sample, image, scene in zip(samples, pixels, scenes, strict=True):
        assert isinstance(sample, Sample)
        assert nouns[int(sample.caption or b"")] == scene.noun
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(sample.image or b""))), image)


def test_it_is_made_once_and_can_be_read_from_the_middle(sets: Artifact, tmp_path: Path) -> None:
    source = WorldZeroShotSource(sets.path)
    assert not make_labelled(source, 48, tmp_path / "labelled", progress=False).reused
    assert make_labelled(WorldZeroShotSource(sets.path), 48, tmp_path / "labelled", progress=False).reused
    assert list(source.samples(90)) == list(source.samples())[90:]


def test_a_world_without_the_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pictures\.json: there is no zero-shot set here.*pipeline=world"):
        WorldZeroShotSource(tmp_path)
