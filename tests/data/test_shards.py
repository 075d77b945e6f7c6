"""Tars are read without trust: all they hold is a sample or a counted damage; nothing is extracted."""

import io
import tarfile
import tracemalloc
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.data.shards import MAX_HEADER_BYTES, Damage, Sample, read_shard, write_shard
from tests.data.make_shards import tar_bytes

CONTENT = [
    (f"{n:03d}.{extension}", f"{n} {extension}".encode() * 40)
    for n in range(4)
    for extension in ("png", "txt")
]


def read(tmp_path: Path, content: bytes) -> list[Sample | Damage]:
    path = tmp_path / "shard.tar"
    path.write_bytes(content)
    return list(read_shard(path))


def keys(items: list[Sample | Damage]) -> list[str]:
    return [item.key for item in items if isinstance(item, Sample)]


def damages(items: list[Sample | Damage]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Damage)]


def header_offsets(content: bytes) -> list[int]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return [member.offset for member in tar]


key_text = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=40)
samples = st.lists(
    st.builds(
        Sample,
        key=key_text,
        image=st.binary(max_size=2000),
        extension=st.sampled_from(["jpg", "png", "webp"]),
        caption=st.none() | st.binary(max_size=700),
        meta=st.none() | st.binary(max_size=700),
        label=st.none() | st.binary(max_size=9),
    ),
    max_size=6,
)


@given(samples)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, samples: list[Sample]) -> None:
    # Neighbours of one key are one sample to a tar, so that what is compared has none.
    expected = [next(group) for _, group in groupby(samples, key=lambda sample: sample.key)]
    path = tmp_path_factory.getbasetemp() / "written.tar"
    assert write_shard(path, expected) == len(expected)
    first = path.read_bytes()
    found = list(read_shard(path))
    assert found == (expected or [Damage("written.tar", "empty_shard")])
    write_shard(path, expected)
    assert path.read_bytes() == first


@given(st.binary(max_size=3000))
def test_any_bytes_give_items_and_no_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    items = read(tmp_path_factory.getbasetemp(), content)
    assert damages(items)


@given(at=st.floats(0, 1, exclude_max=True), noise=st.binary(min_size=1, max_size=1200))
def test_damage_anywhere_is_never_silent(
    tmp_path_factory: pytest.TempPathFactory, at: float, noise: bytes
) -> None:
    """Every sample comes out, changed or not, or else a damage says that something is missing."""
    whole = tar_bytes(CONTENT)
    start = int(at * len(whole))
    items = read(tmp_path_factory.getbasetemp(), whole[:start] + noise + whole[start + len(noise) :])
    assert damages(items) or len(keys(items)) >= 4


