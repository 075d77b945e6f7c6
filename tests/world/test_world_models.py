"""The world's autoencoder, CLIP and teacher: losses by hand, and folders that the libraries load."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from rglcd_pipelines.artifacts import Artifact, digest_file
from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.clip import ClipReward, load_clip
from rglcd_pipelines.training import fit as fitting
from rglcd_pipelines.world import teacher as teachers
from rglcd_pipelines.world import teacher_data
from rglcd_pipelines.world.autoencoder import (
    AutoencoderConfig,
    build,
    centred,
    high_frequency_energy,
    laplacian,
    quality,
    reconstruction_loss,
    to_bytes,
)
from rglcd_pipelines.world.batches import SUPPLIES, draw_batch, draw_unseen, unit
from rglcd_pipelines.world.clip import contrastive_loss
from rglcd_pipelines.world.sampling import load_teacher, sample
from rglcd_pipelines.world.scenes import is_held_out
from rglcd_pipelines.world.teacher import SCHEDULE, TIMESTEPS, TeacherConfig, draw_times, make_teacher, v_loss
from rglcd_pipelines.world.teacher_data import padded_ids
from tests.world.make_parts import AUTOENCODER, SIDE, TEACHER, tiny_autoencoder, tiny_clip, tiny_teacher


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture(scope="module")
def teacher(workshop: Path) -> Artifact:
    return tiny_teacher(workshop)


def test_nobody_draws_from_anothers_supply() -> None:
    assert len(set(SUPPLIES.values())) == len(SUPPLIES)
    assert min(SUPPLIES.values()) > 100
    a, b = (draw_batch(who, 0, 64, SIDE) for who in ("clip", "judge"))
    assert a.scenes != b.scenes
    assert a.images.shape == (64, 3, SIDE, SIDE)


def test_unseen_renders_stand_where_no_other_does() -> None:
    batch = draw_unseen(64, SIDE)
    assert {scene.shift_x for scene in batch.scenes} == {scene.shift_y for scene in batch.scenes} == {-1, 1}
    assert all(is_held_out(scene.noun, scene.colour) for scene in batch.scenes)
    assert batch.images.shape == (64, 3, SIDE, SIDE)


# --- the autoencoder


def test_the_reconstruction_loss_is_its_three_parts() -> None:
    torch.manual_seed(0)
    model: Any = build(AUTOENCODER)
    images = centred(draw_batch("autoencoder", 0, 4, SIDE).images)
    torch.manual_seed(1)
    terms = reconstruction_loss(model, images, AUTOENCODER)
    torch.manual_seed(1)
    latents = model.encode(images).latent_dist
    decoded = model.decode(latents.mean + latents.std * torch.randn_like(latents.mean)).sample
    assert terms["pixels"].item() == pytest.approx(F.l1_loss(decoded, images).item(), rel=1e-5)
    assert terms["kl"].item() == pytest.approx(
        latents.kl().mean().item() / math.prod(latents.mean.shape[1:]), rel=1e-4
    )
    whole = (
        terms["pixels"] + AUTOENCODER.detail_weight * terms["detail"] + AUTOENCODER.kl_weight * terms["kl"]
    )
    assert terms["loss"].item() == pytest.approx(whole.item())


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


# --- CLIP


def test_the_contrastive_loss_is_clips(workshop: Path) -> None:
    model, tokenizer = load_clip(tiny_clip(workshop).path)
    ids = torch.from_numpy(
        padded_ids(tokenizer, [scene.caption for scene in draw_batch("clip", 0, 6, SIDE).scenes])
    )
    pixels = torch.rand(6, 3, 16, 16)
    ours = contrastive_loss(model, pixels, ids)["loss"]
    theirs = model(input_ids=ids, pixel_values=pixels, return_loss=True).loss
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4)


def test_it_is_a_reward(workshop: Path) -> None:
    reward = ClipReward.load(tiny_clip(workshop).path, "clip")
    batch = draw_batch("figures", 0, 5, SIDE)
    images = unit(batch.images).requires_grad_()
    scores = reward.score(images, batch.captions)
    scores.sum().backward()
    assert scores.shape == (5,)
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


# --- the teacher


def test_the_velocity_is_the_schedulers(teacher: Artifact) -> None:
    """A UNet that knows the answer has no loss, at every timestep, by diffusers' own scheduler."""
    scheduler: Any = DDIMScheduler.from_config(SCHEDULE)
    text = StableDiffusionPipeline.from_pretrained(str(teacher.path), low_cpu_mem_usage=False).text_encoder
    z = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(3))

    class Knows(nn.Module):
        def forward(
            self, noisy: torch.Tensor, t: torch.Tensor, encoder_hidden_states: torch.Tensor
        ) -> object:
            assert encoder_hidden_states.shape == (64, 32, 32)
            alpha = scheduler.alphas_cumprod[t][:, None, None, None]
            noise = (noisy - alpha.sqrt() * z) / (1 - alpha).sqrt()
            return type("Out", (), {"sample": scheduler.get_velocity(z, noise, t)})

    ids = torch.ones(64, 32, dtype=torch.int64)
    torch.manual_seed(0)
    assert v_loss(Knows(), text, z, ids, TEACHER)["loss"].item() < 1e-6
    assert scheduler.config.num_train_timesteps == TIMESTEPS


