"""95 % intervals: what would come out with other prompts and noise, and with other seeds of training.

Prompts are drawn again with replacement (bootstrap) and the middle 95 % of what comes out is the interval
(percentiles). Equal seeds, counts and groups give equal draws, so that figures of the same prompts can be
subtracted draw by draw. Training seeds are too few to be drawn again: three values have no percentiles, and
their interval would hold the truth three times in four. Their part is Student's.

FID and KID have intervals by the same functions: `distances.influence` gives a value for each sample, whose
mean is the distance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rglcd_pipelines.errors import DataError

RESAMPLES = 1_000
LOW, HIGH = 2.5, 97.5
BLOCK = 2**22
"""How many indices are drawn at once."""

Values = NDArray[np.float64]
Groups = Sequence[str] | NDArray[np.generic]


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float
    count: int
    """How many samples it comes from."""

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def mean_interval(
    values: ArrayLike, seed: int = 0, resamples: int = RESAMPLES, groups: Groups | None = None
) -> Interval:
    """Of the mean of values; with `groups`, each group's number of samples stays as it is."""
    checked = _checked(values)
    draws = resampled_means(checked, seed, resamples, groups)
    return interval(float(checked.mean()), draws, len(checked))


def difference_interval(
    a: ArrayLike, b: ArrayLike, seed: int = 0, resamples: int = RESAMPLES, groups: Groups | None = None
) -> Interval:
    """Of the mean of a - b, whose values are of the same prompts in the same order."""
    first, second = _checked(a), _checked(b)
    if len(first) != len(second):
        raise DataError(
            f"{len(first)} and {len(second)} samples cannot be compared one by one. Evaluate both models on "
            "the same prompts."
        )
    return mean_interval(first - second, seed, resamples, groups)


def seeds_interval(
    values: Sequence[ArrayLike], seed: int = 0, resamples: int = RESAMPLES, groups: Groups | None = None
) -> Interval:
    """Of the mean over training seeds; `values` are the samples of each seed, all of the same prompts.

    The same prompts are drawn for all seeds, as what is hard about a prompt does not go away with more seeds.
    Of one seed, it is the interval of that seed's samples alone.
    """
    checked = [_checked(each) for each in values]
    draws = [resampled_means(each, seed, resamples, groups) for each in checked]
    return over_seeds([float(each.mean()) for each in checked], draws, min(map(len, checked)), seed)


def over_seeds(values: Sequence[float], draws: Sequence[Values], count: int, seed: int = 0) -> Interval:
    """One figure of several training seeds, from the figure of each and its draws.

    To the mean of the draws comes what the seeds differ by, as Student's distribution has it for so few.
    """
    mean, drawn = float(np.mean(values)), np.mean(draws, axis=0)
    seeds = len(values)
    if seeds > 1:
        error = float(np.std(values, ddof=1)) / np.sqrt(seeds)
        random = np.random.default_rng([seed, seeds, 1])
        drawn = drawn + error * random.standard_t(seeds - 1, len(drawn))
    return interval(mean, drawn, count)


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    count: int,
    seed: int = 0,
    resamples: int = RESAMPLES,
    groups: Groups | None = None,
) -> Interval:
    """Of anything that can be computed from the indices of samples; it is computed for every draw."""
    value = statistic(np.arange(count))
    draws = [statistic(row) for block in _indices(count, seed, resamples, groups) for row in block]
    return interval(float(value), np.array(draws), count)


def resampled_means(
    values: Values, seed: int = 0, resamples: int = RESAMPLES, groups: Groups | None = None
) -> Values:
    """[resamples]: the mean of each draw."""
    blocks = _indices(len(values), seed, resamples, groups)
    return np.concatenate([values[block].mean(1) for block in blocks])


def interval(value: float, draws: Values, count: int) -> Interval:
    """The middle 95 % of the draws."""
    low, high = np.percentile(draws, [LOW, HIGH])
    return Interval(value, float(low), float(high), count)


def _indices(count: int, seed: int, resamples: int, groups: Groups | None) -> list[NDArray[np.intp]]:
    """Rows of `count` indices, each a draw with replacement, within each group if there are groups."""
    random = np.random.default_rng([seed, count])
    members = _members(count, groups)
    rows = max(1, BLOCK // count)
    sizes = [min(rows, resamples - done) for done in range(0, resamples, rows)]
    return [
        np.concatenate([group[random.integers(len(group), size=(size, len(group)))] for group in members], 1)
        for size in sizes
    ]


def _members(count: int, groups: Groups | None) -> list[NDArray[np.intp]]:
    """The indices of each group."""
    if groups is None:
        return [np.arange(count)]
    names = np.asarray(groups)
    if len(names) != count:
        raise ValueError(f"{len(names)} groups of {count} values; give each value's group")
    return [np.flatnonzero(names == name) for name in np.unique(names)]


def _checked(values: ArrayLike) -> Values:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not len(found):
        raise DataError(f"values {list(found.shape)} have no interval; give one for each sample.")
    if not np.isfinite(found).all():
        bad = int(np.flatnonzero(~np.isfinite(found))[0])
        raise DataError(
            f"value {bad + 1} of {len(found)} is no number, so there is no mean. Score the samples again."
        )
    return found