@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_cut_anywhere_is_told(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    whole = tar_bytes(CONTENT)
    end = header_offsets(whole)[-1] + 2 * 512  # of the last member
    items = read(tmp_path_factory.getbasetemp(), whole[: int(cut * (end + 512))])
    assert len(damages(items)) == 1
    assert keys(items) == ["000", "001", "002", "003"][: len(keys(items))]
    for item in items:
        assert isinstance(item, Damage) or (item.image is not None and item.caption is not None)


def test_where_tars_are_cut(tmp_path: Path) -> None:
    whole = tar_bytes(CONTENT)
    third = header_offsets(whole)[4]  # where sample 002 begins
    cuts = {
        "between samples": third,
        "in a header": third + 100,
        "after a header": third + 512,
        "in the data": third + 600,
    }
    for where, cut in cuts.items():
        items = read(tmp_path, whole[:cut])
        assert damages(items) == ["truncated_shard"], where
        assert keys(items) == (["000", "001"] if cut > third + 100 else ["000"]), where


def test_a_cut_after_black_pixels_does_not_look_like_an_end(tmp_path: Path) -> None:
    whole = tar_bytes(
        [("a.bmp", bytes(4096)), ("a.txt", b"black"), ("b.bmp", bytes(4096)), ("b.txt", b"black")]
    )
    items = read(tmp_path, whole[: header_offsets(whole)[3]])
    assert (keys(items), damages(items)) == (["a"], ["truncated_shard"])


def test_a_broken_header_is_no_end(tmp_path: Path) -> None:
    whole = bytearray(tar_bytes(CONTENT))
    whole[header_offsets(bytes(whole))[4] + 3] ^= 1
    items = read(tmp_path, bytes(whole))
    assert (keys(items), damages(items)) == (["000"], ["truncated_shard"])


def test_two_tars_in_one_file(tmp_path: Path) -> None:
    items = read(tmp_path, tar_bytes(CONTENT) * 2)
    assert (len(keys(items)), damages(items)) == (4, ["data_after_end"])


def test_empty_and_unreadable(tmp_path: Path) -> None:
    assert damages(read(tmp_path, b"")) == ["empty_shard"]
    assert damages(read(tmp_path, bytes(512))) == ["empty_shard"]
    assert damages(read(tmp_path, tar_bytes([]))) == ["empty_shard"]
    assert damages(read(tmp_path, b"x")) == ["unreadable_shard"]
    assert damages(read(tmp_path, b"no tar at all " * 1000)) == ["unreadable_shard"]


SPECIAL = {
    "symlink": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def with_special(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A good pair, then a member that is not one, then a good pair."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for member in ("good1.png", "good1.txt", None, "good2.png", "good2.txt"):
            info = tarfile.TarInfo(member or name)
            if member is None and kind != tarfile.REGTYPE:
                info.type, info.linkname = kind, "/etc/passwd"
                tar.addfile(info)
            else:
                info.size = 5
                tar.addfile(info, io.BytesIO(b"bytes"))
    return file.getvalue()


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_not_a_plain_file(tmp_path: Path, kind: str) -> None:
    items = read(tmp_path, with_special("odd.png", SPECIAL[kind]))
    assert (keys(items), damages(items)) == (["good1", "good2"], ["not_a_file"])
    assert [path.name for path in tmp_path.iterdir()] == ["shard.tar"]


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/tmp/x.png", "..\\x.png", "a/.."])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    items = read(tmp_path, with_special(name))
    assert (keys(items), damages(items)) == (["good1", "good2"], ["unsafe_name"])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["inner", "shard.tar"]


def test_a_member_too_large_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(tar_bytes([("a.png", b"x" * 11), ("b.png", b"x" * 10), ("b.mp4", b"x" * 10)]))
    items = list(read_shard(path, max_member_bytes=10))
    assert (keys(items), damages(items)) == (["b"], ["too_large"])


def test_names_are_split_as_webdataset_does(tmp_path: Path) -> None:
    items = read(
        tmp_path,
        tar_bytes(
            [("a/b.c.jpg", b"1"), ("a/b.jpg", b"2"), ("a/b.TXT", b"3"), ("c.json", b"4"), ("c.cls", b"5")]
        ),
    )
    assert items == [
        Sample("a/b", b"2", "jpg", b"3"),
        Sample("c", None, "", None, b"4", b"5"),
    ]


def test_a_key_that_comes_twice_is_two_samples(tmp_path: Path) -> None:
    items = read(tmp_path, tar_bytes([("a.png", b"1"), ("a.txt", b"2"), ("a.png", b"3"), ("a.txt", b"4")]))
    assert items == [Sample("a", b"1", "png", b"2"), Sample("a", b"3", "png", b"4")]


def test_a_header_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    shard = tmp_path / "bomb.tar"
    with tarfile.open(shard, "w", format=tarfile.PAX_FORMAT) as tar:
        good = tarfile.TarInfo("a.txt")
        tar.addfile(good)
        bomb = tarfile.TarInfo("b.txt")
        bomb.pax_headers = {"comment": "x" * (MAX_HEADER_BYTES + 1)}
        tar.addfile(bomb)
        tar.addfile(tarfile.TarInfo("c.txt"))
    tracemalloc.start()
    found = list(read_shard(shard))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[-1] == Damage("bomb.tar", "truncated_shard")
    assert peak < MAX_HEADER_BYTES


def test_webdataset_reads_what_is_written(tmp_path: Path) -> None:
    from webdataset.compat import WebDataset

    samples = [
        Sample(f"{n:09d}", b"image %d" % n, "png", f"caption {n}, é".encode(), b"{}") for n in range(3)
    ]
    write_shard(tmp_path / "pairs.tar", samples)
    found = list(WebDataset(str(tmp_path / "pairs.tar"), shardshuffle=False))
    assert [
        Sample(item["__key__"], item["png"], "png", item["txt"], item["json"]) for item in found
    ] == samples