def test_left_out_captions_are_the_pipelines_empty_one(teacher: Artifact) -> None:
    """What stands in for a caption in training is what the pipeline uses for guidance."""
    pipeline: Any = StableDiffusionPipeline.from_pretrained(str(teacher.path), low_cpu_mem_usage=False)
    seen = []

    class Notes(nn.Module):
        def forward(self, input_ids: torch.Tensor) -> object:
            seen.append(input_ids)
            return pipeline.text_encoder(input_ids=input_ids)

    class Copies(nn.Module):
        def forward(self, x: torch.Tensor, *_: object, **__: object) -> object:
            return type("Out", (), {"sample": x})

    ids = torch.from_numpy(padded_ids(pipeline.tokenizer, ["a red cat"] * 40).astype(np.int64))
    torch.manual_seed(0)
    v_loss(Copies(), Notes(), torch.randn(40, 4, 8, 8), ids, TEACHER)
    empty = pipeline.tokenizer("", padding="max_length", return_tensors="pt").input_ids[0]
    rows = {tuple(row) for row in seen[0].tolist()}
    assert rows == {tuple(empty.tolist()), tuple(ids[0].tolist())}


def test_the_folder_is_a_pipeline_of_diffusers(teacher: Artifact) -> None:
    pipeline: Any = StableDiffusionPipeline.from_pretrained(str(teacher.path), low_cpu_mem_usage=False)
    assert {
        next(part.parameters()).dtype for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    } == {torch.float32}
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    image = pipeline(
        "a large red cat on a plain white background, solid style", num_inference_steps=2
    ).images[0]
    assert image.size == (SIDE, SIDE)


def test_the_folder_says_nothing_of_where_it_was_made(teacher: Artifact, workshop: Path) -> None:
    for file in teacher.path.rglob("*.json"):
        assert str(workshop) not in file.read_text(encoding="utf-8"), file


def test_parts_are_kept_in_half_precision(teacher: Artifact, workshop: Path) -> None:
    files = [*teacher.path.rglob("*.safetensors"), *tiny_clip(workshop).path.glob("*.safetensors")]
    assert len(files) == 5  # the UNet's two, the autoencoder, the text encoder, CLIP
    for file in files:
        assert {tensor.dtype for tensor in load_file(file).values()} <= {torch.float16, torch.int64}, file


def test_times_are_drawn_everywhere_and_most_often_in_the_middle() -> None:
    torch.manual_seed(0)
    times = draw_times(100_000, torch.device("cpu"))
    assert (times.min(), times.max()) == (0, TIMESTEPS - 1)
    shares = torch.histc(times.float(), bins=10, min=0, max=TIMESTEPS) / len(times)
    # a quarter of a tenth, and three quarters of what the normal distribution has between the logits
    normal = torch.distributions.Normal(0.3, 1.0)
    edges = normal.cdf(torch.logit(torch.linspace(0, 1, 11)))
    assert torch.allclose(shares, 0.025 + 0.75 * edges.diff(), atol=0.004)


