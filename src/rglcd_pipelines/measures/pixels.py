"""Pictures as floats, and as files hold them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rglcd_pipelines.errors import DataError

REC_601 = (0.299, 0.587, 0.114)
"""How much red, green and blue count for luma."""


def luma(images: Tensor) -> Tensor:
    """[B, H, W] of images [B, 3, H, W]: how bright each pixel is, as JPEG and television have it."""
    red, green, blue = images.float().unbind(1)
    return REC_601[0] * red + REC_601[1] * green + REC_601[2] * blue


def to_bytes(images: Tensor) -> NDArray[np.uint8]:
    """[B, H, W, 3] of images [B, 3, H, W] in [0, 1]."""
    images = images.detach().float()
    if bad := (~images.isfinite().all((1, 2, 3))).nonzero().flatten().tolist():
        raise DataError(
            f"Picture {bad[0] + 1} of {len(images)} holds values that are no numbers, so nothing can be "
            "measured on it. Look for the mistake in what made it."
        )
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous().numpy()


def from_bytes(pixels: NDArray[np.uint8]) -> Tensor:
    """The way back, in float32 on the CPU."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
