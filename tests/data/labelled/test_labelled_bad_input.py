"""Whatever is wrong with a labelled set is told by the file and the parameter, and nothing half is left."""

import re
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.data.labelled.make import make_labelled
from rglcd_pipelines.data.labelled.settings import LabelledConfig
from rglcd_pipelines.data.labelled.source import LabelledSource
from rglcd_pipelines.errors import ConfigError, DataError
from tests.data.labelled.labelled_sets import WNIDS, folder_of, labelled, tars_of, write_folder, write_tars
from tests.data.make_shards import write_tar


def refused(source: LabelledSource, place: Path, classes: int = 3) -> str:
    """What is told; there is no result then."""
    with pytest.raises(DataError) as caught:
        make_labelled(source, classes, place, progress=False)
    assert not place.exists()
    return str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    told = refused(folder_of(tmp_path / "none"), tmp_path / "labelled")
    assert f"lrm.zero_shot.set.path: {tmp_path / 'none'} cannot be read (No such file" in told


def test_a_folder_without_sub_folders(tmp_path: Path) -> None:
    """As ImageNet's own tar unpacks."""
    write_folder(tmp_path / "val", classes=("only",))
    told = refused(folder_of(tmp_path / "val" / "only"), tmp_path / "labelled")
    assert told.startswith("lrm.zero_shot.set.path:")
    assert "has no sub-folders" in told


def test_an_empty_class_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "val")
    (folder / "n01491361").mkdir()
    (folder / "n01491361" / "notes.txt").write_bytes(b"none yet")
    told = refused(folder_of(folder), tmp_path / "labelled", 4)
    assert f"lrm.zero_shot.set.path: the class folder {folder / 'n01491361'} has no images" in told


@pytest.mark.parametrize("classes", [2, 4, 1000])
def test_another_number_of_classes(tmp_path: Path, classes: int) -> None:
    told = refused(folder_of(write_folder(tmp_path / "val")), tmp_path / "labelled", classes)
    assert told.startswith(f"lrm.zero_shot.set has 3 classes, but lrm.zero_shot.classes has {classes} names")


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "val")
    (folder / WNIDS[0] / "z.jpg").symlink_to(tmp_path / "gone.jpg")
    told = refused(folder_of(folder), tmp_path / "labelled")
    assert f"lrm.zero_shot.set.path: {folder / WNIDS[0] / 'z.jpg'} cannot be read" in told


def test_an_image_that_goes_away_meanwhile(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "val")
    source = folder_of(folder)
    source.identity()
    gone = folder / WNIDS[2] / "ILSVRC2012_val_00000006.JPEG"
    gone.unlink()
    assert str(gone) in str(refused_by(source))


def refused_by(source: LabelledSource) -> DataError:
    with pytest.raises(DataError) as caught:
        list(source.samples())
    return caught.value


def test_an_image_that_cannot_be_decoded(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "val")
    bad = folder / WNIDS[1] / "ILSVRC2012_val_00000004.JPEG"
    bad.write_bytes(bad.read_bytes()[:300])
    told = refused(folder_of(folder), tmp_path / "labelled")
    assert told.startswith(f"{bad}: cannot be used as an image (corrupt_image")
    assert "lrm.zero_shot.set" in told
    # What is good by then stays, and with a good image in its place the run goes on.
    bad.unlink()
    assert make_labelled(folder_of(folder), 3, tmp_path / "labelled", progress=False).manifest["samples"] == 8


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("cat", "its .cls is 'cat', where the number of its class belongs"),
        ("", "its .cls is ''"),
        ("1.0", "its .cls is '1.0'"),
        ("1 2", "its .cls is '1 2'"),
        ("٣", "where the number of its class belongs"),
        ("9" * 5000, "where the number of its class belongs"),
        ("3", "is of class 3, but lrm.zero_shot.classes has 3 names, of classes 0 to 2"),
        ("-1", "is of class -1, but lrm.zero_shot.classes has 3 names"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, label: str, words: str) -> None:
    tars = write_tars(tmp_path / "tars")
    write_tar(tars / "x.tar", [*labelled(1, 1), *labelled(2, label)])
    told = refused(tars_of(tars), tmp_path / "labelled")
    assert told.startswith(f"{tars / 'x.tar'}, sample 00002: ")
    assert words in told
    assert "lrm.zero_shot.set" in told
    assert len(told) < 500


def test_a_label_may_end_its_line(tmp_path: Path) -> None:
    write_tar(tmp_path / "tars" / "x.tar", labelled(0, " 0\n"))
    assert make_labelled(tars_of(tmp_path / "tars"), 1, tmp_path / "labelled", progress=False).manifest[
        "samples"
    ]


@pytest.mark.parametrize(("left_out", "words"), [("cls", "has no .cls"), ("jpg", "has no image")])
def test_samples_that_lack_a_part(tmp_path: Path, left_out: str, words: str) -> None:
    members = [member for member in labelled(5, 1) if not member[0].endswith(left_out)]
    write_tar(tmp_path / "tars" / "x.tar", members)
    told = refused(tars_of(tmp_path / "tars"), tmp_path / "labelled")
    assert re.match(r".*x\.tar, sample 00005: ", told)
    assert words in told
    assert "lrm.zero_shot.set.shards" in told


def test_a_shard_that_breaks_off(tmp_path: Path) -> None:
    tars = write_tars(tmp_path / "tars")
    last = tars / "imagenet1k-validation-01.tar"
    last.write_bytes(last.read_bytes()[:4000])
    told = refused(tars_of(tars), tmp_path / "labelled")
    assert told.startswith(f"{last}: cannot be used (truncated_shard")
    assert "lrm.zero_shot.set.shards" in told


def test_no_shards_at_all(tmp_path: Path) -> None:
    assert "shards.path: no tar matches" in refused(tars_of(tmp_path / "none"), tmp_path / "labelled")


def test_names_of_more_classes_than_the_shards_show(tmp_path: Path) -> None:
    told = refused(tars_of(write_tars(tmp_path / "tars")), tmp_path / "labelled", 1000)
    assert told.startswith(
        "lrm.zero_shot.set: 997 of the 1000 classes that lrm.zero_shot.classes names have no image"
    )
    assert "(3, 4, 5, 6, 7, …)" in told


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source": "foldr", "path": "x"}, "zero_shot.set.source: should be 'world', 'folder' or 'shards'"),
        ({"source": "folder"}, "source is folder, but path is missing"),
        ({"source": "folder", "path": ""}, "source is folder, but path is missing"),
        ({"source": "shards"}, "there is no section `shards`"),
        ({"source": "shards", "shards": {"path": "pipe:x"}}, "a URL or a command"),
        ({"source": "shards", "shards": {"repository": "a/b", "revision": "main"}}, "pins nothing"),
        ({"source": "world"}, "path is missing; say where the world's sets"),
        ({"source": "world", "path": "sets", "per_class": 3}, "per_class is for folders and shards"),
        ({"source": "folder", "path": "x", "per_class": 0}, "lrm.zero_shot.set.per_class"),
        ({"source": "folder", "pth": "x"}, "did you mean lrm.zero_shot.set.path?"),
    ],
)
def test_impossible_settings(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(LabelledConfig, values, "lrm.zero_shot.set")
    assert words in str(caught.value)
