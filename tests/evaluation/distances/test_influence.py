"""Values of samples whose mean is a distance: each is what the distance gains by more of its sample."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rglcd_pipelines.evaluation.distances.frechet import Moments, frechet_distance, moments
from rglcd_pipelines.evaluation.distances.influence import frechet_values, kernel_values
from rglcd_pipelines.evaluation.distances.kernel import kernel_distance
from rglcd_pipelines.evaluation.intervals import difference_interval, mean_interval
from tests.evaluation.distances.plain_features import features

REAL = features(400, 6, 100)
STEP = 1e-5


def weighted(values: NDArray[np.floating], weights: NDArray[np.float64]) -> Moments:
    """Moments of samples that count unequally; of equal ones, those of `moments`."""
    rows = values.astype(np.float64)
    mean = weights @ rows
    centred = rows - mean
    covariance = (centred * weights[:, None]).T @ centred * len(rows) / (len(rows) - 1)
    return Moments(len(rows), mean, covariance)


def more_of(sample: int, count: int, step: float) -> NDArray[np.float64]:
    weights = np.full(count, (1 - step) / count)
    weights[sample] += step
    return weights


@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_fid_gains_what_a_samples_value_says(scale: float) -> None:
    ours, real = features(60, 6, 1, scale=scale), moments(REAL)
    values = frechet_values(ours, real)
    assert values.mean() == pytest.approx(frechet_distance(moments(ours), real))
    for sample in (0, 17, 59):
        up, down = (
            frechet_distance(weighted(ours, more_of(sample, 60, step)), real) for step in (STEP, -STEP)
        )
        assert (up - down) / (2 * STEP) == pytest.approx(values[sample] - values.mean(), rel=1e-3, abs=1e-5)


def test_kid_gains_what_a_samples_value_says() -> None:
    """Of the estimate that keeps each sample's kernel with itself: in that, samples can count unequally."""
    ours = features(60, 6, 1, scale=1.2)
    values = kernel_values(ours, REAL)
    assert values.mean() == pytest.approx(kernel_distance(ours, REAL))

    def biased(weights: NDArray[np.float64]) -> float:
        within = (ours.astype(np.float64) @ ours.T.astype(np.float64) / 6 + 1) ** 3
        between = ((ours.astype(np.float64) @ REAL.T.astype(np.float64) / 6 + 1) ** 3).mean(1)
        return float(weights @ within @ weights - 2 * weights @ between)

    for sample in (0, 17, 59):
        up, down = (biased(more_of(sample, 60, step)) for step in (STEP, -STEP))
        assert (up - down) / (2 * STEP) == pytest.approx(values[sample] - values.mean(), rel=1e-4, abs=1e-6)


def test_fewer_samples_than_dimensions_have_values_too() -> None:
    ours, real = features(20, 40, 1), moments(features(300, 40, 2))
    values = frechet_values(ours, real)
    assert np.isfinite(values).all()
    assert values.mean() == pytest.approx(frechet_distance(moments(ours), real))


@pytest.mark.parametrize(
    "values_of", [lambda a: frechet_values(a, moments(REAL)), lambda a: kernel_values(a, REAL)]
)
def test_intervals_hold_the_truth_in_about_95_of_100_trials(
    values_of: Callable[[NDArray[np.floating]], NDArray[np.float64]],
) -> None:
    """Two models on the same prompts, one of them worse; the truth is what they are on average."""
    first, second = [], []
    for trial in range(100):
        ours = features(200, 6, 1_000 + trial, scale=1.15)
        worse = ours + 0.1 * np.random.default_rng(trial).standard_normal(ours.shape).astype(np.float32) + 0.1
        first.append(values_of(ours))
        second.append(values_of(worse))
    truth = float(np.mean(first))
    single = [mean_interval(each, resamples=300) for each in first]
    assert 0.88 <= np.mean([one.low <= truth <= one.high for one in single]) <= 1.0
    gain = float(np.mean(second)) - truth
    paired = [difference_interval(b, a, resamples=300) for a, b in zip(first, second, strict=True)]
    assert 0.88 <= np.mean([one.low <= gain <= one.high for one in paired]) <= 0.995
    # Of the same prompts: far narrower than two intervals would be.
    widths = [np.mean([one.high - one.low for one in each]) for each in (single, paired)]
    assert widths[1] < 0.8 * widths[0] * 2**0.5
