"""FID on features: by hand, and as torch-fidelity has it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.distances import frechet
from rglcd_pipelines.evaluation.distances.frechet import Moments, frechet_distance, moments
from tests.evaluation.distances.plain_features import features


def test_normal_distributions_by_hand() -> None:
    """Along axes, it is the sum of (m1 - m2)² + (s1 - s2)²."""
    a = Moments(10, np.array([0.0, 1.0]), np.diag([4.0, 9.0]))
    b = Moments(10, np.array([3.0, 1.0]), np.diag([1.0, 25.0]))
    assert frechet_distance(a, b) == pytest.approx(9 + 1 + 4)


def test_correlation_counts() -> None:
    """Of [[1, r], [r, 1]] against the unit matrix: 4 - 2 (√(1 + r) + √(1 - r))."""
    a = Moments(10, np.zeros(2), np.array([[1.0, 0.6], [0.6, 1.0]]))
    b = Moments(10, np.zeros(2), np.eye(2))
    assert frechet_distance(a, b) == pytest.approx(4 - 2 * (1.6**0.5 + 0.4**0.5))


@pytest.mark.parametrize(
    ("count", "other", "dimensions"), [(300, 260, 16), (120, 90, 128), (50, 50, 200), (400, 400, 64)]
)
def test_it_is_torch_fidelitys(count: int, other: int, dimensions: int) -> None:
    a, b = features(count, dimensions, 1), features(other, dimensions, 2, scale=1.1, shift=0.05)
    statistics = [fid_features_to_statistics(torch.from_numpy(each)) for each in (a, b)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(theirs, abs=1e-3, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 24), st.integers(0, 10_000))
def test_it_is_a_distance(count: int, other: int, dimensions: int, seed: int) -> None:
    a, b = moments(features(count, dimensions, seed)), moments(features(other, dimensions, seed + 1))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), abs=1e-6)
    assert frechet_distance(a, b) > -1e-6
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_moments_are_numpys_in_whatever_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    many = features(103, 5, 0)
    monkeypatch.setattr(frechet, "BLOCK", 10)
    found = moments(many)
    assert found.count == 103
    assert np.allclose(found.mean, many.astype(np.float64).mean(0))
    assert np.allclose(found.covariance, np.cov(many.astype(np.float64), rowvar=False))


def test_large_means_cost_no_precision() -> None:
    many = features(500, 4, 0)
    far = moments(many.astype(np.float64) + 1e6)
    assert np.allclose(far.covariance, moments(many).covariance, rtol=1e-5)


def test_what_cannot_be_compared_is_told() -> None:
    a = features(10, 4, 0)
    with pytest.raises(DataError, match="4 and of 3 dimensions"):
        frechet_distance(moments(a), moments(a[:, :3]))
    for few in (a[:1], a[0], a[None]):
        with pytest.raises(DataError, match="have no distribution"):
            moments(few)
    a[6, 2] = np.nan
    with pytest.raises(DataError, match="picture 7 of 10"):
        moments(a)
