"""Duplicate keys and images, and the set of digests that finds them."""

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.data.pairs.clean import clean
from rglcd_pipelines.data.pairs.duplicates import DigestSet
from tests.data.make_shards import pair, write_tar
from tests.data.pairs.ingest_runs import Listed, config, rows


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
