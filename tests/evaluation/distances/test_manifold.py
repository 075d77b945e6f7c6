"""Precision and recall on features: by hand, and as torch-fidelity has them."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.distances import manifold
from rglcd_pipelines.evaluation.distances.manifold import precision_recall
from tests.evaluation.distances.plain_features import features


def test_points_on_a_line_by_hand() -> None:
    """With one neighbour: balls of real points have radius 1; those of generated ones 0.1, 0.1 and 8.4."""
    real, generated = np.array([[0.0], [1.0], [2.0]]), np.array([[0.5], [0.6], [9.0]])
    found = precision_recall(generated, real, neighbours=1)
    assert found.precise.tolist() == [True, True, False]
    assert found.recalled.tolist() == [False, True, True]
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)  # 1 and 2 lie within 8.4 of 9, 0 does not


@pytest.mark.parametrize(("count", "other", "dimensions"), [(300, 260, 8), (90, 120, 64), (150, 150, 2)])
@pytest.mark.parametrize("neighbours", [3, 5])
def test_they_are_torch_fidelitys(count: int, other: int, dimensions: int, neighbours: int) -> None:
    a, b = features(count, dimensions, 1), features(other, dimensions, 2, scale=1.2)
    theirs = prc_features_to_metric(
        torch.from_numpy(a),
        torch.from_numpy(b),
        prc_neighborhood=neighbours,
        prc_batch_size=50,
        save_cpu_ram=True,
        verbose=False,
    )
    ours = precision_recall(a, b, neighbours)
    assert ours.precision == pytest.approx(theirs["precision"], abs=1e-6)
    assert ours.recall == pytest.approx(theirs["recall"], abs=1e-6)


def test_missing_modes_cost_recall_and_strange_samples_precision() -> None:
    random = np.random.default_rng(0)
    centres = np.arange(10)[:, None] * np.full(4, 10.0)
    real = (centres[random.integers(10, size=400)] + random.standard_normal((400, 4))).astype(np.float32)
    few = (centres[random.integers(5, size=400)] + random.standard_normal((400, 4))).astype(np.float32)
    dropped = precision_recall(few, real)
    assert dropped.precision > 0.85
    assert dropped.recall < 0.6
    strange = real.copy()
    strange[:200] += 100
    assert precision_recall(strange, real).precision == pytest.approx(0.5, abs=0.01)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = features(50, 8, 1), features(43, 8, 2)
    whole = precision_recall(a, b)
    monkeypatch.setattr(manifold, "BLOCK", 7)
    parts = precision_recall(a, b)
    assert np.array_equal(parts.precise, whole.precise)
    assert np.array_equal(parts.recalled, whole.recalled)


def test_what_cannot_be_compared_is_told() -> None:
    a = features(10, 4, 0)
    with pytest.raises(DataError, match="3 and 10 pictures are too few for 3"):
        precision_recall(a[:3], a)
    with pytest.raises(DataError, match="4 and of 3 dimensions"):
        precision_recall(a, a[:, :3])
