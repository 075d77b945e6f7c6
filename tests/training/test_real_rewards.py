"""What an expert said of real images is found again, by whoever asks, and never half of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.training import real_rewards as module
from rglcd_pipelines.training.real_rewards import RealRewards

COUNT = 10


def rewards(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def at(*indices: int) -> np.ndarray:
    return np.array(indices, np.int64)


def test_all_or_none(tmp_path: Path) -> None:
    kept = RealRewards(tmp_path / "deep" / "down.f32", COUNT)
    assert kept.known(at(0)) is None
    kept.keep(at(7, 2, 5), rewards(0.7, -0.2, 0.0))
    found = kept.known(at(5, 7))
    assert found is not None
    assert found.dtype == np.float32
    assert found.tolist() == rewards(0.0, 0.7).tolist()
    assert kept.known(at(5, 7, 3)) is None  # one of them is not there
    kept.keep(at(3), rewards(0.3))
    again = kept.known(at(7, 3, 5, 2))
    assert again is not None
    assert again.tolist() == rewards(0.7, 0.3, 0.0, -0.2).tolist()


def test_what_is_found_is_a_copy(tmp_path: Path) -> None:
    kept = RealRewards(tmp_path / "kept.f32", COUNT)
    kept.keep(at(1, 2), rewards(0.1, 0.2))
    found = kept.known(at(1, 2))
    assert found is not None
    found[:] = 9
    again = kept.known(at(1, 2))
    assert again is not None
    assert again.tolist() == rewards(0.1, 0.2).tolist()


def test_two_share_the_file(tmp_path: Path) -> None:
    """As two processes do, of one training or of two."""
    one, other = (RealRewards(tmp_path / "kept.f32", COUNT) for _ in range(2))
    one.keep(at(4), rewards(0.4))
    found = other.known(at(4))
    assert found is not None
    assert found.tolist() == rewards(0.4).tolist()
    other.keep(at(9), rewards(0.9))
    assert one.known(at(4, 9)) is not None
    assert (tmp_path / "kept.f32").stat().st_size == 4 * COUNT
    del one, other
    later = RealRewards(tmp_path / "kept.f32", COUNT).known(at(9, 4))
    assert later is not None
    assert later.tolist() == rewards(0.9, 0.4).tolist()


def test_no_number_is_nothing_that_is_known(tmp_path: Path) -> None:
    kept = RealRewards(tmp_path / "kept.f32", COUNT)
    kept.keep(at(1, 2), rewards(float("nan"), 0.2))
    assert kept.known(at(1)) is None
    assert kept.known(at(1, 2)) is None
    assert kept.known(at(2)) is not None


@pytest.mark.parametrize("size", [0, 4 * COUNT - 4, 4 * COUNT + 1])
def test_a_file_of_another_size(tmp_path: Path, size: int) -> None:
    (tmp_path / "kept.f32").write_bytes(bytes(size))
    with pytest.raises(DataError, match=rf"kept\.f32: has {size} bytes instead of 40\. Remove it"):
        RealRewards(tmp_path / "kept.f32", COUNT)
    assert (tmp_path / "kept.f32").stat().st_size == size


def test_a_large_file_is_all_unknown(tmp_path: Path) -> None:
    count = 2**20 + 3
    kept = RealRewards(tmp_path / "kept.f32", count)
    assert (tmp_path / "kept.f32").stat().st_size == 4 * count
    assert np.isnan(np.fromfile(tmp_path / "kept.f32", np.float32)).all()
    kept.keep(at(count - 1), rewards(1.0))
    assert kept.known(at(count - 1)) is not None


def test_two_that_begin_in_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, atomic_file = tmp_path / "kept.f32", module.atomic_file
    others: list[RealRewards] = []

    @contextmanager
    def interrupted(path: Path) -> Iterator[BinaryIO]:
        with atomic_file(path) as opened:
            with monkeypatch.context() as patch:
                patch.setattr(module, "atomic_file", atomic_file)
                patch.setattr(os, "getpid", lambda: 0)
                others.append(RealRewards(file, COUNT))
            others[0].keep(at(1), rewards(0.1))
            yield opened

    monkeypatch.setattr(module, "atomic_file", interrupted)
    kept = RealRewards(file, COUNT)
    kept.keep(at(2), rewards(0.2))
    assert others[0].known(at(1)) is not None
    assert kept.known(at(2)) is not None
    assert RealRewards(file, COUNT).known(at(2)) is not None
    assert [each.name for each in tmp_path.iterdir()] == ["kept.f32"]
