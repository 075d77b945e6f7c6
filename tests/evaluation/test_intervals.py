"""Intervals hold the truth about as often as they say, and pairing makes them narrow."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.intervals import (
    Interval,
    bootstrap,
    difference_interval,
    mean_interval,
    resampled_means,
    seeds_interval,
)

Random = np.random.Generator


def coverage(trials: int, truth: float, make: Callable[[Random], Interval]) -> float:
    """In how many of the trials the interval holds the truth."""
    found = [make(np.random.default_rng([7, trial])) for trial in range(trials)]
    return float(np.mean([each.low <= truth <= each.high for each in found]))


def test_a_mean_of_normal_values_has_the_interval_of_the_textbook() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 1_000)
    found = mean_interval(values, resamples=4_000)
    error = 1.96 * values.std() / 1_000**0.5
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((found.value - error, found.value + error), abs=0.01)
    assert found.count == 1_000


@pytest.mark.parametrize("kind", ["normal", "exponential", "yes or no"])
def test_means_hold_the_truth_in_about_95_of_100_trials(kind: str) -> None:
    draw: dict[str, Callable[[Random], NDArray[np.float64]]] = {
        "normal": lambda random: random.normal(1.0, 5.0, 100),
        "exponential": lambda random: random.exponential(1.0, 100),
        "yes or no": lambda random: (random.random(100) < 0.3).astype(np.float64),
    }
    truth = 0.3 if kind == "yes or no" else 1.0
    assert 0.91 <= coverage(400, truth, lambda r: mean_interval(draw[kind](r), resamples=400)) <= 0.98


def test_groups_keep_their_sizes_and_what_they_differ_by_is_no_doubt() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(["anime", "photo"], [30, 90])
    values = random.normal(np.where(groups == "anime", 0.0, 10.0), 1.0)
    within, whole = mean_interval(values, groups=groups), mean_interval(values)
    assert within.value == whole.value
    assert within.high - within.low < 0.4 < 1.2 < whole.high - whole.low
    constant = np.where(groups == "anime", 2.0, 4.0)
    assert mean_interval(constant, groups=list(groups)) == Interval(3.5, 3.5, 3.5, 120)


def test_means_within_groups_hold_the_truth_in_about_95_of_100_trials() -> None:
    groups = np.repeat(["a", "b", "c", "d"], 40)
    offsets = np.repeat([0.0, 3.0, 6.0, 9.0], 40)
    found = coverage(400, 4.5, lambda r: mean_interval(r.normal(offsets, 1.0), resamples=400, groups=groups))
    assert 0.91 <= found <= 0.98


def test_a_difference_of_the_same_prompts_is_narrow() -> None:
    random = np.random.default_rng(0)
    prompts = random.normal(0.0, 10.0, 200)
    a, b = prompts + random.normal(0.5, 0.5, 200), prompts + random.normal(0.0, 0.5, 200)
    found = difference_interval(a, b)
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert found.excludes_zero
    assert found.high - found.low < 0.3 < 2.5 < mean_interval(a).high - mean_interval(a).low
    draws = resampled_means(a) - resampled_means(b)  # equal draws of both
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])))
    assert not difference_interval(a, a).excludes_zero


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.floats(-100, 100), st.floats(0.01, 100))
def test_an_interval_moves_and_grows_with_its_values(values: list[float], shift: float, scale: float) -> None:
    found = mean_interval(values, resamples=200)
    moved = mean_interval(np.array(values) * scale + shift, resamples=200)
    assert found.low <= found.high
    assert min(values) - 1e-9 <= found.low
    assert found.high <= max(values) + 1e-9
    assert (moved.low, moved.high) == pytest.approx(
        (found.low * scale + shift, found.high * scale + shift), abs=1e-6
    )


def test_equal_seeds_give_equal_intervals_and_others_nearly() -> None:
    values = np.random.default_rng(0).normal(size=300)
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values).low != mean_interval(values, seed=1).low
    assert mean_interval(values).low == pytest.approx(mean_interval(values, seed=1).low, abs=0.02)


def test_anything_can_be_drawn_again() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    mean = bootstrap(lambda rows: float(values[rows].mean()), 200, seed=3)
    other = mean_interval(values, seed=3)
    assert (mean.value, mean.low, mean.high) == pytest.approx((other.value, other.low, other.high))
    median = bootstrap(lambda rows: float(np.median(values[rows])), 200)
    assert median.value == np.median(values)
    assert median.low < median.value < median.high


SEEDS, PROMPTS = 3, 120


def runs(random: Random, between: float, prompts: float, rest: float) -> list[NDArray[np.float64]]:
    """Scores of three training seeds on the same prompts, about zero."""
    hard = random.normal(0.0, prompts, PROMPTS)
    return [hard + random.normal(0.0, between) + random.normal(0.0, rest, PROMPTS) for _ in range(SEEDS)]


@pytest.mark.parametrize(
    ("between", "prompts", "rest"), [(1.0, 0.1, 0.1), (0.1, 1.0, 0.5), (0.0, 1.0, 0.1), (0.1, 0.1, 1.0)]
)
def test_three_seeds_hold_the_truth_in_95_of_100_trials_or_more(
    between: float, prompts: float, rest: float
) -> None:
    found = coverage(300, 0.0, lambda r: seeds_interval(runs(r, between, prompts, rest), resamples=400))
    assert 0.92 <= found <= 1.0


def test_drawing_three_seeds_again_would_not() -> None:
    """Why their part is Student's: the least and the greatest of three hold the truth three times in four."""

    def drawn(random: Random) -> Interval:
        means = np.array([each.mean() for each in runs(random, 1.0, 0.1, 0.1)])
        return mean_interval(means, resamples=400)

    assert coverage(300, 0.0, drawn) < 0.85


def test_seeds_that_differ_make_it_wide_and_seeds_that_agree_do_not() -> None:
    values = np.random.default_rng(0).normal(size=PROMPTS)
    agree = seeds_interval([values, values, values])
    assert (agree.low, agree.high) == pytest.approx((mean_interval(values).low, mean_interval(values).high))
    differ = seeds_interval([values - 1, values, values + 1])
    assert differ.value == pytest.approx(agree.value)
    assert differ.high - differ.low > 4  # ± 4.3 / √3, at least
    assert agree.count == differ.count == PROMPTS


def test_one_seed_has_the_interval_of_its_samples() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert seeds_interval([values], seed=4) == mean_interval(values, seed=4)


def test_what_has_no_interval_is_told() -> None:
    with pytest.raises(DataError, match="2 and 3 samples cannot be compared"):
        difference_interval([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="value 2 of 3 is no number"):
        mean_interval([1.0, np.nan, 2.0])
    for nothing in ([], [[1.0]]):
        with pytest.raises(DataError, match="have no interval"):
            mean_interval(nothing)
    with pytest.raises(ValueError, match="1 groups of 2 values"):
        mean_interval([1.0, 2.0], groups=["a"])
