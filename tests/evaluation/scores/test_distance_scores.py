"""Distances as scores of samples: their mean is the distance itself."""

import numpy as np
import pyarrow as pa
import pytest

from rglcd_pipelines.evaluation.distances.frechet import frechet_distance, moments
from rglcd_pipelines.evaluation.distances.kernel import kernel_distance
from rglcd_pipelines.evaluation.distances.reference import Reference
from rglcd_pipelines.evaluation.scores.distances import with_distances


def test_the_mean_over_a_columns_samples_is_the_distance() -> None:
    drawn = np.random.default_rng(0)
    real = Reference(drawn.normal(size=(80, 4)).astype(np.float32))
    features = {
        ("2", "coco"): drawn.normal(1, 1, size=(30, 4)).astype(np.float32),
        ("4", "coco"): drawn.normal(0, 2, size=(30, 4)).astype(np.float32),
    }
    rows = pa.table(
        {
            "column": ["2"] * 35 + ["4"] * 30,
            "set": ["other"] * 5 + ["coco"] * 60,
            "group": [""] * 65,
            "key": [str(number) for number in range(65)],
            "repeat": pa.array([0] * 65, pa.int32()),
            "hps": pa.array([0.5] * 65, pa.float32()),
        }
    )
    found = with_distances(rows, features, real)
    assert found.column_names == ["column", "set", "group", "key", "repeat", "hps", "fid", "kid"]
    fid, kid = (found[name].to_numpy(zero_copy_only=False) for name in ("fid", "kid"))
    assert np.isnan(fid[:5]).all()
    assert found["kid"].null_count == 5
    for rows_of, name in ((slice(5, 35), ("2", "coco")), (slice(35, 65), ("4", "coco"))):
        expected = frechet_distance(moments(features[name]), real.moments)
        assert fid[rows_of].mean() == pytest.approx(expected, rel=1e-4)
        assert kid[rows_of].mean() == pytest.approx(kernel_distance(features[name], real.features), rel=1e-3)
