"""A pairs folder is read and checked by its manifest; damage names the file and what makes it again."""

from pathlib import Path

import pytest

from rglcd_pipelines.data.pairs.clean import CleanConfig, clean
from rglcd_pipelines.data.pairs.folder import Pairs
from rglcd_pipelines.data.pairs.rules import Rules
from rglcd_pipelines.data.sources.shards import ShardsConfig, ShardsSource
from rglcd_pipelines.errors import DataError
from tests.data.make_shards import write_good_shards


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    folder = write_good_shards(tmp_path / "in", shards=1, samples=5)
    config = CleanConfig(samples_per_shard=2, rules=Rules(min_side=8), progress=False)
    clean(ShardsSource(ShardsConfig(path=str(folder)), tmp_path), config, tmp_path / "pairs")
    return Pairs.open(tmp_path / "pairs")


def test_what_is_there(pairs: Pairs) -> None:
    pairs.verify()
    assert len(pairs) == 5
    assert [shard.samples for shard in pairs.shards] == [2, 2, 1]
    assert [[sample.key for sample in pairs.read(n)] for n in range(3)] == [
        ["000000000", "000000001"], ["000000002", "000000003"], ["000000004"],
    ]  # fmt: skip
    assert pairs.table().num_rows == pairs.counts["seen"] == 5
    assert pairs.table(["key"]).column_names == ["key"]


@pytest.mark.parametrize("name", ["pairs-00001.tar", "table.parquet"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_names_the_file_and_the_command(pairs: Pairs, name: str, damage: str) -> None:
    path = pairs.artifact.path / name
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        content[600] ^= 1
        path.write_bytes(content if damage == "flip" else content[:-1])
    with pytest.raises(DataError) as caught:
        pairs.verify()
    assert str(path) in str(caught.value)
    assert "kedro run --pipeline=ingest" in str(caught.value)


def test_reading_a_damaged_shard(pairs: Pairs) -> None:
    path = pairs.shards[1].path
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(DataError, match="truncated_shard"):
        list(pairs.read(1))
    path.write_bytes(pairs.shards[2].path.read_bytes())
    with pytest.raises(DataError, match="holds 1 pairs instead of 2"):
        list(pairs.read(1))
    path.unlink()
    with pytest.raises(DataError, match="is missing"):
        list(pairs.read(1))


def test_no_pairs_here(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kedro run --pipeline=ingest"):
        Pairs.open(tmp_path)
