"""The figures of a model's scores, each with its 95 % interval."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rglcd_pipelines.evaluation.benchmark import FACTOR, chunked
from rglcd_pipelines.evaluation.distances.manifold import precision_recall
from rglcd_pipelines.evaluation.distances.reference import Reference
from rglcd_pipelines.evaluation.intervals import Interval, mean_interval
from rglcd_pipelines.evaluation.prompts.settings import PromptSetConfig
from rglcd_pipelines.evaluation.scores.table import KEYS, Figure, Measure
from rglcd_pipelines.measures.diversity import feature_diversity

Features = Mapping[tuple[str, str], NDArray[np.float32]]


def figures_of(
    rows: pa.Table,
    features: Features,
    sets: Mapping[str, PromptSetConfig],
    measures: Mapping[str, Measure],
    reference: Reference | None,
    resamples: int,
) -> list[Figure]:
    """Of every column and set: means of what was measured of samples, distances, and diversity."""
    found: list[Figure] = []
    for column, name in _parts(rows):
        part = rows.filter(pa.array(_same(rows, "column", column) & _same(rows, "set", name)))
        asked = sets[name]
        found += _means(column, name, part, measures, "benchmark" in asked.use, resamples)
        kept = features.get((column, name))
        if kept is not None and "fid" in asked.use and reference is not None:
            found += _manifold(column, name, kept, reference, resamples)
        if kept is not None and "diversity" in asked.use:
            found.append(_diversity(column, name, kept, asked.repeats, resamples))
    return found


def _parts(rows: pa.Table) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(rows["column"].to_pylist(), rows["set"].to_pylist(), strict=True)))


def _same(rows: pa.Table, name: str, value: str) -> NDArray[np.bool_]:
    return np.asarray(rows[name].to_pylist(), dtype=object) == value


def _means(
    column: str,
    name: str,
    rows: pa.Table,
    measures: Mapping[str, Measure],
    benchmark: bool,
    resamples: int,
) -> Iterator[Figure]:
    """Of the whole set, and of each of its groups if there are several."""
    groups = np.asarray(rows["group"].to_pylist())
    names = list(dict.fromkeys(groups.tolist()))
    for measure in rows.column_names:
        if measure in KEYS.names or rows[measure].null_count:
            continue
        values = rows[measure].to_numpy().astype(np.float64)
        told = mean_interval(values, resamples=resamples, groups=groups)
        yield _figure(column, name, "", measure, told)
        if measures[measure].role == "distance":
            continue  # of all samples together: a group has a distance of its own
        # The benchmark's protocol is for scores of judges; its deviation says nothing about colours.
        judged = benchmark and measures[measure].role in ("optimised", "held_out", "gold")
        for group in names if len(names) > 1 else []:
            own = values[groups == group]
            deviation = chunked(own, style=group).deviation / FACTOR if judged else None
            told = mean_interval(own, resamples=resamples)
            yield _figure(column, name, group, measure, told, deviation)


def _manifold(
    column: str, name: str, features: NDArray[np.float32], reference: Reference, resamples: int
) -> Iterator[Figure]:
    """Precision, whose interval is over the samples, and recall, whose interval is over the real pictures."""
    found = precision_recall(features, reference.features)
    for measure, inside in (("precision", found.precise), ("recall", found.recalled)):
        yield _figure(column, name, "", measure, mean_interval(inside, resamples=resamples))


def _diversity(column: str, name: str, features: NDArray[np.float32], repeats: int, resamples: int) -> Figure:
    """Across the pictures of each prompt, which lie side by side."""
    import torch

    apart = feature_diversity(torch.from_numpy(features.reshape(-1, repeats, features.shape[1])))
    return _figure(column, name, "", "diversity", mean_interval(apart.numpy(), resamples=resamples))


def _figure(
    column: str, name: str, group: str, measure: str, told: Interval, deviation: float | None = None
) -> Figure:
    return Figure(column, name, group, measure, told.value, told.low, told.high, told.count, deviation)


def flat(figures: Sequence[Figure]) -> dict[str, float]:
    """Those of whole sets, by the names that MLflow has."""
    return {f"{one.column}/{one.set}/{one.measure}": one.value for one in figures if not one.group}
