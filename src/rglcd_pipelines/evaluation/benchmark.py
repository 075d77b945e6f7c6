"""The HPSv2 benchmark's protocol: a style's 800 prompts are ten chunks of 80, in order.

A style's score is the mean of the chunks' means, and its deviation is theirs (of the population, as numpy has
it), both times 100.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rglcd_pipelines.errors import DataError

CHUNKS = 10
FACTOR = 100
PROTOCOL = f"HPSv2 benchmark: mean and deviation of {CHUNKS} chunks a style, ×{FACTOR}"
"""To be printed with the figures, as other protocols give others."""


@dataclass(frozen=True)
class Chunked:
    """A style's figures."""

    value: float
    deviation: float
    chunks: tuple[float, ...]
    """The mean of each chunk."""
    count: int

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.deviation:.2f}"


def chunked(scores: ArrayLike, chunks: int = CHUNKS, style: str = "") -> Chunked:
    """Of a style's scores in the prompts' order; `style` is told where they do not divide."""
    found = np.asarray(scores, np.float64)
    where = f"{style}: " if style else ""
    if found.ndim != 1 or not len(found) or len(found) % chunks:
        raise DataError(
            f"{where}{found.size} scores do not divide into {chunks} equal chunks, as the HPSv2 benchmark "
            f"wants them. Give each style a multiple of {chunks} prompts; published are 800."
        )
    if not np.isfinite(found).all():
        bad = int(np.flatnonzero(~np.isfinite(found))[0])
        raise DataError(f"{where}score {bad + 1} of {len(found)} is no number. Score the samples again.")
    means = FACTOR * found.reshape(chunks, -1).mean(1)
    return Chunked(float(means.mean()), float(means.std()), tuple(means.tolist()), len(found))
