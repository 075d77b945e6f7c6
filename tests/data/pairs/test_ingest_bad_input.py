"""Bad input is a counted rejection beside good pairs, or a clear error; nothing is half-written."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.pairs.clean import CleanConfig, clean
from rglcd_pipelines.data.pairs.folder import Pairs
from rglcd_pipelines.data.pairs.rules import Rules
from rglcd_pipelines.data.sources.shards import ShardsConfig, ShardsSource
from rglcd_pipelines.errors import DataError
from tests.data.make_shards import encoded, pair, picture, png, tar_bytes, write_good_shards, write_tar

GOOD = [*pair("good1", 101), *pair("good2", 102)]


def ingest(path: Path, place: Path, samples_per_shard: int = 10, **rules: Any) -> Artifact:
    values = {"min_side": 8, "max_rejected_share": 1.0, "max_pixels": 10_000} | rules
    config = CleanConfig(
        samples_per_shard=samples_per_shard, rules=Rules.model_validate(values), progress=False
    )
    return clean(ShardsSource(ShardsConfig(path=str(path)), place), config, place)


def reasons(artifact: Artifact) -> list[str | None]:
    column = pq.read_table(artifact.path / "table.parquet", columns=["reason"])["reason"]
    return column.to_pylist()


def keys(artifact: Artifact) -> list[str]:
    table = pq.read_table(artifact.path / "table.parquet", columns=["key", "kept"])
    return [row["key"] for row in table.to_pylist() if row["kept"]]


def frames(format: str) -> bytes:
    return encoded(picture(1), format, save_all=True, append_images=[picture(2), picture(3)])


def transparent() -> bytes:
    image = picture(4, mode="RGBA")
    image.putalpha(100)
    return encoded(image)


IMAGES = {
    "empty_image": b"",
    "corrupt_image": png(5)[:-100],
    "too_many_pixels": png(6, 200, 100),
    "too_small": png(7, 7, 8),
    "aspect_ratio": png(8, 40, 10),
    "transparent_image": transparent(),
}


@pytest.mark.parametrize(
    ("reason", "image"),
    [
        *IMAGES.items(),
        ("corrupt_image", b"this is no image at all"),
        ("colour_mode", encoded(picture(9).convert("CMYK"), "JPEG")),
        ("colour_mode", encoded(Image.fromarray(np.full((20, 20), 30_000, np.uint16)))),
        ("animated_image", frames("GIF")),
        ("animated_image", frames("WEBP")),
        ("animated_image", frames("PNG")),
    ],
)
def test_a_bad_image_is_counted(tmp_path: Path, reason: str, image: bytes) -> None:
    bad = [("bad.png", image), ("bad.txt", b"a good caption")]
    write_tar(tmp_path / "in.tar", [*GOOD[:2], *bad, *GOOD[2:]])
    artifact = ingest(tmp_path / "in.tar", tmp_path / "pairs")
    assert reasons(artifact) == [None, reason, None]
    assert artifact.manifest["counts"]["reasons"] == {reason: 1}
    assert len(list(Pairs(artifact).read(0))) == 2


@pytest.mark.parametrize(
    ("reason", "caption"),
    [
        ("caption_too_long", b"x" * 100_000),
        ("caption_too_long", "\u65e5".encode() * 100_000),
        ("empty_caption", b"\x00\x01\x1b\x7f" * 20),
        ("empty_caption", b""),
        ("caption_encoding", b"a caption \xff\xfe of bad UTF-8"),
        ("caption_too_short", b"abc"),
        ("missing_caption", None),
    ],
)
def test_a_bad_caption_is_counted(tmp_path: Path, reason: str, caption: bytes | None) -> None:
    bad = [("bad.png", png(1))] + ([("bad.txt", caption)] if caption is not None else [])
    write_tar(tmp_path / "in.tar", [*GOOD[:2], *bad, *GOOD[2:]])
    artifact = ingest(tmp_path / "in.tar", tmp_path / "pairs")
    assert reasons(artifact) == [None, reason, None]
    captions = pq.read_table(artifact.path / "table.parquet", columns=["caption"])["caption"].to_pylist()
    assert captions[1] is None


def test_a_sample_without_image_is_counted(tmp_path: Path) -> None:
    write_tar(tmp_path / "in.tar", [*GOOD[:2], ("bad.txt", b"a good caption"), *GOOD[2:]])
    assert reasons(ingest(tmp_path / "in.tar", tmp_path / "pairs")) == [None, "missing_image", None]


def test_an_odd_person_is_dropped_when_asked(tmp_path: Path) -> None:
    write_tar(tmp_path / "in.tar", [*GOOD, *pair("bad", 1, "<PERSON> on a horse")])
    dropped = ingest(tmp_path / "in.tar", tmp_path / "dropped", person="drop")
    assert reasons(dropped) == [None, None, "person_caption"]
    replaced = ingest(tmp_path / "in.tar", tmp_path / "replaced", person_word="someone")
    assert [sample.caption for sample in Pairs(replaced).read(0)][2] == b"someone on a horse"


WHOLE = tar_bytes([*GOOD, *pair("last", 103)])


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("truncated_shard", WHOLE[:-12_000]),
        ("truncated_shard", WHOLE[:700]),
        ("empty_shard", b""),
        ("empty_shard", tar_bytes([])),
        ("unreadable_shard", b"this is no tar " * 500),
        ("unreadable_shard", WHOLE[:300]),
        ("data_after_end", tar_bytes(pair("one", 201)) + tar_bytes(pair("two", 202))),
    ],
)
def test_a_bad_tar_among_good_ones(tmp_path: Path, reason: str, content: bytes) -> None:
    folder = tmp_path / "in"
    write_good_shards(folder, shards=1, samples=3)
    (folder / "00001.tar").write_bytes(content)
    write_tar(folder / "00002.tar", pair("end", 200))
    artifact = ingest(folder, tmp_path / "pairs")
    assert artifact.manifest["counts"]["reasons"] == {reason: 1}
    assert keys(artifact)[:3] + keys(artifact)[-1:] == ["000000000", "000000001", "000000002", "end"]
    Pairs(artifact).verify()


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("../outside.png", tarfile.REGTYPE, "unsafe_name"),
        ("/tmp/outside.png", tarfile.REGTYPE, "unsafe_name"),
        ("link.png", tarfile.SYMTYPE, "not_a_file"),
        ("hard.png", tarfile.LNKTYPE, "not_a_file"),
        ("device.png", tarfile.CHRTYPE, "not_a_file"),
        ("fifo.png", tarfile.FIFOTYPE, "not_a_file"),
    ],
)
def test_a_member_that_is_no_plain_file(tmp_path: Path, name: str, kind: bytes, reason: str) -> None:
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "0.tar", "w") as tar:
        odd = tarfile.TarInfo(name)
        odd.type, odd.linkname = kind, "good1.png"
        for member, content in GOOD:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        tar.addfile(odd)
    artifact = ingest(tmp_path / "in", tmp_path / "pairs")
    assert artifact.manifest["counts"] == {
        "seen": 3, "kept": 2, "rejected": 1, "reasons": {reason: 1}, "lost": {},
    }  # fmt: skip
    assert not list(tmp_path.rglob("*.png"))
    assert not Path("/tmp/outside.png").exists()


def test_keys_of_any_bytes_and_length_reach_the_table(tmp_path: Path) -> None:
    names = ["\udcff\udcfe", "a" * 3000, "line\nbreak", "slash/es", "\u65e5\u672c", "a" * 3000 + "b"]
    write_tar(tmp_path / "in.tar", [member for n, name in enumerate(names) for member in pair(name, n)])
    artifact = ingest(tmp_path / "in.tar", tmp_path / "pairs")
    found = keys(artifact)
    assert len(set(found)) == len(names)
    assert found[0] == "\\udcff\\udcfe"
    assert [sample.key for sample in Pairs(artifact).read(0)] == [f"{n:09d}" for n in range(len(names))]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small disk can only be mounted by root")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(path: Path, leave: int) -> None:
    """Use up the disk of `path` but for about `leave` bytes."""
    free = os.statvfs(path.parent)
    path.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave)))


@pytest.mark.parametrize("leave", [0, 4096, 12_000, 60_000, 130_000])
def test_a_disk_that_fills_up(tmp_path: Path, small_disk: Path, leave: int) -> None:
    folder = write_good_shards(tmp_path / "in", shards=6, samples=10)
    fill(small_disk / "ballast", leave)
    with pytest.raises(DataError, match="the disk is full") as caught:
        ingest(folder, small_disk / "pairs", samples_per_shard=7)
    assert str(small_disk) in str(caught.value)
    assert not (small_disk / "pairs").exists()
    left = [path.name for path in small_disk.rglob("*") if path.is_file()]
    assert not [name for name in left if name.endswith(".tmp")]

    (small_disk / "ballast").unlink()
    resumed = ingest(folder, small_disk / "pairs", samples_per_shard=7)
    fresh = ingest(folder, tmp_path / "fresh", samples_per_shard=7)
    Pairs(resumed).verify()
    assert resumed.digest == fresh.digest
    assert sorted(path.name for path in resumed.path.iterdir()) == sorted(
        path.name for path in fresh.path.iterdir()
    )