def test_the_caption_as_a_whole_moves_the_unet_beside_its_attention(teacher: Artifact) -> None:
    unet: Any = load_teacher(teacher.path, torch.device("cpu")).pipeline.unet
    for module in unet.modules():
        if type(module).__name__ == "BasicTransformerBlock":
            nn.init.zeros_(module.attn2.to_out[0].weight)
    states = torch.randn(2, 32, 32, generator=torch.Generator().manual_seed(0))
    noisy = torch.zeros(2, 4, 8, 8)
    first, second = unet(noisy, 500, encoder_hidden_states=states).sample
    assert not torch.allclose(first, second, atol=1e-4)


def test_samples_are_the_pipelines_and_depend_on_their_own_seed_alone(teacher: Artifact) -> None:
    loaded = load_teacher(teacher.path, torch.device("cpu"))
    captions = ["a red cat", "a blue dog", "a green bus"]
    together = sample(loaded, captions, [1, 2, 3], steps=2, omega=3.0)
    alone = sample(loaded, captions[1:2], [2], steps=2, omega=3.0)
    assert together.shape == (3, 3, SIDE, SIDE)
    assert 0 <= together.min() <= together.max() <= 1
    assert torch.allclose(together[1:2], alone, atol=0.02)  # bf16
    assert not torch.allclose(sample(loaded, captions[1:2], [9], steps=2, omega=3.0), alone, atol=0.02)


def test_early_weights_are_kept_and_differ(teacher: Artifact) -> None:
    last, early = (
        load_teacher(teacher.path, torch.device("cpu"), early=early).pipeline.unet.conv_in.weight
        for early in (None, "step-000002")
    )
    assert not torch.equal(last, early)
    with pytest.raises(DataError, match=r"step-9\.safetensors: there is no such file.*world\.teacher\.early"):
        load_teacher(teacher.path, torch.device("cpu"), early="step-9")


def test_nothing_of_the_making_is_left(teacher: Artifact) -> None:
    names = {file.relative_to(teacher.path).as_posix() for file in teacher.path.rglob("*") if file.is_file()}
    assert names == {*teacher.manifest["files"], "manifest.json"}


@pytest.mark.parametrize("killed", ["encoding", "learning", "clearing up"])
def test_a_killed_teacher_goes_on_to_the_same_weights(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    monkeypatch.setattr(teacher_data, "BLOCK", 24)
    monkeypatch.setattr(fitting, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    whole = make_teacher(
        TEACHER, tiny_autoencoder(workshop), tiny_clip(workshop), SIDE, tmp_path / "whole" / "teacher"
    )
    calls = []

    def dies(at: int, does: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            calls.append(1)
            if len(calls) == at:
                raise KeyboardInterrupt
            return does(*arguments, **named)

        return call

    if killed == "encoding":
        monkeypatch.setattr(teacher_data, "_encode", dies(2, teacher_data._encode))
    elif killed == "learning":
        monkeypatch.setattr(teachers, "v_loss", dies(3, v_loss))
    else:
        monkeypatch.setattr(Path, "unlink", dies(2, Path.unlink))
    place = tmp_path / "killed" / "teacher"
    with pytest.raises(KeyboardInterrupt):
        make_teacher(TEACHER, tiny_autoencoder(workshop), tiny_clip(workshop), SIDE, place)
    assert not place.exists()
    calls.extend([1] * 9)
    resumed = make_teacher(TEACHER, tiny_autoencoder(workshop), tiny_clip(workshop), SIDE, place)
    assert resumed.manifest == whole.manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_out_channels": [33, 32]}, "holds 33, no multiple of 32"),
        ({"block_out_channels": [0, 32]}, "holds 0, no multiple of 32"),
        ({"early": []}, "early"),
        ({"attention": [True]}, "attention has 1 entries, block_out_channels 2"),
        ({"early": [99]}, "early holds 99, not between 1 and fit.steps = 3"),
    ],
)
def test_impossible_teachers_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(TeacherConfig, TEACHER.model_dump() | change)
