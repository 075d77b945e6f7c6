"""Pictures as files hold them, for those who judge files."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rglcd_pipelines.errors import DataError


def pixels(images: Tensor, name: str) -> NDArray[np.uint8]:
    """Of [B, 3, H, W] float images in [0, 1]: [B, H, W, 3]. `name` is the reward that wants them."""
    images = images.detach().float()
    if bad := (~images.isfinite().all((1, 2, 3))).nonzero().flatten().tolist():
        raise DataError(
            f"rewards.{name}: picture {bad[0] + 1} of {len(images)} holds values that are no numbers, so "
            "there is nothing to judge. Look for the mistake in what made it."
        )
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous().numpy()
