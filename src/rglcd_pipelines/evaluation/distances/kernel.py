"""KID: the squared maximum mean discrepancy of features under a polynomial kernel of the third degree.

Unlike FID's, its estimate has no bias, whatever the number of samples: equal distributions give zero on
average, and single estimates may be below zero.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.distances.frechet import check_features

BLOCK = 2048
SUBSETS, SUBSET_SIZE = 100, 1_000
SEED = 2020
"""torch-fidelity's, whose draws these are."""


class Subsets(NamedTuple):
    """What KID papers print: the mean over subsets, and how far single subsets are from it."""

    mean: float
    deviation: float


def kernel_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The unbiased estimate from all samples: what the mean over subsets tends to."""
    check_pair(a, b)
    same = sum(without_itself(features, kernel_means(features, features)) for features in (a, b))
    return float(same - 2 * kernel_means(a, b).mean())


def kernel_distance_of_subsets(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
    seed: int = SEED,
) -> Subsets:
    """The same of random subsets of `size` each, drawn without replacement, as it is published."""
    check_pair(a, b)
    if size > min(len(a), len(b)):
        raise DataError(
            f"KID's subsets of {size} do not fit into {len(a)} and {len(b)} pictures. "
            "Make more pictures, or lower the size of its subsets."
        )
    random = np.random.RandomState(seed)
    found = np.empty(subsets)
    for index in range(subsets):
        first = a[random.choice(len(a), size, replace=False)]
        second = b[random.choice(len(b), size, replace=False)]
        found[index] = kernel_distance(first, second)
    return Subsets(float(found.mean()), float(found.std()))


def kernel_means(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """[N]: for each x of `a` the mean of k(x, y) = (x·y / D + 1)³ over all y of `b`, in float64."""
    return np.concatenate([_sums(block, b) for block in _blocks(a)]) / len(b)


def without_itself(features: NDArray[np.floating], means: NDArray[np.float64]) -> float:
    """The mean over all pairs of different samples, from the `kernel_means` of features with themselves."""
    norms = np.einsum("nd,nd->n", features, features, dtype=np.float64)
    itself = _cubed(norms / features.shape[1] + 1)
    return float((means.sum() * len(features) - itself.sum()) / (len(features) * (len(features) - 1)))


def _sums(block: NDArray[np.float64], b: NDArray[np.floating]) -> NDArray[np.float64]:
    dimensions = block.shape[1]
    return sum((_cubed(block @ y.T / dimensions + 1).sum(1) for y in _blocks(b)), np.zeros(len(block)))


def _cubed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values * values * values  # numpy's power takes ten times as long


def _blocks(features: NDArray[np.floating]) -> Iterator[NDArray[np.float64]]:
    for first in range(0, len(features), BLOCK):
        yield features[first : first + BLOCK].astype(np.float64)


def check_pair(a: NDArray[np.floating], b: NDArray[np.floating]) -> None:
    """That both are features of the same kind."""
    for features in (a, b):
        check_features(features)
    if a.shape[1] != b.shape[1]:
        raise DataError(
            f"features of {a.shape[1]} and of {b.shape[1]} dimensions have no distance. "
            "Compute both with the same features."
        )
