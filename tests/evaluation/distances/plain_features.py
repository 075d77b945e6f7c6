"""Features without pictures, for tests of distances."""

import numpy as np
from numpy.typing import NDArray


def features(
    count: int, dimensions: int, seed: int, scale: float = 1.0, shift: float = 0.0
) -> NDArray[np.float32]:
    """Skewed and correlated, as a network's are; of equal dimensions all are correlated in the same way."""
    mixing = np.random.default_rng(dimensions).standard_normal((dimensions, dimensions))
    drawn = np.random.default_rng(seed).standard_normal((count, dimensions))
    mixed = np.abs(drawn @ mixing) / dimensions**0.5
    return (mixed * scale + shift).astype(np.float32)
