"""How pictures get worse: what cameras, codecs and samplers do to them, by a strength between 0 and 1.

Every function takes float images [B, 3, H, W] in [0, 1], a strength [B, 1, 1, 1] and a generator.
"""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

Degradation = Callable[[Tensor, Tensor, torch.Generator], Tensor]

LUMA = (0.299, 0.587, 0.114)


def blur(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    """A Gaussian, up to 2 pixels wide on 32."""
    sigma = (0.3 + 1.7 * strength) * images.shape[-1] / 32
    reach = max(1, round(6 * images.shape[-1] / 32))
    steps = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    weights = torch.exp(-0.5 * (steps / sigma.view(-1, 1)) ** 2)
    # One group a channel of each picture, for each picture has its own width.
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(3, 0)[:, None, None, :]
    flat = images.reshape(1, -1, *images.shape[-2:])
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), mode="replicate"), weights, groups=len(weights))
    weights = weights.transpose(2, 3)
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), mode="replicate"), weights, groups=len(weights))
    return flat.view_as(images)


def white_noise(images: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    """Every pixel for itself."""
    noise = torch.randn(images.shape, generator=generator).to(images)
    return images + (0.02 + 0.23 * strength) * noise


def coarse_noise(images: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    """Stains of about four pixels on 32."""
    count, channels, height, width = images.shape
    noise = torch.randn((count, channels, 8, 8), generator=generator).to(images)
    stains = F.interpolate(noise, (height, width), mode="bilinear", align_corners=False, antialias=False)
    return images + (0.03 + 0.3 * strength) * stains


def jpeg(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    """The codec's blocks and fringes, down to quality 5."""
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    quality = (60 * (5 / 60) ** strength.flatten()).round().int().tolist()
    coded = [_jpeg(picture, q) for picture, q in zip(pixels, quality, strict=True)]
    return torch.from_numpy(np.stack(coded)).permute(0, 3, 1, 2).to(images) / 255


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(file))


def low_contrast(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return _stretch(images, images.mean((1, 2, 3), keepdim=True), 1 - (0.15 + 0.7 * strength))


def high_contrast(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return _stretch(images, images.mean((1, 2, 3), keepdim=True), 1 + (0.2 + 2.3 * strength))


def low_saturation(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return _stretch(images, grey(images), 1 - (0.2 + 0.8 * strength))


def high_saturation(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    return _stretch(images, grey(images), 1 + (0.3 + 2.2 * strength))


def colour_cast(images: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    """Light of another colour."""
    cast = torch.randn((len(images), 3, 1, 1), generator=generator).to(images)
    cast = F.normalize(cast - cast.mean(1, keepdim=True), dim=1)
    return images + (0.05 + 0.35 * strength) * cast


def pixelation(images: Tensor, strength: Tensor, _: torch.Generator) -> Tensor:
    """Squares of one colour: two pixels wide on 32, or four, mixed in by strength."""
    side = images.shape[-1]
    fine, coarse = (_squares(images, max(1, round(side * share))) for share in (1 / 2, 1 / 4))
    share = 0.2 + 1.8 * strength
    return torch.where(share < 1, images + share * (fine - images), fine + (share - 1) * (coarse - fine))


def _squares(images: Tensor, side: int) -> Tensor:
    return F.interpolate(F.adaptive_avg_pool2d(images, side), images.shape[-2:], mode="nearest")


def grey(images: Tensor) -> Tensor:
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def _stretch(images: Tensor, around: Tensor, factor: Tensor) -> Tensor:
    return around + factor * (images - around)


DEGRADATIONS: dict[str, Degradation] = {
    function.__name__: function
    for function in (
        blur,
        white_noise,
        coarse_noise,
        jpeg,
        low_contrast,
        high_contrast,
        low_saturation,
        high_saturation,
        colour_cast,
        pixelation,
    )
}


def degrade(images: Tensor, kinds: Tensor, strengths: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture made worse in one way: `kinds` [B] indexes DEGRADATIONS, -1 leaves it as it is."""
    worse = images.clone()
    for index, function in enumerate(DEGRADATIONS.values()):
        chosen = kinds == index
        if chosen.any():
            part = function(images[chosen], strengths[chosen][:, None, None, None], generator)
            worse[chosen] = part.clamp(0, 1)
    return worse
