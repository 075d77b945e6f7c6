import multiprocessing
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rglcd_pipelines.artifacts import Artifact, open_artifact
from rglcd_pipelines.data.latents.reader import LatentBatch, LatentReader
from rglcd_pipelines.errors import DataError
from tests.data.make_latents import columns, make_latents


def assert_holds(batch: LatentBatch, made: dict[str, Any], indices: list[int]) -> None:
    assert batch.latents.dtype == made["latents"].dtype
    assert batch.latents.flags.c_contiguous
    assert batch.latents.flags.writeable
    assert batch.latents.tobytes() == made["latents"][indices].tobytes()
    assert batch.keys == [made["keys"][i] for i in indices]
    assert batch.captions == [made["captions"][i] for i in indices]
    assert batch.metas == [made["metas"][i] for i in indices]
    np.testing.assert_array_equal(batch.sizes, made["sizes"][indices])
    np.testing.assert_array_equal(batch.crops, made["crops"][indices])


@st.composite
def folders(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """Columns of any shape, dtype and texts, and how many samples a file holds."""
    samples = draw(st.integers(1, 12))
    shape = draw(st.tuples(*[st.integers(1, 5)] * 3))
    made = columns(samples, shape, draw(st.sampled_from(["float16", "float32"])), draw(st.integers(0, 99)))
    texts = st.lists(st.text(max_size=20), min_size=samples, max_size=samples)
    return made | {"captions": draw(texts), "metas": draw(texts), "keys": draw(texts)}, draw(
        st.integers(1, 13)
    )


@settings(max_examples=40, deadline=None)
@given(folders(), st.data())
def test_what_was_written_is_read_in_any_order(
    folder: tuple[dict[str, Any], int], data: st.DataObject
) -> None:
    made, per_file = folder
    indices = data.draw(st.lists(st.integers(0, len(made["keys"]) - 1), max_size=30))
    with tempfile.TemporaryDirectory() as place:
        reader = LatentReader(make_latents(Path(place) / "latents", per_file, made))
        assert len(reader) == len(made["keys"])
        assert_holds(reader.batch(indices), made, indices)


@pytest.fixture
def made() -> dict[str, Any]:
    return columns(23)


@pytest.fixture
def artifact(tmp_path: Path, made: dict[str, Any]) -> Artifact:
    return make_latents(tmp_path / "latents", 5, made)


def test_one_sample(artifact: Artifact, made: dict[str, Any]) -> None:
    sample = LatentReader(artifact)[13]
    assert (sample.key, sample.caption, sample.meta) == tuple(
        made[n][13] for n in ("keys", "captions", "metas")
    )
    assert sample.size == tuple(made["sizes"][13].tolist())
    assert sample.crop == tuple(made["crops"][13].tolist())
    np.testing.assert_array_equal(sample.latent, made["latents"][13])


@pytest.mark.parametrize("wrong", [-1, 23])
def test_an_index_out_of_range_is_refused(artifact: Artifact, wrong: int) -> None:
    with pytest.raises(IndexError, match="samples 0 to 22"):
        LatentReader(artifact).batch([0, wrong])


def test_a_reader_can_be_gone_through(artifact: Artifact, made: dict[str, Any]) -> None:
    assert [sample.key for sample in LatentReader(artifact)] == made["keys"]


def test_a_file_without_samples_is_passed_over(tmp_path: Path, made: dict[str, Any]) -> None:
    artifact = make_latents(tmp_path / "latents", 23, made)
    empty = make_latents(tmp_path / "empty", 1, columns(1)).manifest["files"][0] | {"samples": 0}
    (tmp_path / "empty" / empty["name"]).rename(artifact.path / "none.arrow")
    files = [empty | {"name": "none.arrow"}, *artifact.manifest["files"], empty | {"name": "none.arrow"}]
    reader = LatentReader(Artifact(artifact.path, {**artifact.manifest, "files": files}))
    assert_holds(reader.batch([22, 0]), made, [22, 0])


def test_mapped_files_hold_no_descriptors(tmp_path: Path) -> None:
    reader = LatentReader(make_latents(tmp_path / "latents", 1))
    before = len(list(Path("/dev/fd").iterdir()))
    reader.batch(range(len(reader)))
    assert len(list(Path("/dev/fd").iterdir())) == before


def _flip(at: Callable[[bytes], int]) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[at(bytes(content))] ^= 4
        file.write_bytes(content)

    return damage


def _replace(content: bytes) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        file.write_bytes(content.ljust(file.stat().st_size, b"\0"))

    return damage


FLIPS = {
    "magic": _flip(lambda _: 0),
    "schema": _flip(lambda content: content.index(b"caption")),
    "texts": _flip(lambda content: content.index(b"lighthouse")),
    "offsets": _flip(lambda content: content.index(bytes([0, 0, 0, 0, 7, 0, 0, 0, 14, 0, 0, 0])) + 4),
    "latents": _flip(lambda content: content.index(columns(23)["latents"][7].tobytes())),
    "footer": _flip(lambda content: len(content) - 40),
}


@pytest.mark.parametrize("damage", FLIPS.values(), ids=FLIPS)
def test_a_flipped_byte_is_refused_wherever_it_is(
    artifact: Artifact, made: dict[str, Any], damage: Callable[[Path], None]
) -> None:
    damage(artifact.path / "latents-00001.arrow")
    reader = LatentReader(artifact)
    assert_holds(reader.batch([0, 22]), made, [0, 22])
    for _ in range(2):  # and it does not pass the second time
        with pytest.raises(DataError, match=r"latents-00001\.arrow.*sha256.*kedro run --pipeline=encode"):
            reader.batch([0, 9])
    with pytest.raises(DataError, match=r"latents-00001\.arrow"):
        LatentReader(artifact).verify_all()


@pytest.mark.parametrize("damage", [_replace(b"PK\3\4 a zip"), _flip(lambda content: len(content) - 5)])
def test_a_file_that_is_no_arrow_is_told_without_its_digest(
    artifact: Artifact, damage: Callable[[Path], None]
) -> None:
    damage(artifact.path / "latents-00002.arrow")
    with pytest.raises(DataError, match=r"latents-00002\.arrow: cannot be read.*--pipeline=encode"):
        LatentReader(artifact, verify=False).batch([11])


def test_a_truncated_and_a_missing_file_are_refused_at_opening(artifact: Artifact) -> None:
    last = artifact.path / "latents-00004.arrow"
    content = last.read_bytes()
    last.write_bytes(content[:-1])
    with pytest.raises(DataError, match=rf"latents-00004\.arrow: has .* bytes, not {len(content):,}"):
        LatentReader(artifact)
    last.unlink()
    with pytest.raises(DataError, match=r"latents-00004\.arrow: cannot be opened \(No such file"):
        LatentReader(artifact, verify=False)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"latent": {"shape": [8, 8, 4], "dtype": "float16", "kind": "mean"}}, "its columns are"),
        ({"latent": {"shape": [2, 8, 8], "dtype": "float32", "kind": "mean"}}, "its columns are"),
        ({"latent": {"shape": [4, 8, 8], "dtype": "float99", "kind": "mean"}}, "does not describe latents"),
        ({"samples": 24}, "do not add up to 24"),
        ({"kind": "pairs"}, "it is of pairs"),
        ({"files": [{"name": "latents-00000.arrow"}]}, "does not describe latents"),
    ],
)
def test_a_manifest_that_the_files_contradict_is_refused(
    artifact: Artifact, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        LatentReader(Artifact(artifact.path, {**artifact.manifest, **change}))[0]


def test_a_file_of_other_length_is_refused(artifact: Artifact) -> None:
    files = [dict(file) for file in artifact.manifest["files"]]
    files[0]["samples"], files[1]["samples"] = 4, 6
    with pytest.raises(DataError, match=r"latents-00000\.arrow: holds 5 samples, not 4"):
        LatentReader(Artifact(artifact.path, {**artifact.manifest, "files": files}))[0]


def test_latents_as_asked_for_pass(artifact: Artifact) -> None:
    reader = LatentReader(artifact)
    reader.expect()
    reader.expect(vae_digest="d1", shape=(4, 8, 8), dtype="float16", kind="mean")
    assert len(reader) == artifact.manifest["samples"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"vae_digest": "d2"}, "the VAE a/vae of digest 'd1', but 'd2' is asked for"),
        ({"shape": [4, 96, 96]}, r"shape \[4, 8, 8\], but \[4, 96, 96\] is asked for"),
        ({"dtype": "float32"}, "dtype 'float16', but 'float32' is asked for"),
        ({"kind": "moments"}, "kind 'mean', but 'moments' is asked for"),
    ],
)
def test_latents_of_something_else_are_refused(artifact: Artifact, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=f"{told}.*kedro run --pipeline=encode"):
        LatentReader(artifact).expect(**asked)


