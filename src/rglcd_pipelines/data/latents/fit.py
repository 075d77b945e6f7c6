"""How an image of any size becomes the square that an autoencoder takes."""

from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True, slots=True)
class Fitted:
    """A square image, and where in the original it comes from."""

    array: np.ndarray
    """uint8, height × width × RGB."""
    width: int
    """Of the original, in pixels; so is `height`."""
    height: int
    crop_top: int
    """In the resized image, as SDXL's micro-conditioning counts it; so is `crop_left`."""
    crop_left: int


def fit(image: Image.Image, resolution: int) -> Fitted:
    """An RGB image with its short side resized to `resolution`, and the middle square of it."""
    width, height = image.size
    scale = resolution / min(width, height)
    # Exactly `resolution` for the short side, whatever the rounding says.
    resized = (max(resolution, round(width * scale)), max(resolution, round(height * scale)))
    if resized != image.size:
        image = image.resize(resized, Image.Resampling.LANCZOS)
    left = (resized[0] - resolution) // 2
    top = (resized[1] - resolution) // 2
    square = image.crop((left, top, left + resolution, top + resolution))
    return Fitted(np.asarray(square), width, height, top, left)
