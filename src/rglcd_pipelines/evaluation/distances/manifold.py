"""Precision and recall of Kynkäänniemi et al. (2019): how real samples look, how much of reality they cover.

Each set's manifold is the union of balls around its samples, as wide as to their k-th nearest neighbour.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.distances.kernel import check_pair

NEIGHBOURS = 3
BLOCK = 1024


@dataclass(frozen=True)
class PrecisionRecall:
    precise: NDArray[np.bool_]
    """[N]: which generated samples lie in the manifold of the real ones."""
    recalled: NDArray[np.bool_]
    """[M]: which real samples lie in the manifold of the generated ones."""

    @property
    def precision(self) -> float:
        return float(self.precise.mean())

    @property
    def recall(self) -> float:
        return float(self.recalled.mean())


def precision_recall(
    generated: NDArray[np.floating],
    real: NDArray[np.floating],
    neighbours: int = NEIGHBOURS,
    device: torch.device | str = "cpu",
) -> PrecisionRecall:
    """Of features [N, D] and [M, D]; both shares fall with fewer samples, so compare equal numbers only."""
    check_pair(generated, real)
    if neighbours >= min(len(generated), len(real)):
        raise DataError(
            f"{len(generated)} and {len(real)} pictures are too few for {neighbours} nearest neighbours "
            "of each. Make more, or lower the number of neighbours."
        )
    ours, theirs = (torch.from_numpy(np.ascontiguousarray(each)).to(device) for each in (generated, real))
    return PrecisionRecall(
        precise=_inside(ours, theirs, _radii(theirs, neighbours)),
        recalled=_inside(theirs, ours, _radii(ours, neighbours)),
    )


def _radii(features: Tensor, neighbours: int) -> Tensor:
    """[N]: from each sample to its k-th nearest neighbour; the nearest of all is itself."""
    parts = [
        _distances(block, features).kthvalue(neighbours + 1, dim=1).values for block in features.split(BLOCK)
    ]
    return torch.cat(parts)


def _inside(samples: Tensor, centres: Tensor, radii: Tensor) -> NDArray[np.bool_]:
    inside = [(_distances(block, centres) <= radii).any(1) for block in samples.split(BLOCK)]
    return torch.cat(inside).cpu().numpy()


def _distances(block: Tensor, features: Tensor) -> Tensor:
    """In float64: by way of products, float32 would lose the small ones."""
    return torch.cdist(block.double(), features.double())
