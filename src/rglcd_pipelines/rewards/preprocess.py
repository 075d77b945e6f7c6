"""The one place where images are resized for a reward model.

Libraries disagree about resizing, and have changed their minds: whether shrinking averages over the pixels
that a new pixel covers (antialiasing) decides how much of a picture's noise a reward model sees, and with it
what a student learns from it. So the resize is ours: two small matrices, whose backward pass is matrices
again and so the same every time on a GPU too, where torch's own bicubic has no deterministic one.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from rglcd_pipelines.artifacts import write_json
from rglcd_pipelines.config import Config, check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.precision import float32

SEEN = "preprocess.json"
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


class PreprocessConfig(Config):
    """What a reward model sees of an image."""

    size: int = Field(ge=1)
    """The side of the square that the model sees, in pixels."""
    antialias: bool = True
    """Whether shrinking averages over all that a new pixel covers, as PIL does; without it, noise passes."""
    mean: list[float] = Field(default=CLIP_MEAN, min_length=3, max_length=3)
    """What is subtracted from red, green and blue in [0, 1]."""
    std: list[float] = Field(default=CLIP_STD, min_length=3, max_length=3)
    """What they are divided by then."""
    crop: Literal["centre", "squash"] = "centre"
    """An image that is no square: its middle is cut out, or all of it is squashed."""

    @model_validator(mode="after")
    def _can_divide(self) -> "PreprocessConfig":
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std}; each of its numbers must be greater than zero")
        return self


def preprocess(images: Tensor, config: PreprocessConfig) -> Tensor:
    """Images [B, 3, H, W] in [0, 1] as the model wants them: float32, differentiable.

    Bicubic overshoots at edges; what leaves [0, 1] is kept, so that no gradient is cut off.
    """
    with float32(images.device):
        small = resize(images.float(), config.size, config.antialias, config.crop)
        mean, std = (small.new_tensor(values)[:, None, None] for values in (config.mean, config.std))
        return (small - mean) / std


def resize(images: Tensor, size: int, antialias: bool, crop: Literal["centre", "squash"]) -> Tensor:
    """Bicubic, to `size` by `size`."""
    height, width = images.shape[-2:]
    rows, columns = size, size
    if crop == "centre":  # the shorter side becomes `size`, the longer one keeps its proportion
        rows, columns = (size * side // min(height, width) for side in (height, width))
    down, across = (
        bicubic(side, grown, antialias)[(start := round((grown - size) / 2)) : start + size].to(images)
        for side, grown in ((height, rows), (width, columns))
    )
    return down @ (images @ across.T)


def save_seen(config: PreprocessConfig, folder: Path) -> None:
    """Beside a model, what it was made to see."""
    write_json(folder / SEEN, config.model_dump())


def load_seen(folder: Path) -> PreprocessConfig | None:
    """What `save_seen` left; models from elsewhere have nothing of the kind."""
    file = folder / SEEN
    if not file.is_file():
        return None
    try:
        return check(PreprocessConfig, json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, ConfigError) as error:
        raise DataError(f"{file}: {error}. Make or fetch it again.") from None


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # they are kept for whoever asks next, who may want gradients
def bicubic(old: int, new: int, antialias: bool) -> Tensor:
    """The weights [new, old] with which the pixels of a row of `old` add up to those of a row of `new`.

    With antialiasing as PIL: the kernel (a = -0.5) grows as wide as the image shrinks, and what falls beyond
    the border is left out. Without as OpenCV and torch: four pixels (a = -0.75), the border repeated.
    """
    scale = old / new
    centres = (torch.arange(new, dtype=torch.float64)[:, None] + 0.5) * scale - 0.5
    if antialias:
        stretch = max(scale, 1.0)
        weights = _cubic((torch.arange(old, dtype=torch.float64) - centres) / stretch, -0.5)
        return (weights / weights.sum(1, keepdim=True)).float()
    taps = centres.floor() + torch.arange(-1, 3, dtype=torch.float64)
    weights = torch.zeros(new, old, dtype=torch.float64)
    weights.scatter_add_(1, taps.clamp(0, old - 1).long(), _cubic(taps - centres, -0.75))
    return weights.float()


def _cubic(x: Tensor, a: float) -> Tensor:
    """Keys' kernel: one at zero, zero at the other whole numbers."""
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
