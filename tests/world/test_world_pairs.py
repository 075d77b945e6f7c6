import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rglcd_pipelines.config import check
from rglcd_pipelines.data.shards import Sample, read_shard
from rglcd_pipelines.data.sources import Source
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.world import pairs, vocabulary
from rglcd_pipelines.world.pairs import WorldPairs, WorldSource
from rglcd_pipelines.world.render import render
from rglcd_pipelines.world.scenes import Scene, is_held_out

CONFIG = WorldPairs(samples=25, seed=4, samples_per_shard=10)


def samples_of(source: Source) -> list[Sample]:
    samples = [item for path in source.shards() for item in read_shard(path)]
    assert all(isinstance(item, Sample) for item in samples)
    return [item for item in samples if isinstance(item, Sample)]


def test_shards_hold_what_their_attributes_say(tmp_path: Path) -> None:
    source = WorldSource(CONFIG, tmp_path)
    samples = samples_of(source)
    assert [path.name for path in source.shards()] == ["00000.tar", "00001.tar", "00002.tar"]
    assert [len(list(read_shard(path))) for path in source.shards()] == [10, 10, 5]
    assert [sample.key for sample in samples] == [f"{n:08d}" for n in range(25)]
    for sample in samples:
        assert sample.image
        assert sample.caption
        assert sample.meta
        scene = Scene.from_json(json.loads(sample.meta))
        assert not is_held_out(scene.noun, scene.colour)
        assert sample.caption.decode() == scene.caption
        picture = Image.open(io.BytesIO(sample.image))
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (32, 32))
        assert (np.asarray(picture) == render(scene)).all()
    assert source.losses() == {}


def test_same_seed_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, again = (list(WorldSource(CONFIG, tmp_path / name).shards()) for name in "ab")
    assert [a.read_bytes() for a in first] == [b.read_bytes() for b in again]
    assert len({path.read_bytes() for path in first}) == 3
    other = next(WorldSource(CONFIG.model_copy(update={"seed": 5}), tmp_path / "a").shards())
    assert other.parent != first[0].parent
    assert other.read_bytes() != first[0].read_bytes()


def test_shards_are_made_when_asked_for_and_then_kept(tmp_path: Path) -> None:
    source = WorldSource(CONFIG, tmp_path)
    assert source.identity() == WorldSource(CONFIG, tmp_path).identity()
    shards = source.shards()
    assert list(tmp_path.iterdir()) == []
    first = next(shards)
    assert [path.name for path in first.parent.iterdir()] == ["00000.tar"]
    before = first.stat()
    assert len(list(WorldSource(CONFIG, tmp_path).shards())) == 3
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_run_that_dies_leaves_no_half_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    source = WorldSource(CONFIG, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(pairs, "render_batch", stop)
        with pytest.raises(KeyboardInterrupt):
            list(source.shards())
    assert list(source.folder.iterdir()) == []
    assert len(samples_of(source)) == 25


def test_identity_tells_all_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = WorldSource(CONFIG, tmp_path).identity()
    assert json.loads(json.dumps(identity)) == identity
    changed = [
        WorldSource(CONFIG.model_copy(update=change), tmp_path).identity()
        for change in ({"seed": 5}, {"samples": 26}, {"resolution": 64}, {"samples_per_shard": 5})
    ]
    monkeypatch.setitem(vocabulary.COLOURS, "red", (255, 0, 0))
    changed.append(WorldSource(CONFIG, tmp_path).identity())
    assert all(other != identity for other in changed)


def test_resolution_is_the_pictures_side(tmp_path: Path) -> None:
    config = WorldPairs(samples=3, resolution=64)
    for sample in samples_of(WorldSource(config, tmp_path)):
        assert Image.open(io.BytesIO(sample.image or b"")).size == (64, 64)


@pytest.mark.parametrize(
    ("values", "told"),
    [({"samples": 0}, "samples"), ({"resolution": 8}, "resolution"), ({"sed": 1}, "did you mean world.seed")],
)
def test_settings_that_cannot_be_used(values: dict[str, int], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check(WorldPairs, values, "world")
