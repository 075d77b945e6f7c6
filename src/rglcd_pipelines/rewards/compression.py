"""How little room a picture takes as JPEG, and its contrast: the smallest reward without a gradient.

JPEG rounds, so nothing can be differentiated; of its size alone a grey picture would be the best one.
"""

import io
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rglcd_pipelines.rewards.pixels import pixels
from rglcd_pipelines.rewards.settings import CompressionConfig


class CompressionReward:
    """contrast_weight · (standard deviation of luma) − size_weight · (bytes a pixel); captions do nothing."""

    differentiable = False

    def __init__(self, name: str, config: CompressionConfig) -> None:
        self.name, self.config = name, config

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        if len(images) != len(captions):
            raise ValueError(f"{len(images)} images and {len(captions)} captions; give as many")
        scores = [self._score(picture) for picture in pixels(images, self.name)]
        return torch.tensor(scores, dtype=torch.float32, device=images.device)

    def _score(self, picture: NDArray[np.uint8]) -> float:
        height, width, _ = picture.shape
        image = Image.fromarray(picture)
        size = jpeg_bytes(image, self.config.quality) / (height * width)
        return self.config.contrast_weight * contrast(image) - self.config.size_weight * size


def jpeg_bytes(image: Image.Image, quality: int) -> int:
    """The length of the file; some 600 bytes of it are the header that every picture has."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.tell()


def contrast(image: Image.Image) -> float:
    """The standard deviation of luma in [0, 1]: 0 of a grey picture, 0.5 of one half black and half white."""
    return float(np.asarray(image.convert("L"), np.float64).std() / 255)
