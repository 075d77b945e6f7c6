"""Clean pairs: what is kept and where it goes, whoever does the work, and when a run stops."""

import hashlib
import json
import logging
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.images import decode
from rglcd_pipelines.data.pairs.clean import CleanConfig, clean
from rglcd_pipelines.data.pairs.duplicates import DigestSet
from rglcd_pipelines.data.pairs.folder import Pairs
from rglcd_pipelines.data.pairs.rules import Rules
from rglcd_pipelines.data.shards import Sample
from rglcd_pipelines.data.sources.shards import ShardsConfig, ShardsSource
from rglcd_pipelines.errors import DataError
from tests.data.make_shards import pair, png, write_good_shards, write_tar


class Listed(ShardsSource):
    """A folder's shards, remembering which were asked for, with losses of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(ShardsConfig(path=str(folder)), Path("unused"))
        self.given: list[str] = []

    def shards(self) -> Iterator[Path]:
        for path in super().shards():
            self.given.append(path.name)
            yield path

    def losses(self) -> dict[str, int]:
        return {"dead_url": 3}


def config(rules: dict[str, Any] | None = None, **values: Any) -> CleanConfig:
    values = {"samples_per_shard": 10, "progress": False} | values
    return CleanConfig(rules=Rules.model_validate({"min_side": 8} | (rules or {})), **values)


def files(folder: Path) -> dict[str, bytes]:
    """Every file of an artifact, its manifest without what tells of the run."""
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    manifest = json.loads(content["manifest.json"])
    content["manifest.json"] = json.dumps(
        {k: manifest[k] for k in manifest if k not in ("made", "metrics")}
    ).encode()
    return content


def rows(artifact: Artifact) -> list[dict[str, Any]]:
    return pq.read_table(artifact.path / "table.parquet").to_pylist()


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


def test_duplicates(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "in" / "0.tar",
        [
            ("a.png", b"broken"),
            ("a.txt", b"a caption"),
            *pair("b", 1),
            *pair("a", 2),
            *pair("c", 1),
            *pair("b", 3),
        ],
    )
    write_tar(tmp_path / "in" / "1.tar", [*pair("a", 4), *pair("d", 2), *pair("e", 5)])
    expected = {
        ("reject", "reject"): ["b0", "a0", "e1"],
        ("keep", "reject"): ["b0", "a0", "b0", "a1", "e1"],
        ("reject", "keep"): ["b0", "a0", "c0", "d1", "e1"],
        ("keep", "keep"): ["b0", "a0", "c0", "b0", "a1", "d1", "e1"],
    }
    for (keys, images), kept in expected.items():
        rules = {"duplicate_keys": keys, "duplicate_images": images, "max_rejected_share": 1.0}
        artifact = clean(Listed(tmp_path / "in"), config(rules), tmp_path / keys / images)
        assert [row["key"] + row["shard"][0] for row in rows(artifact) if row["kept"]] == kept
    reasons = [
        row["reason"]
        for row in rows(clean(Listed(tmp_path / "in"), config({"max_rejected_share": 1.0}), tmp_path / "x"))
    ]
    assert reasons == [
        *("corrupt_image", None, None, "duplicate_image"),
        *("duplicate_key", "duplicate_key", "duplicate_image", None),
    ]


def test_a_duplicate_after_a_finished_shard_is_seen(tmp_path: Path) -> None:
    write_tar(tmp_path / "in.tar", [*pair("a", 1), *pair("b", 2), *pair("a", 3), *pair("c", 2)])
    artifact = clean(Listed(tmp_path / "in.tar"), config(samples_per_shard=1), tmp_path / "pairs")
    assert artifact.manifest["counts"]["reasons"] == {"duplicate_image": 1, "duplicate_key": 1}


def many(folder: Path, good: int, bad: int) -> Path:
    """`bad` pairs without a caption, then `good` ones."""
    image = png(0)
    write_tar(folder / "0.tar", [(f"bad{n}.png", image) for n in range(bad)])
    write_tar(folder / "1.tar", (member for n in range(good) for member in pair(f"good{n}", n)))
    return folder


def test_too_many_rejected_stops_the_run_with_the_counts(tmp_path: Path) -> None:
    source = Listed(many(tmp_path / "in", good=3, bad=1001))
    with pytest.raises(DataError) as caught:
        clean(source, config(), tmp_path / "pairs")
    told = str(caught.value)
    assert "1001 of 1001 pairs (100.0%)" in told
    assert "1,001 missing_caption" in told
    assert "clean.rules.max_rejected_share" in told
    assert source.given == ["0.tar"]  # it did not wait for the end
    assert not (tmp_path / "pairs").exists()


def test_few_rejected_pairs_stop_it_only_at_the_end(tmp_path: Path) -> None:
    folder = many(tmp_path / "in", good=25, bad=30)
    source = Listed(folder)
    with pytest.raises(DataError, match=r"30 of 55 pairs \(54\.5%\)"):
        clean(source, config(), tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()
    # The share is no part of what the pairs are made from: raised, the run goes on where it stopped.
    source.given.clear()
    artifact = clean(source, config({"max_rejected_share": 0.6}), tmp_path / "pairs")
    assert source.given == []
    fresh = clean(Listed(folder), config({"max_rejected_share": 0.6}), tmp_path / "fresh")
    assert files(artifact.path) == files(fresh.path)
    with pytest.raises(DataError, match="30 of 55"):
        clean(source, config(), tmp_path / "pairs")


def test_nothing_kept_and_nothing_there(tmp_path: Path) -> None:
    everything = config({"max_rejected_share": 1.0})
    with pytest.raises(DataError, match=r"none of 6 pairs was kept:\n +5 missing_caption\n +1 empty_shard"):
        clean(Listed(many(tmp_path / "in", good=0, bad=5)), everything, tmp_path / "pairs")

    class Empty(Listed):
        def shards(self) -> Iterator[Path]:
            return iter(())

    with pytest.raises(DataError, match="no pairs at all"):
        clean(Empty(tmp_path / "in"), everything, tmp_path / "empty")
    assert not (tmp_path / "pairs").exists()
    assert not (tmp_path / "empty").exists()


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_the_run_goes_on_later(tmp_path: Path) -> None:
    class Deadly(Listed):
        def shards(self) -> Iterator[Path]:
            for number, path in enumerate(super().shards()):
                if number == 3:
                    for worker in multiprocessing.active_children():
                        worker.kill()
                        worker.join()
                yield path

    folder = write_good_shards(tmp_path / "in", shards=5, samples=9)
    with pytest.raises(DataError, match=r"lower clean\.workers"):
        clean(Deadly(folder), config(workers=2), tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()
    artifact = clean(Listed(folder), config(), tmp_path / "pairs")
    assert files(artifact.path) == files(clean(Listed(folder), config(), tmp_path / "fresh").path)


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


@given(st.lists(st.binary(min_size=8, max_size=8)))
def test_a_digest_set_is_a_set(digests: list[bytes]) -> None:
    model, ours = set[bytes](), DigestSet()
    for digest in digests:
        assert (digest in ours) == (digest in model)
        model.add(digest or b"\1")
        ours.add(digest)
    assert len(ours) == len({digest if any(digest) else b"\1" + bytes(7) for digest in model})


def test_a_digest_set_grows() -> None:
    ours = DigestSet()
    digests = [hashlib.sha256(str(n).encode()).digest() for n in range(5000)]
    for digest in digests:
        ours.add(digest)
        ours.add(digest)
    assert len(ours) == 5000
    assert all(digest in ours for digest in digests)
    assert hashlib.sha256(b"other").digest() not in ours
