"""Clean pairs: what is kept and where it goes, whoever does the work."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.data.images import decode
from rglcd_pipelines.data.pairs.clean import clean
from rglcd_pipelines.data.pairs.folder import Pairs
from rglcd_pipelines.data.shards import Sample
from tests.data.make_shards import pair, png, write_good_shards, write_tar
from tests.data.pairs.ingest_runs import Listed, config, files, rows


def test_good_pairs_go_through_whole(tmp_path: Path) -> None:
    source = Listed(write_good_shards(tmp_path / "in", shards=3, samples=9))
    artifact = clean(source, config(), tmp_path / "out" / "pairs")
    manifest = artifact.manifest
    assert [shard["samples"] for shard in manifest["shards"]] == [10, 10, 7]
    assert manifest["counts"] == {
        "seen": 27, "kept": 27, "rejected": 0, "reasons": {}, "lost": {"dead_url": 3},
    }  # fmt: skip
    assert all(type(value) is float for value in artifact.metrics.values())
    pairs = Pairs(artifact)
    pairs.verify()
    samples = [sample for index in range(len(pairs.shards)) for sample in pairs.read(index)]
    for n, sample in enumerate(samples):
        assert sample == Sample(f"{n:09d}", png(n), "png", f"A small test picture, number {n}".encode())
    assert rows(artifact)[26] == {
        "key": "000000026",
        "shard": "00002.tar",
        "output_key": "000000026",
        "caption": "A small test picture, number 26",
        "width": 40,
        "height": 32,
        "digest": hashlib.sha256(png(26)).hexdigest(),
        "kept": True,
        "reason": None,
    }
    assert sorted(path.name for path in artifact.path.iterdir()) == [
        "manifest.json", "pairs-00000.tar", "pairs-00001.tar", "pairs-00002.tar", "table.parquet",
    ]  # fmt: skip
    assert [path.suffix for path in (tmp_path / "out" / ".partial").iterdir()] == [".lock"]


def test_a_second_time_nothing_is_done(tmp_path: Path) -> None:
    source = Listed(write_good_shards(tmp_path / "in", shards=1, samples=3))
    first = clean(source, config(), tmp_path / "pairs")
    source.given.clear()
    again = clean(source, config(workers=2, rules={"max_rejected_share": 0.1}), tmp_path / "pairs")
    assert again == first
    assert again.reused
    assert source.given == []


@pytest.mark.parametrize("change", [{"samples": 2}, {"samples_per_shard": 4}, {"rules": {"min_side": 9}}])
def test_what_matters_makes_it_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    source = Listed(write_good_shards(tmp_path / "in", shards=1, samples=3))
    clean(source, config(), tmp_path / "pairs")
    assert not clean(source, config(**change), tmp_path / "pairs").reused


@pytest.mark.slow
def test_workers_change_no_byte(tmp_path: Path) -> None:
    folder = write_good_shards(tmp_path / "in", shards=5, samples=7)
    write_tar(
        folder / "00002.tar",
        [*pair("again", 3), *pair("new", 99), ("broken.png", b"?"), ("broken.txt", b"a caption")],
    )
    made = [
        clean(Listed(folder), config(workers=workers, samples_per_shard=4), tmp_path / str(workers)).path
        for workers in (1, 2, 3)
    ]
    assert files(made[0]) == files(made[1]) == files(made[2])


@pytest.mark.parametrize(
    ("workers", "cap", "given"),
    [
        (1, 12, ["00000.tar", "00001.tar"]),
        (1, 18, ["00000.tar", "00001.tar"]),
        (1, 1, ["00000.tar"]),
        pytest.param(2, 9, ["00000.tar"], marks=pytest.mark.slow),
        pytest.param(2, 27, ["00000.tar", "00001.tar", "00002.tar"], marks=pytest.mark.slow),
        pytest.param(3, 20, ["00000.tar", "00001.tar", "00002.tar"], marks=pytest.mark.slow),
    ],
)
def test_the_cap_fetches_no_more_than_it_needs(
    tmp_path: Path, workers: int, cap: int, given: list[str]
) -> None:
    source = Listed(write_good_shards(tmp_path / "in", shards=6, samples=9))
    artifact = clean(source, config(samples=cap, workers=workers), tmp_path / "pairs")
    assert artifact.manifest["counts"]["kept"] == artifact.manifest["counts"]["seen"] == cap
    assert source.given == given


def test_json_travels_along_and_may_hold_the_caption(tmp_path: Path) -> None:
    meta = json.dumps({"caption": "told by  the json", "n": 1}).encode()
    write_tar(
        tmp_path / "in.tar",
        [
            *(("a.png", png(1)), ("a.json", meta)),
            *(("b.png", png(2)), ("b.txt", b"told by the text"), ("b.json", meta)),
            *(("c.png", png(3)), ("c.json", b'{"caption": null}')),
            *(("d.png", png(4)), ("d.json", b"[1]")),
            *(("e.png", png(5)), ("e.json", b"{'no': json}")),
            *(("f.png", png(6)), ("f.json", b"[" * 100_000)),
            *(("g.png", png(7)), ("g.json", b'{"caption": "a \\ud800 surrogate"}')),
        ],
    )
    artifact = clean(Listed(tmp_path / "in.tar"), config({"max_rejected_share": 1.0}), tmp_path / "pairs")
    samples = list(Pairs(artifact).read(0))
    assert [sample.caption for sample in samples] == [b"told by the json", b"told by the text"]
    assert [sample.meta for sample in samples] == [meta, meta]
    reasons = {row["key"]: row["reason"] for row in rows(artifact)}
    assert reasons == {
        "a": None, "b": None, "c": "missing_caption", "d": "missing_caption", "e": "corrupt_json",
        "f": "corrupt_json", "g": "caption_encoding",
    }  # fmt: skip


def test_an_image_is_named_for_what_it_is(tmp_path: Path) -> None:
    write_tar(tmp_path / "in.tar", [("a.jpg", png(1)), ("a.txt", b"a caption")])
    artifact = clean(Listed(tmp_path / "in.tar"), config(), tmp_path / "pairs")
    (sample,) = Pairs(artifact).read(0)
    assert (sample.extension, decode(sample.image or b"").size) == ("png", (40, 32))


def test_the_log_tells_the_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write_tar(tmp_path / "in.tar", [*pair("a", 1), *pair("b", 2), ("c.png", png(3))])
    clean(Listed(tmp_path / "in.tar"), config(), tmp_path / "pairs")
    assert "2 pairs kept of 3 seen" in caplog.text
    assert "1 missing_caption" in caplog.text
