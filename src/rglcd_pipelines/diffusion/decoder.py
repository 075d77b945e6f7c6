"""From a diffusion model's latents to pictures."""

from typing import Any

from torch import Tensor

from rglcd_pipelines.diffusion.vae import Vae


def pictures(vae: Vae, z: Tensor) -> Tensor:
    """D(z): scaled latents [B, C, h, w] as images [B, 3, H, W] in [0, 1], float32.

    What the decoder says beyond black and white is cut off, and with it the gradient: a screen shows no more.
    """
    decoded: Any = vae.model.decode(unscaled(vae, z).to(vae.model.dtype))  # pyright: ignore[reportArgumentType]
    return (decoded.sample.float() / 2 + 0.5).clamp(0, 1)


def unscaled(vae: Vae, z: Tensor) -> Tensor:
    """Latents as the autoencoder gives them, of such as the diffusion model sees."""
    return z / vae.scaling_factor + vae.shift_factor
