import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.data.latents.file import LatentFile, Statistics, latent_schema, write_latents
from tests.data.make_latents import columns


def test_a_file_is_one_record_batch_that_any_arrow_reader_understands(tmp_path: Path) -> None:
    made = columns(7, (4, 2, 3), "float32")
    written = write_latents(tmp_path / "latents-00000.arrow", **made)
    with pa.memory_map(str(tmp_path / written.name)) as source:
        arrow = pa.ipc.open_file(source)
        batch = arrow.get_batch(0)
    assert arrow.num_record_batches == 1
    assert arrow.schema.equals(latent_schema((4, 2, 3), "float32"), check_metadata=True)
    assert batch.column("key").to_pylist() == made["keys"]
    assert batch.column("caption").to_pylist() == made["captions"]
    assert batch.column("meta").to_pylist() == made["metas"]
    for name, wanted in zip(
        ("width", "height", "crop_top", "crop_left"), [*made["sizes"].T, *made["crops"].T], strict=True
    ):
        np.testing.assert_array_equal(batch.column(name).to_numpy(), wanted)
    assert batch.column("latent").to_pylist() == [row.tobytes() for row in made["latents"]]
    assert json.loads(arrow.schema.metadata[b"shape"]) == [4, 2, 3]
    assert arrow.schema.metadata[b"dtype"] == b"float32"


def test_equal_columns_give_equal_bytes_however_they_lie_in_memory(tmp_path: Path) -> None:
    made = columns(9)
    spread = made | {"latents": np.asfortranarray(made["latents"]), "crops": made["crops"].T.copy().T}
    first = write_latents(tmp_path / "a.arrow", **made)
    second = write_latents(tmp_path / "b.arrow", **spread)
    assert (tmp_path / "a.arrow").read_bytes() == (tmp_path / "b.arrow").read_bytes()
    assert first.statistics == second.statistics
    other = write_latents(tmp_path / "c.arrow", **columns(9, seed=1))
    assert other.sha256 != first.sha256


def test_what_is_returned_describes_the_file_and_survives_json(tmp_path: Path) -> None:
    made = columns(6)
    made["latents"][2, 1, 0, 0] = np.nan
    made["latents"][:, 3] = np.inf
    file = write_latents(tmp_path / "a.arrow", **made)
    assert (file.name, file.samples) == ("a.arrow", 6)
    assert file.bytes == (tmp_path / "a.arrow").stat().st_size
    assert file.sha256 == digest_file(tmp_path / "a.arrow")
    assert LatentFile.from_json(json.loads(json.dumps(file.as_json(), allow_nan=False))) == file
    assert set(file.listed()) == {"name", "samples", "bytes", "sha256"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"captions": ["one too few"]},
        {"captions": ["a", "b", None]},
        {"sizes": np.ones((3, 3), np.int32)},
        {"crops": np.ones((2, 2), np.int32)},
        {"latents": np.ones((3, 4, 8), np.float16)},
        {"latents": np.ones((3, 4, 8, 8), np.float64)},
    ],
)
def test_columns_that_do_not_fit_are_refused_and_leave_no_file(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (any: it is a mistake in the code)
        write_latents(tmp_path / "a.arrow", **(columns(3) | wrong))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(4, 64, 64), (3, 5, 7), (4, 800, 800)])
def test_statistics_are_those_of_the_whole(shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(0)
    whole = draw.normal(0.4, 2, (3, *shape)).astype(np.float32)  # the last shape is more than a chunk a row
    whole[:, 0] = 0.3
    whole[1, 1, 2, 3] = np.nan
    whole[2, 2, 0, 0] = -np.inf
    finite = np.where(np.isfinite(whole), whole, np.nan).astype(np.float64)
    for statistics in (Statistics.of(whole), Statistics.merge([Statistics.of(row[None]) for row in whole])):
        summary = statistics.summary()
        np.testing.assert_allclose(summary["mean"], np.nanmean(finite, axis=(0, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(summary["std"], np.nanstd(finite, axis=(0, 2, 3)), rtol=1e-12, atol=1e-12)
        assert summary["min"] == np.nanmin(finite, axis=(0, 2, 3)).tolist()
        assert summary["max"] == np.nanmax(finite, axis=(0, 2, 3)).tolist()
        assert summary["nonfinite"] == 2
        assert summary["std"][0] == 0


@pytest.mark.parametrize("value", [0.3, 5.3, 123.4])
def test_a_constant_channel_has_no_deviation_at_all(value: float) -> None:
    """Or the guard on constant channels would have to guess what rounding leaves."""
    latents = np.full((500, 1, 3, 3), value, np.float32)
    assert Statistics.of(latents).summary()["std"] == [0.0]


def test_merging_does_not_depend_on_the_order() -> None:
    parts = [Statistics.of(columns(3, seed=seed)["latents"]) for seed in range(7)]
    assert Statistics.merge(parts) == Statistics.merge(parts[::-1])


def test_a_channel_without_a_finite_value_has_no_figures() -> None:
    latents = np.ones((2, 2, 1, 1), np.float16)
    latents[:, 1] = np.nan
    summary = Statistics.of(latents).summary()
    assert summary == {
        "mean": [1.0, None],
        "std": [0.0, None],
        "min": [1.0, None],
        "max": [1.0, None],
        "nonfinite": 2,
    }
    nothing = Statistics.of(np.empty((0, 2, 1, 1), np.float16))
    assert Statistics.merge([nothing, Statistics.of(latents)]) == Statistics.of(latents)


@given(arrays(np.float16, (3, 2, 2, 2), elements=st.floats(width=16)))
def test_statistics_of_any_values_survive_json(latents: np.ndarray) -> None:
    statistics = Statistics.of(latents)
    assert Statistics.from_json(json.loads(json.dumps(statistics.as_json(), allow_nan=False))) == statistics
    json.dumps(statistics.summary(), allow_nan=False)
    assert [c + n for c, n in zip(statistics.count, statistics.nonfinite, strict=True)] == [12, 12]
