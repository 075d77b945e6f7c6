"""FID: the Fréchet distance of two normal distributions that have the means and covariances of features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rglcd_pipelines.errors import DataError

BLOCK = 4096


@dataclass(frozen=True)
class Moments:
    """What FID knows of a set of features, in float64."""

    count: int
    mean: NDArray[np.float64]
    """[D]"""
    covariance: NDArray[np.float64]
    """[D, D]"""


def moments(features: NDArray[np.floating]) -> Moments:
    """Of features [N, D]; in blocks, so that no second copy of them is made in float64."""
    check_features(features)
    count = len(features)
    mean = features.mean(0, dtype=np.float64)
    covariance = np.zeros((features.shape[1],) * 2)
    for first in range(0, count, BLOCK):
        centred = features[first : first + BLOCK] - mean
        covariance += centred.T @ centred
    return Moments(count, mean, covariance / (count - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """|m_a - m_b|² + tr(A + B - 2 (A B)^½).

    The trace of the root comes from the eigenvalues of A^½ B A^½, which is symmetric. Those of A B are the
    same, but rounding makes them negative or complex where features are fewer than their dimensions.
    """
    if a.mean.shape != b.mean.shape:
        raise DataError(
            f"features of {len(a.mean)} and of {len(b.mean)} dimensions have no distance. "
            "Compute both with the same features."
        )
    root = root_of(a.covariance)
    between = np.sqrt(np.linalg.eigvalsh(symmetric(root @ b.covariance @ root)).clip(0)).sum()
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return float(np.square(a.mean - b.mean).sum() + traces - 2 * between)


def root_of(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def symmetric(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix that is symmetric but for rounding, without that."""
    return (matrix + matrix.T) / 2


def check_features(features: NDArray[np.floating]) -> None:
    """That there is something to compare: features [N, D] of two pictures or more, all of them numbers."""
    if features.ndim != 2 or len(features) < 2:
        raise DataError(f"features {list(features.shape)} have no distribution; give [N, D] of two or more.")
    # The sum is no number where one of them is none, and needs no copy.
    if not np.isfinite(features.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(features).all(1))
        raise DataError(
            f"the features of picture {bad[0] + 1} of {len(features)} are no numbers. "
            "Look for the mistake in what made it."
        )
