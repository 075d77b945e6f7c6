"""Real pictures: the world's, in folders and in shards; what is missing or unreadable is told."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.data.shards import Sample, write_shard
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.distances.identity import reference_identity
from rglcd_pipelines.evaluation.distances.reference import Reference, compute, make_reference
from rglcd_pipelines.evaluation.distances.settings import FeaturesConfig, ReferenceConfig
from rglcd_pipelines.world.folder import COMMITTED
from rglcd_pipelines.world.sets import read_reference
from tests.evaluation.distances.own_features import Colours

CPU = torch.device("cpu")
SETS = Path(__file__).parents[3] / COMMITTED / "sets"
COLOURS = Colours(CPU)
OWN = FeaturesConfig(kind="tests.evaluation.distances.own_features:Colours", size=16)


def config(kind: str, path: Path, **values: Any) -> ReferenceConfig:
    return check(ReferenceConfig, {"kind": kind, "path": str(path), **values}, "evaluate.reference")


def picture(index: int, width: int = 20, height: int = 20) -> bytes:
    """Of one colour, another for each index."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (10 * index, 5 * index, 255 - 20 * index)).save(file, "PNG")
    return file.getvalue()


def colours(count: int) -> list[list[float]]:
    return [[10 * index, 5 * index, 255 - 20 * index] for index in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight pictures of several sizes, some of them deeper, and a file that is none."""
    place = tmp_path / "pictures"
    (place / "more").mkdir(parents=True)
    for index in range(8):
        name = f"more/{index}.PNG" if index > 5 else f"{index}.png"
        (place / name).write_bytes(picture(index, 20 + index, 30))
    (place / "notes.txt").write_text("no picture")
    return place


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    place = tmp_path / "shards"
    place.mkdir()
    for shard in range(2):
        samples = [Sample(f"{index}", picture(index)) for index in range(4 * shard, 4 * shard + 4)]
        write_shard(place / f"{shard}.tar", samples)
    return place


def test_the_worlds_reference_is_its_renders() -> None:
    found = compute(config("world", SETS, count=20), COLOURS)
    expected = read_reference(SETS)[:20].astype(np.float64).mean((1, 2))
    assert np.allclose(found.features, expected, atol=1e-3)
    assert np.allclose(found.moments.mean, expected.mean(0), atol=1e-3)


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_pictures_come_in_the_order_of_their_names(kind: str, folder: Path, shards: Path) -> None:
    place = folder if kind == "folder" else shards
    assert compute(config(kind, place), COLOURS, 16).features.tolist() == colours(8)
    assert compute(config(kind, place, count=5), COLOURS, 16).features.tolist() == colours(5)


def test_pictures_of_several_sizes_need_one(folder: Path) -> None:
    with pytest.raises(DataError, match=r"differ in size\. Set evaluate\.features\.size"):
        compute(config("folder", folder), COLOURS)


def test_all_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "2.png").write_bytes(b"no picture")
    (folder / "more" / "6.PNG").write_bytes(picture(6)[:40])
    (folder / "4.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"3 pictures cannot be read: 2\.png \(corrupt.*4\.png \(empty.*more/6\.PNG"
    ):
        compute(config("folder", folder), COLOURS, 16)


def test_damaged_shards_are_named(shards: Path) -> None:
    content = (shards / "1.tar").read_bytes()
    (shards / "1.tar").write_bytes(content[:1_800])
    with pytest.raises(DataError, match=r"1\.tar: .*truncated_shard"):
        compute(config("shards", shards), COLOURS, 16)


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_too_few_are_told(kind: str, folder: Path, shards: Path, tmp_path: Path) -> None:
    place = folder if kind == "folder" else shards
    with pytest.raises(DataError, match=r"holds 8 pictures, and evaluate\.reference\.count is 9"):
        compute(config(kind, place, count=9), COLOURS, 16)
    with pytest.raises(DataError, match="3 pictures are too few to compare 3 features"):
        compute(config(kind, place, count=3), COLOURS, 16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no pictures"):
        compute(config(kind, tmp_path / "empty"), COLOURS, 16)
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        compute(config(kind, tmp_path / "nowhere"), COLOURS, 16)


def test_a_world_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no reference set of a miniature world"):
        compute(config("world", tmp_path), COLOURS)
    with pytest.raises(ConfigError, match=r"evaluate\.reference\.kind"):
        config("worlds", tmp_path)


def test_it_is_made_once(folder: Path, tmp_path: Path) -> None:
    asked, place = config("folder", folder), tmp_path / "reference"
    made = make_reference(asked, OWN, CPU, place)
    assert not made.reused
    assert made.manifest["pictures"] == 8
    assert Reference.open(made).features.tolist() == colours(8)
    assert make_reference(asked, OWN, CPU, place).reused
    (folder / "9.png").write_bytes(picture(9))
    again = make_reference(asked, OWN, CPU, place)
    assert not again.reused
    assert len(Reference.open(again).features) == 9


def test_a_damaged_one_is_told(folder: Path, tmp_path: Path) -> None:
    made = make_reference(config("folder", folder), OWN, CPU, tmp_path / "reference")
    file = made.path / "features.npy"
    for content in (b"nothing", file.read_bytes()[:90], None):
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(DataError, match=r"features\.npy: is missing or damaged"):
            Reference.open(Artifact(made.path, made.manifest))


def test_identity_is_what_lies_there(folder: Path, shards: Path, tmp_path: Path) -> None:
    assert reference_identity(None) is None
    of_folder = reference_identity(config("folder", folder))
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    assert reference_identity(config("folder", moved)) == of_folder
    (moved / "0.png").unlink()
    assert reference_identity(config("folder", moved)) != of_folder
    assert reference_identity(config("folder", folder, count=4)) != of_folder
    told = [reference_identity(config(kind, place)) for kind, place in (("shards", shards), ("world", SETS))]
    assert all(each != of_folder for each in told)
