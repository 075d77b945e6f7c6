"""The power of pictures by frequency, averaged over directions and pictures."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RINGS = 16
LUMA = (0.299, 0.587, 0.114)


def mean_spectrum(pictures: Iterable[Floats]) -> tuple[Floats, Floats]:
    """Frequencies in cycles a pixel, and the mean power of luma [RINGS] at them, of pictures [H, W, 3]."""
    total: Floats | None = None
    edges = np.linspace(0, 0.5, RINGS + 1)
    count = 0
    for picture in pictures:
        bright = picture @ np.array(LUMA)
        height, width = bright.shape
        power = np.abs(np.fft.fft2(bright - bright.mean(), norm="forward")) ** 2
        # A power a cycle: pictures of two sizes can stand in one chart.
        power *= height * width
        y, x = np.fft.fftfreq(height), np.fft.fftfreq(width)
        frequency = np.hypot(y[:, None], x[None, :])
        ring = np.digitize(frequency.ravel(), edges) - 1
        inside = (ring >= 0) & (ring < RINGS) & (frequency.ravel() > 0)
        sums = np.bincount(ring[inside], power.ravel()[inside], RINGS)
        members = np.bincount(ring[inside], minlength=RINGS)
        rings = sums / np.maximum(members, 1)
        total = rings if total is None else total + rings
        count += 1
    middles = (edges[:-1] + edges[1:]) / 2
    return middles, np.zeros(RINGS) if total is None else total / count
