"""The HPSv2 benchmark's protocol on scores that were made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.benchmark import PROTOCOL, chunked


def test_two_levels_by_hand() -> None:
    """Five chunks of 0.2 and five of 0.3: 25 on average, each 5 from it."""
    found = chunked([0.2] * 400 + [0.3] * 400)
    assert found.value == pytest.approx(25.0)
    assert found.deviation == pytest.approx(5.0)
    assert found.chunks == pytest.approx([20.0] * 5 + [30.0] * 5)
    assert found.count == 800
    assert str(found) == "25.00 ± 5.00"


def test_chunks_are_consecutive() -> None:
    """Where both levels alternate, all chunks are alike."""
    found = chunked([0.2, 0.3] * 400)
    assert found.value == pytest.approx(25.0)
    assert found.deviation == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("count", [800, 160, 10])
def test_it_is_the_published_formula(count: int) -> None:
    scores = np.random.default_rng(count).normal(0.28, 0.03, count)
    means = [np.mean(scores[first : first + count // 10]) * 100 for first in range(0, count, count // 10)]
    found = chunked(scores)
    assert found.value == pytest.approx(np.mean(means))
    assert found.deviation == pytest.approx(np.std(means))


@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 1_000))
def test_the_score_is_the_mean_of_all(chunks: int, each: int, seed: int) -> None:
    scores = np.random.default_rng(seed).random(chunks * each)
    found = chunked(scores, chunks)
    assert found.value == pytest.approx(100 * scores.mean())
    assert len(found.chunks) == chunks
    assert found.deviation <= 100 * scores.std() + 1e-9


@pytest.mark.parametrize("count", [0, 9, 801, 795])
def test_what_does_not_divide_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=f"anime: {count} scores do not divide into 10 equal chunks"):
        chunked([0.2] * count, style="anime")


def test_what_is_no_number_is_refused() -> None:
    scores = [0.2] * 800
    scores[3] = float("nan")
    with pytest.raises(DataError, match="score 4 of 800 is no number"):
        chunked(scores)


def test_the_protocol_has_a_name() -> None:
    assert PROTOCOL == "HPSv2 benchmark: mean and deviation of 10 chunks a style, ×100"
