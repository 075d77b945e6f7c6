"""How much of a score hangs on what nobody sees: it is scored again after a change that people overlook."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.measures.pixels import from_bytes, to_bytes

Score = Callable[[Tensor, Sequence[str]], Tensor]
Change = Callable[[Tensor], Tensor]


def jpeg(images: Tensor, quality: int = 75) -> Tensor:
    """The images after a way through JPEG files with halved colour resolution (4:2:0), as most are."""
    changed = np.stack([_through_jpeg(picture, quality) for picture in to_bytes(images)])
    return from_bytes(changed).to(images)


def _through_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as image:
        return np.asarray(image)


def shifted(images: Tensor, pixels: int = 2) -> Tensor:
    """The images moved right and down, their first column and row repeated where nothing is left."""
    height, width = images.shape[-2:]
    return F.pad(images, (pixels, 0, pixels, 0), mode="replicate")[..., :height, :width]


def drop(score: Score, images: Tensor, captions: Sequence[str], change: Change) -> Tensor:
    """[B]: what each score loses by the change; one that hangs on fine noise loses most of what it gained."""
    return score(images, captions) - score(change(images), captions)
