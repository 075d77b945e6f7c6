"""A labelled set becomes the same shards each time, its captions the numbers of its classes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.data.images import decode
from rglcd_pipelines.data.labelled import make
from rglcd_pipelines.data.labelled.folder import FolderSource
from rglcd_pipelines.data.labelled.make import make_labelled
from rglcd_pipelines.data.labelled.settings import LabelledConfig
from rglcd_pipelines.data.labelled.source import LabelledSource, open_source
from rglcd_pipelines.data.labelled.tars import TarsSource
from rglcd_pipelines.data.latents.encode import encode
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.data.sources.shards import ShardsConfig
from tests.data.encode_pairs import config
from tests.data.labelled.labelled_sets import (
    WNIDS,
    files,
    folder_of,
    labels_of,
    names_of,
    samples_of,
    tars_of,
    write_folder,
    write_tars,
)
from tests.data.make_shards import encoded, picture


@pytest.fixture(autouse=True)
def four_in_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "PER_SHARD", 4)


def test_the_sub_folders_in_order_are_the_classes(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "val")
    for stray in (".DS_Store", "n01440764/notes.txt", "n01440764/.hidden.jpg", "LOC_val_solution.csv"):
        (folder / stray).write_bytes(b"not an image")
    (folder / ".cache").mkdir()
    made = make_labelled(folder_of(folder), 3, tmp_path / "labelled", progress=False)
    assert labels_of(made) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert names_of(made)[3] == f"{WNIDS[1]}/ILSVRC2012_val_00000003.JPEG"
    assert [sample.key for sample in samples_of(made)] == [f"{number:09d}" for number in range(9)]
    original = (folder / WNIDS[1] / "ILSVRC2012_val_00000003.JPEG").read_bytes()
    assert samples_of(made)[3].image == original
    assert (made.manifest["samples"], made.manifest["classes"]) == (9, 3)
    for shard in made.manifest["shards"]:
        file = made.path / shard["name"]
        assert (shard["bytes"], shard["sha256"]) == (file.stat().st_size, digest_file(file))
    assert [shard["samples"] for shard in made.manifest["shards"]] == [4, 4, 1]
    assert sorted(files(made)) == [*(f"labelled-{n:05d}.tar" for n in range(3)), "manifest.json"]


def test_the_cls_of_a_tar_is_the_class(tmp_path: Path) -> None:
    made = make_labelled(tars_of(write_tars(tmp_path / "tars")), 3, tmp_path / "labelled", progress=False)
    assert labels_of(made) == [0, 1, 2] * 4
    assert names_of(made)[6] == "imagenet1k-validation-01.tar/00006"


def test_the_same_source_gives_the_same_bytes_wherever_it_stands(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_folder(tmp_path / name / "val")
        for file in (tmp_path / name / "val").rglob("*.JPEG"):
            os.utime(file, ns=(1, 1))
    made = [
        make_labelled(folder_of(tmp_path / name / "val"), 3, tmp_path / name / "labelled", progress=False)
        for name in ("first", "second")
    ]
    assert files(made[0]) == files(made[1])


@pytest.mark.parametrize("kind", ["folder", "tars"])
def test_a_second_run_does_nothing_until_the_source_changes(tmp_path: Path, kind: str) -> None:
    def source() -> LabelledSource:
        return folder_of(tmp_path / "set") if kind == "folder" else tars_of(tmp_path / "set")

    changed = write_folder(tmp_path / "set") if kind == "folder" else write_tars(tmp_path / "set")
    place = tmp_path / "labelled"
    assert not make_labelled(source(), 3, place, progress=False).reused
    assert make_labelled(source(), 3, place, progress=False).reused
    os.utime(next(file for file in changed.rglob("*") if file.is_file()), ns=(1, 1))
    assert not make_labelled(source(), 3, place, progress=False).reused


def test_fewer_images_of_each_class(tmp_path: Path) -> None:
    folder, tars = write_folder(tmp_path / "val"), write_tars(tmp_path / "tars")
    some = make_labelled(folder_of(folder, 2), 3, tmp_path / "some", progress=False)
    assert labels_of(some) == [0, 0, 1, 1, 2, 2]
    others = make_labelled(tars_of(tars, 3), 3, tmp_path / "others", progress=False)
    assert labels_of(others) == [0, 1, 2] * 3
    assert not make_labelled(tars_of(tars, 2), 3, tmp_path / "others", progress=False).reused


@pytest.mark.parametrize("kind", ["folder", "tars"])
def test_a_source_can_be_read_from_the_middle(tmp_path: Path, kind: str) -> None:
    for per_class in (None, 2):
        source = (
            folder_of(write_folder(tmp_path / f"{kind}{per_class}"), per_class)
            if kind == "folder"
            else tars_of(write_tars(tmp_path / f"{kind}{per_class}"), per_class)
        )
        everything = list(source.samples())
        for first in range(len(everything) + 1):
            assert list(source.samples(first)) == everything[first:]


@pytest.mark.parametrize(
    ("mode", "format"),
    [("CMYK", "JPEG"), ("P", "PNG"), ("P", "GIF"), ("LA", "PNG"), ("1", "PNG"), ("YCbCr", "TIFF")],
)
def test_what_is_not_plain_becomes_a_png_in_rgb(tmp_path: Path, mode: str, format: str) -> None:
    folder = write_folder(tmp_path / "val", per_class=1)
    strange = picture(7).convert(mode)
    (folder / WNIDS[0] / "strange.JPEG").write_bytes(encoded(strange, format))
    made = make_labelled(folder_of(folder), 3, tmp_path / "labelled", progress=False)
    sample = samples_of(made)[1]
    assert (sample.extension, labels_of(made)) == ("png", [0, 0, 1, 2])
    found = decode(sample.image or b"")
    expected = strange.convert("RGB") if mode != "LA" else strange.convert("L").convert("RGB")
    difference = np.abs(np.asarray(found, np.int16) - np.asarray(expected, np.int16))
    assert difference.mean() < 4  # what JPEG takes


def test_grey_jpegs_stay_as_they_are(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "val", per_class=1)
    grey = encoded(picture(7, mode="L"), "JPEG")
    (folder / WNIDS[0] / "grey.JPEG").write_bytes(grey)
    sample = samples_of(make_labelled(folder_of(folder), 3, tmp_path / "labelled", progress=False))[1]
    assert (sample.image, sample.extension) == (grey, "jpg")


def test_it_is_encoded_like_pairs(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "val")
    (folder / WNIDS[2] / "zzz.JPEG").write_bytes(encoded(picture(9, mode="CMYK"), "JPEG"))
    made = make_labelled(folder_of(folder), 3, tmp_path / "labelled", progress=False)
    latents = encode(made, config(), tmp_path / "latents")
    batch = LatentReader(latents).batch(range(10))
    assert [int(caption) for caption in batch.captions] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert json.loads(batch.metas[9]) == {"name": f"{WNIDS[2]}/zzz.JPEG"}
    assert batch.latents.shape == (10, 4, 8, 8)
    assert latents.manifest["made_from"]["inputs"] == {"pairs": made.digest}


def test_the_settings_open_their_source(tmp_path: Path) -> None:
    folder = open_source(LabelledConfig(source="folder", path="x", per_class=2), tmp_path)
    shards = open_source(LabelledConfig(source="shards", shards=ShardsConfig(path="x")), tmp_path)
    assert (type(folder), type(shards)) == (FolderSource, TarsSource)


def test_nothing_here_imports_torch() -> None:
    program = """
        import sys
        import rglcd_pipelines.data.labelled.make, rglcd_pipelines.data.labelled.source
        import rglcd_pipelines.data.labelled.tars, rglcd_pipelines.data.labelled.folder
        print("torch" in sys.modules)
    """
    lines = "\n".join(line.strip() for line in program.splitlines())
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
