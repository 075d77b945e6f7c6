"""The catalog's own dataset types."""

from pathlib import Path

import pytest
from PIL import Image

from rglcd_pipelines.artifacts import Artifact, draft, publish
from rglcd_pipelines.datasets.artifact import ArtifactDataset
from rglcd_pipelines.datasets.picture import PictureDataset
from rglcd_pipelines.errors import DataError


def make(place: Path) -> Artifact:
    with draft(place, {"format": 1}) as work:
        return publish(work, place, "pairs", {"format": 1}, {}, {})


def test_an_artifact_is_loaded_as_its_handle(tmp_path: Path) -> None:
    dataset = ArtifactDataset(str(tmp_path / "pairs"), "pairs")
    assert not dataset.exists()
    made = make(tmp_path / "pairs")
    dataset.save(made)
    assert dataset.exists()
    assert dataset.load() == made


def test_an_artifact_in_another_place_than_the_catalogs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="the catalog has them at") as caught:
        ArtifactDataset(str(tmp_path / "pairs"), "pairs").save(make(tmp_path / "elsewhere"))
    assert isinstance(caught.value.__cause__ or caught.value, DataError)


def test_a_picture_is_replaced_never_written_through(tmp_path: Path) -> None:
    file, kept = tmp_path / "deep" / "picture.png", tmp_path / "link.png"
    dataset = PictureDataset(str(file))
    dataset.save(Image.new("RGB", (4, 4), "red"))
    kept.hardlink_to(file)
    before = kept.read_bytes()
    dataset.save(Image.new("RGB", (4, 4), "blue"))
    assert kept.read_bytes() == before
    assert dataset.load().getpixel((0, 0)) == (0, 0, 255)


def test_a_picture_that_is_the_same_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    dataset = PictureDataset(str(file))
    dataset.save(Image.new("RGB", (4, 4), "red"))
    before = file.stat()
    dataset.save(Image.new("RGB", (4, 4), "red"))
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
