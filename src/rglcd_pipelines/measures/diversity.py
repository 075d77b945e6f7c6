"""How different the pictures of one prompt are; an over-optimised student draws one, whatever the noise."""

import torch
from torch import Tensor
from torch.nn import functional as F


def feature_diversity(features: Tensor) -> Tensor:
    """[P] of [P, R, D], R pictures of each prompt: the mean of 1 - cosine over their pairs."""
    repeats = _repeats(features)
    unit = F.normalize(features.float(), dim=-1)
    cosines = unit @ unit.transpose(1, 2)
    above = torch.triu_indices(repeats, repeats, 1, device=features.device)
    return (1 - cosines[:, above[0], above[1]]).mean(1)


def pixel_diversity(images: Tensor) -> Tensor:
    """[P] of [P, R, 3, H, W]: the mean over the pairs of the root mean square of their difference."""
    repeats = _repeats(images)
    pairs = [
        (images[:, first + 1 :] - images[:, first : first + 1]).float().square().mean((2, 3, 4)).sqrt()
        for first in range(repeats - 1)
    ]
    return torch.cat(pairs, dim=1).mean(1)


def _repeats(values: Tensor) -> int:
    repeats = values.shape[1]
    if repeats < 2:
        raise ValueError("one picture a prompt has no diversity; give two or more")
    return repeats
