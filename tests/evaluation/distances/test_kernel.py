"""KID on features: by hand, and as torch-fidelity has it."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.distances import kernel
from rglcd_pipelines.evaluation.distances.kernel import kernel_distance, kernel_distance_of_subsets
from tests.evaluation.distances.plain_features import features


def test_one_dimension_by_hand() -> None:
    """k(x, y) = (x y + 1)³: of 0 and 1 with each other 1, of 2 with 0 and 1: 1 and 27."""
    a, b = np.array([[0.0], [1.0]]), np.array([[2.0], [0.0]])
    within = 1.0 + 1.0  # k(0, 1) of both; k(2, 0)
    between = (1 + 1 + 27 + 1) / 4  # k(0, 2), k(0, 0), k(1, 2), k(1, 0)
    assert kernel_distance(a, b) == pytest.approx(within - 2 * between)


@pytest.mark.parametrize(("count", "other", "dimensions", "size"), [(300, 260, 16, 100), (60, 90, 128, 60)])
def test_subsets_are_torch_fidelitys(count: int, other: int, dimensions: int, size: int) -> None:
    a, b = features(count, dimensions, 1), features(other, dimensions, 2, scale=1.1)
    theirs = kid_features_to_metric(
        torch.from_numpy(a),
        torch.from_numpy(b),
        kid_subsets=20,
        kid_subset_size=size,
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
        rng_seed=2020,
        verbose=False,
    )
    ours = kernel_distance_of_subsets(a, b, 20, size)
    assert ours.mean == pytest.approx(theirs[KEY_METRIC_KID_MEAN], abs=1e-5)
    assert ours.deviation == pytest.approx(theirs[KEY_METRIC_KID_STD], abs=1e-5)


def test_all_samples_are_what_subsets_tend_to() -> None:
    a, b = features(200, 8, 1), features(240, 8, 2, scale=1.1)
    many = kernel_distance_of_subsets(a, b, 400, 60)
    assert kernel_distance(a, b) == pytest.approx(many.mean, abs=4 * many.deviation / 400**0.5)


def test_equal_distributions_give_zero_on_average_and_others_do_not() -> None:
    equal = [kernel_distance(features(40, 8, 2 * i), features(40, 8, 2 * i + 1)) for i in range(200)]
    assert min(equal) < 0 < max(equal)
    assert abs(np.mean(equal)) < 4 * np.std(equal) / 200**0.5
    assert kernel_distance(features(40, 8, 0), features(40, 8, 1, scale=1.5)) > max(equal)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = features(50, 8, 1), features(43, 8, 2)
    whole = kernel_distance(a, b)
    monkeypatch.setattr(kernel, "BLOCK", 7)
    assert kernel_distance(a, b) == pytest.approx(whole, rel=1e-12)


def test_what_cannot_be_compared_is_told() -> None:
    a = features(10, 4, 0)
    with pytest.raises(DataError, match="subsets of 20 do not fit into 10 and 10"):
        kernel_distance_of_subsets(a, a, 5, 20)
    with pytest.raises(DataError, match="4 and of 3 dimensions"):
        kernel_distance(a, a[:, :3])
    with pytest.raises(DataError, match="have no distribution"):
        kernel_distance(a[:1], a)
