"""Who prefers what: the rule of taste decides, and people agree with it more often the clearer it is."""

import math

import numpy as np
import torch
from torch import Tensor


def temperature(differences: Tensor, agreement: float) -> float:
    """The noise with which so many of the labels agree with the rule: the mean of sigmoid(|d| / T)."""
    sizes = differences.abs().double()
    if not float(sizes.max()) > 0:
        return 1.0  # the rule sees no difference anywhere
    low, high = 1e-6 * float(sizes.max()), 1e3 * float(sizes.max())
    for _ in range(100):
        middle = math.sqrt(low * high)
        if float(torch.sigmoid(sizes / middle).mean()) > agreement:
            low = middle
        else:
            high = middle
    return float(f"{math.sqrt(low * high):.6g}")


def draw_labels(differences: Tensor, temperature: float, seed: list[int]) -> Tensor:
    """Whether the first picture is preferred: true with probability sigmoid(d / T)."""
    uniform = torch.from_numpy(np.random.Generator(np.random.PCG64(seed)).random(len(differences)))
    return uniform < torch.sigmoid(differences.double() / temperature)


def accuracy(differences: Tensor, first: Tensor) -> float:
    """How often whoever prefers the greater score agrees with the labels; of equal ones, half the time."""
    right = torch.where(differences == 0, 0.5, ((differences > 0) == first).double())
    return float(right.mean())
