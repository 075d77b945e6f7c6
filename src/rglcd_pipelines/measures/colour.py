"""How colourful, contrasty and bright pictures are to the eye, in CIELAB (D65); lightness is 0 to 100."""

import torch
from torch import Tensor

SRGB_TO_XYZ = (
    (0.4123908, 0.3575843, 0.1804808),
    (0.2126390, 0.7151687, 0.0721923),
    (0.0193308, 0.1191948, 0.9505322),
)
"""IEC 61966-2-1; the white point is the sum of each row, so that greys have no colour."""
CUT = 6 / 29


def saturation(images: Tensor) -> Tensor:
    """[B]: the mean chroma: 0 of greys, about 105 of pure red."""
    _, a, b = lab(images).unbind(1)
    return torch.hypot(a, b).mean((-2, -1))


def contrast(images: Tensor) -> Tensor:
    """[B]: the standard deviation of lightness: 50 of one half black and half white."""
    return lab(images)[:, 0].flatten(1).std(1, correction=0)


def brightness(images: Tensor) -> Tensor:
    """[B]: the mean lightness."""
    return lab(images)[:, 0].mean((-2, -1))


def lab(images: Tensor) -> Tensor:
    """sRGB images as L*, a* and b*, [B, 3, H, W]."""
    images = images.float().clamp(0, 1)
    linear = torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055) ** 2.4)
    to_xyz = linear.new_tensor(SRGB_TO_XYZ)
    xyz = torch.einsum("ij,bjhw->bihw", to_xyz / to_xyz.sum(1, keepdim=True), linear)
    # The straight piece near black, where the cube root is too steep.
    x, y, z = torch.where(xyz > CUT**3, xyz ** (1 / 3), xyz / (3 * CUT**2) + 4 / 29).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)
