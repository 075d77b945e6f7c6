"""The world's autoencoder: its loss by hand, and a folder that diffusers loads."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional as F

from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.world.autoencoder import (
    AutoencoderConfig,
    build,
    centred,
    draw_noisy,
    high_frequency_energy,
    laplacian,
    quality,
    reconstruction_loss,
    to_bytes,
)
from rglcd_pipelines.world.batches import draw_batch
from tests.world.make_parts import AUTOENCODER, SIDE, tiny_autoencoder


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workshop")


def test_the_reconstruction_loss_is_its_three_parts() -> None:
    torch.manual_seed(0)
    model: Any = build(AUTOENCODER)
    drawn = draw_noisy(AUTOENCODER, SIDE, 3)
    images = centred(drawn.images)
    terms = reconstruction_loss(model, drawn, AUTOENCODER)
    latents = model.encode(images).latent_dist
    decoded = model.decode(latents.mean + latents.std * drawn.noise).sample
    assert terms["pixels"].item() == pytest.approx(F.l1_loss(decoded, images).item(), rel=1e-5)
    assert terms["kl"].item() == pytest.approx(
        latents.kl().mean().item() / math.prod(latents.mean.shape[1:]), rel=1e-4
    )
    whole = (
        terms["pixels"] + AUTOENCODER.detail_weight * terms["detail"] + AUTOENCODER.kl_weight * terms["kl"]
    )
    assert terms["loss"].item() == pytest.approx(whole.item())


def test_a_batch_and_its_noise_are_the_steps_and_can_be_parted() -> None:
    drawn, again = (draw_noisy(AUTOENCODER, SIDE, 3) for _ in range(2))
    assert torch.equal(drawn.noise, again.noise)
    assert not torch.equal(drawn.noise, draw_noisy(AUTOENCODER, SIDE, 4).noise)
    parts = drawn.split(2)
    assert torch.equal(torch.cat([part.images for part in parts]), drawn.images)
    assert torch.equal(torch.cat([part.noise for part in parts]), drawn.noise)
    assert drawn.split(3) == [drawn]  # 8 cannot be parted so


def test_the_laplacian_sees_edges_and_no_surfaces() -> None:
    flat = torch.full((1, 1, 4, 4), 0.7)
    assert laplacian(flat).abs().max() == 0
    flat[0, 0, 1, 2] += 1
    assert laplacian(flat)[0, 0, 1, 2] == pytest.approx(4)
    assert laplacian(flat)[0, 0, 1, 1] == pytest.approx(-1)


def test_high_frequencies_are_those_above_a_quarter_of_a_cycle() -> None:
    x = torch.arange(32)
    slow, fast = (torch.cos(2 * math.pi * x * f).expand(1, 1, 32, 32) for f in (0.25, 0.375))
    assert high_frequency_energy(slow) == pytest.approx(0, abs=1e-6)
    # Parseval: all the energy of a cosine is half of its pixels
    assert high_frequency_energy(fast) == pytest.approx(32 * 32 / 2, rel=1e-4)


def test_a_perfect_autoencoder_keeps_everything() -> None:
    class Perfect(nn.Module):
        def encode(self, images: torch.Tensor) -> object:
            class Encoded:
                latent_dist = type("D", (), {"mode": staticmethod(lambda: images)})

            return Encoded

        def decode(self, latents: torch.Tensor) -> object:
            return type("Decoded", (), {"sample": latents + 2 / 255})  # one grey level off

    images = draw_batch("figures", 0, 64, SIDE).images.clamp(0, 250)
    figures = quality(Perfect(), images)
    assert figures["psnr"] == pytest.approx(20 * math.log10(255), abs=1e-3)
    assert figures["high_frequency_kept"] == pytest.approx(1, abs=1e-4)


def test_impossible_autoencoders_are_refused() -> None:
    with pytest.raises(ConfigError, match="holds 20, no multiple of 8"):
        check(AutoencoderConfig, AUTOENCODER.model_dump() | {"block_out_channels": [20, 40]})


def test_bytes_and_back() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_bytes(centred(images)), images)


def test_the_autoencoder_loads_with_diffusers_and_its_latents_have_unit_size(workshop: Path) -> None:
    made = tiny_autoencoder(workshop)
    vae: Any = load_vae(VaeConfig(source="folder", id=str(made.path)), "cpu", torch.float32)
    assert (vae.factor, vae.latent_channels) == (4, 4)
    assert isinstance(AutoencoderKL.from_pretrained(str(made.path), low_cpu_mem_usage=False), AutoencoderKL)
    images = centred(draw_batch("figures", 0, 1_024, SIDE, held_out=True).images)
    with torch.no_grad():
        latents = vae.model.encode(images).latent_dist.mode() * vae.scaling_factor
    assert latents.std().item() == pytest.approx(1, abs=1e-3)
    assert made.metrics["seconds"] > 0
    assert made.manifest["files"] == {
        name: digest_file(made.path / name) for name in ("config.json", "diffusion_pytorch_model.safetensors")
    }
    assert tiny_autoencoder(workshop).reused