def test_a_batch_can_be_sent_to_another_process(artifact: Artifact, made: dict[str, Any]) -> None:
    sent = pickle.dumps(LatentReader(artifact).batch([3, 21]))
    assert len(sent) < 10_000  # not the mapped files
    assert_holds(pickle.loads(sent), made, [3, 21])


def _read(reader: LatentReader, indices: list[int]) -> LatentBatch:
    return reader.batch(indices)


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_read_what_their_parent_reads(artifact: Artifact, made: dict[str, Any], method: str) -> None:
    reader = LatentReader(open_artifact(artifact.path, "latents"))
    reader.batch([0, 22])
    with multiprocessing.get_context(method).Pool(2) as pool:
        for indices, batch in zip(
            ([4, 5], [22, 0]), pool.starmap(_read, [(reader, [4, 5]), (reader, [22, 0])]), strict=True
        ):
            assert_holds(batch, made, indices)


def test_a_pickled_reader_checks_what_was_not_checked_before(artifact: Artifact) -> None:
    reader = pickle.loads(pickle.dumps(LatentReader(artifact)))
    FLIPS["latents"](artifact.path / "latents-00001.arrow")
    with pytest.raises(DataError, match=r"latents-00001\.arrow"):
        reader[7]


def test_what_was_checked_is_not_read_again(artifact: Artifact, made: dict[str, Any]) -> None:
    """Not for workers either: at the paper's scale a check reads hundreds of gigabytes."""
    reader = LatentReader(artifact)
    reader.verify_all()
    sent = pickle.dumps(reader)
    FLIPS["latents"](artifact.path / "latents-00001.arrow")
    for checked in (reader, pickle.loads(sent)):
        checked.verify_all()
        assert checked[7].caption == made["captions"][7]
