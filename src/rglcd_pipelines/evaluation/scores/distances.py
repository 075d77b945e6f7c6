"""Distances as scores: a value a sample, whose mean is the distance, so that they compare like all others."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rglcd_pipelines.evaluation.distances.influence import frechet_values, kernel_values
from rglcd_pipelines.evaluation.distances.reference import Reference
from rglcd_pipelines.evaluation.scores.table import KEYS

FID, KID = "fid", "kid"


def with_distances(
    rows: pa.Table, features: Mapping[tuple[str, str], NDArray[np.float32]], reference: Reference
) -> pa.Table:
    """The rows with a column for FID and one for KID; null for samples that have no features here."""
    columns, sets = rows["column"].to_pylist(), rows["set"].to_pylist()
    places: dict[tuple[str, str], list[int]] = {}
    for place, name in enumerate(zip(columns, sets, strict=True)):
        places.setdefault(name, []).append(place)
    values = {name: np.full(rows.num_rows, np.nan, np.float32) for name in (FID, KID)}
    for name, own in features.items():
        values[FID][places[name]] = frechet_values(own, reference.moments)
        values[KID][places[name]] = kernel_values(own, reference.features)
    for name, found in values.items():
        rows = rows.append_column(pa.field(name, pa.float32()), pa.array(found, from_pandas=True))
    return rows.select([*KEYS.names, *(name for name in rows.column_names if name not in KEYS.names)])
