"""The miniature world's autoencoder: 32 by 32 pixels to 4 by 8 by 8 latents, sharp enough to show noise."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.artifacts import Artifact, digest_files, draft, publish, standing
from rglcd_pipelines.config import Config
from rglcd_pipelines.diffusion.vae import VaeConfig, build_vae, load_vae
from rglcd_pipelines.training.fit import CHECKPOINT, FitConfig, Task, fit, pick_device, step_seed
from rglcd_pipelines.world.batches import draw_batch, unit

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

FORMAT = 1
GROUPS = 8
"""Of its group norms."""
MEASURED = 1_024
"""How many held-out renders the figures come from."""


class AutoencoderConfig(Config):
    """The autoencoder's size and what it is trained for."""

    block_out_channels: list[int] = Field(min_length=1)
    """Channels of each level; every level after the first halves the image."""
    layers_per_block: int = Field(default=1, ge=1)
    """Residual blocks of each level."""
    latent_channels: int = Field(default=4, ge=1)
    """Channels of the latent."""
    kl_weight: float = Field(default=1e-3, ge=0)
    """How much the latents are drawn to a normal distribution; it sets the noise that the decoder bears."""
    detail_weight: float = Field(default=0.5, ge=0)
    """How much the errors of fine detail count, beside those of the pixels."""
    fit: FitConfig
    """How long and how fast it learns."""

    @model_validator(mode="after")
    def _groups_divide(self) -> "AutoencoderConfig":
        odd = [channels for channels in self.block_out_channels if channels < 1 or channels % GROUPS]
        if odd:
            raise ValueError(f"block_out_channels holds {odd[0]}, no multiple of {GROUPS}; change it")
        return self


def make_autoencoder(config: AutoencoderConfig, resolution: int, place: Path) -> Artifact:
    """A trained AutoencoderKL at `place`, as diffusers saves it, with its scaling factor measured."""
    made_from = {"format": FORMAT, "resolution": resolution, **config.model_dump()}
    if ready := standing(place, "autoencoder", made_from):
        return ready
    device = pick_device()
    with draft(place, made_from) as work:
        torch.manual_seed(config.fit.seed)
        model: Any = build(config).to(device)  # pyright: ignore[reportArgumentType]
        task = Task(
            name="autoencoder",
            model=model,
            draw=lambda step: draw_noisy(config, resolution, step),
            loss=lambda drawn: reconstruction_loss(model, drawn.to(device), config),
            split=Drawn.split,
        )
        seconds = fit(task, config.fit, work.path)
        model.half().float()  # what is measured is what is kept
        held_out = draw_batch("figures", 0, MEASURED, resolution, held_out=True).images.to(device)
        model.register_to_config(scaling_factor=round(scaling_factor(model, held_out), 4))
        metrics = {"seconds": round(seconds, 1), **quality(model, held_out)}
        model.half().save_pretrained(work.path)
        (work.path / CHECKPOINT).unlink()
        return publish(work, place, "autoencoder", made_from, {"files": digest_files(work.path)}, metrics)


@dataclass(frozen=True)
class Drawn:
    """One step's batch: renders, and the noise that their latents are drawn with."""

    images: Tensor
    """[B, 3, H, W], uint8."""
    noise: Tensor
    """[B, C, H / f, W / f]."""

    def to(self, device: torch.device) -> "Drawn":
        return Drawn(self.images.to(device), self.noise.to(device))

    def split(self, count: int) -> "list[Drawn]":
        """In parts of equal size, which `count` must allow; otherwise as it is."""
        if len(self.images) % count:
            return [self]
        return [
            Drawn(*parts) for parts in zip(self.images.chunk(count), self.noise.chunk(count), strict=True)
        ]


def draw_noisy(config: AutoencoderConfig, resolution: int, step: int) -> Drawn:
    """The batch of one step."""
    images = draw_batch("autoencoder", step, config.fit.batch_size, resolution).images
    side = resolution // 2 ** (len(config.block_out_channels) - 1)
    drawn = torch.Generator().manual_seed(step_seed(config.fit.seed, step))
    return Drawn(images, torch.randn(len(images), config.latent_channels, side, side, generator=drawn))


def build(config: AutoencoderConfig) -> "AutoencoderKL":
    """With random weights; not channels-last, in which group norms are slow on CPUs."""
    return build_vae(
        config.block_out_channels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        norm_num_groups=GROUPS,
        mid_block_add_attention=False,
    )


def load_autoencoder(folder: Path, device: torch.device) -> "AutoencoderKL":
    """The one at `folder`, in float32."""
    return load_vae(VaeConfig(source="folder", id=str(folder)), device, torch.float32).model


def centred(images: Tensor) -> Tensor:
    """uint8 as float32 in [-1, 1], as an AutoencoderKL wants it."""
    return unit(images) * 2 - 1


def reconstruction_loss(model: Any, drawn: Drawn, config: AutoencoderConfig) -> dict[str, Tensor]:
    """Absolute errors of pixels and of detail, and the latents' divergence from a normal distribution."""
    images = centred(drawn.images)
    moments = model.encode(images).latent_dist
    mean, logvar = moments.mean.float(), moments.logvar.float()
    latents = mean + torch.exp(0.5 * logvar) * drawn.noise
    decoded = model.decode(latents).sample.float()
    pixels = (decoded - images).abs().mean()
    detail = laplacian(decoded - images).abs().mean()
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    loss = pixels + config.detail_weight * detail + config.kl_weight * kl
    return {"loss": loss, "pixels": pixels, "detail": detail, "kl": kl}


def laplacian(images: Tensor) -> Tensor:
    """What a pixel differs by from its four neighbours: edges and noise, no surfaces."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    around = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    return 4 * images - around


@torch.no_grad()
def reconstruct(model: Any, images: Tensor) -> Tensor:
    """uint8 renders through encoder and decoder, as uint8."""
    parts = []
    for part in images.split(256):
        latents = model.encode(centred(part)).latent_dist.mode()
        parts.append(to_bytes(model.decode(latents).sample))
    return torch.cat(parts)


def to_bytes(decoded: Tensor) -> Tensor:
    """A decoder's [-1, 1] as uint8."""
    return ((decoded.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


@torch.no_grad()
def scaling_factor(model: Any, images: Tensor) -> float:
    """What gives latents a standard deviation of one, as diffusion models expect."""
    latents = torch.cat([model.encode(centred(part)).latent_dist.mode() for part in images.split(256)])
    return float(1 / latents.float().std())


def quality(model: Any, images: Tensor) -> dict[str, float]:
    """PSNR in dB (of the mean error), and how much of the renders' fine detail reconstructions keep."""
    decoded = reconstruct(model, images)
    error = ((unit(decoded) - unit(images)) ** 2).mean()
    kept = high_frequency_energy(unit(decoded)) / high_frequency_energy(unit(images))
    return {"psnr": float(-10 * torch.log10(error)), "high_frequency_kept": float(kept)}


def high_frequency_energy(images: Tensor) -> Tensor:
    """The mean energy above a quarter of a cycle a pixel, half of what the pixels can hold."""
    spectrum = torch.fft.fft2(images - images.mean((-2, -1), keepdim=True), norm="ortho").abs() ** 2
    y, x = (torch.fft.fftfreq(side, device=images.device) for side in images.shape[-2:])
    return spectrum[..., torch.hypot(y[:, None], x[None, :]) > 0.25].sum(-1).mean()
