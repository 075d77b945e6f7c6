"""The miniature world's teacher: a small Stable Diffusion 2.1, in a folder that diffusers' pipeline loads."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from rglcd_pipelines.artifacts import (
    MANIFEST,
    Artifact,
    digest_files,
    draft,
    publish,
    standing,
)
from rglcd_pipelines.config import Config
from rglcd_pipelines.diffusion.saving import save
from rglcd_pipelines.rewards.clip import load_clip
from rglcd_pipelines.training.fit import CHECKPOINT, FitConfig, Task, fit, pick_device
from rglcd_pipelines.world.autoencoder import load_autoencoder
from rglcd_pipelines.world.teacher_data import SCRATCH, TIMESTEPS, Noisy, draw_noisy, encode_renders

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

FORMAT = 1
EARLY = "early"
SCHEDULE = {
    # Stable Diffusion 2.1's
    "num_train_timesteps": TIMESTEPS,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


class TeacherConfig(Config):
    """The UNet's size and what it is trained on."""

    block_out_channels: list[int] = Field(min_length=1)
    """Channels of each level, multiples of 32; every level after the first halves the latents."""
    attention: list[bool]
    """Which levels look at the caption."""
    layers_per_block: int = Field(default=1, ge=1)
    """Residual blocks of each level."""
    renders: int = Field(ge=1)
    """How many renders are encoded to learn from."""
    caption_dropout: float = Field(default=0.1, ge=0, lt=1)
    """How often a caption is left out, for classifier-free guidance."""
    early: list[int] = Field(min_length=1)
    """After how many steps the UNet's weights are kept, for samples that are not good yet."""
    fit: FitConfig
    """How long and how fast it learns."""

    @model_validator(mode="after")
    def _possible(self) -> "TeacherConfig":
        odd = [channels for channels in self.block_out_channels if channels < 1 or channels % 32]
        if odd:
            raise ValueError(
                f"block_out_channels holds {odd[0]}, no multiple of 32, a head's width; change it"
            )
        if len(self.attention) != len(self.block_out_channels):
            raise ValueError(
                f"attention has {len(self.attention)} entries, block_out_channels "
                f"{len(self.block_out_channels)}; give each level one"
            )
        late = [step for step in self.early if not 0 < step <= self.fit.steps]
        if late:
            raise ValueError(
                f"early holds {late[0]}, not between 1 and fit.steps = {self.fit.steps}; change it"
            )
        return self


def make_teacher(
    config: TeacherConfig, autoencoder: Artifact, clip: Artifact, resolution: int, place: Path
) -> Artifact:
    """A trained StableDiffusionPipeline at `place`, and its UNet at some early steps."""
    made_from = {
        "format": FORMAT,
        "resolution": resolution,
        "autoencoder": autoencoder.digest,
        "clip": clip.digest,
        **config.model_dump(),
    }
    if ready := standing(place, "teacher", made_from):
        return ready
    device = pick_device()
    with draft(place, made_from) as work:
        vae, text_encoder, tokenizer = _load_parts(autoencoder.path, clip.path, device)
        latents, ids, encoding = encode_renders(config.renders, vae, tokenizer, resolution, work.path)
        torch.manual_seed(config.fit.seed)
        unet = build(config, text_encoder, latents.shape[1:])
        suit(unet, device)
        (work.path / EARLY).mkdir(exist_ok=True)
        task = Task(
            name="teacher",
            model=unet,
            draw=lambda step: draw_noisy(latents, ids, config.fit, config.caption_dropout, step),
            loss=lambda batch: v_loss(unet, text_encoder, batch.to(device)),
            split=Noisy.split,
            milestones={step: lambda step=step: _keep_early(unet, work.path, step) for step in config.early},
        )
        seconds = encoding + fit(task, config.fit, work.path)
        save_pipeline(unet, vae, text_encoder, tokenizer, work.path)
        # To the byte: where the teacher is, the autoencoder is too.
        unlisted = shutil.ignore_patterns(MANIFEST)
        shutil.copytree(autoencoder.path, work.path / "vae", dirs_exist_ok=True, ignore=unlisted)
        for scratch in (*SCRATCH, CHECKPOINT):  # the checkpoint last: it alone is dear
            (work.path / scratch).unlink()
        body = {"files": digest_files(work.path)}
        return publish(work, place, "teacher", made_from, body, {"seconds": round(seconds, 1)})


def _load_parts(
    autoencoder: Path, clip: Path, device: torch.device
) -> "tuple[AutoencoderKL, CLIPTextModel, CLIPTokenizer]":
    """The frozen parts that the UNet learns between, all in float32."""
    vae = load_autoencoder(autoencoder, device)
    model, tokenizer = load_clip(clip)
    return vae, model.text_model.to(device), tokenizer  # pyright: ignore[reportArgumentType]


def build(
    config: TeacherConfig, text_encoder: "CLIPTextModel", latent: tuple[int, ...]
) -> "UNet2DConditionModel":
    """A UNet2DConditionModel of Stable Diffusion 2.1's block types with random weights."""
    from diffusers import UNet2DConditionModel

    down = tuple("CrossAttnDownBlock2D" if seen else "DownBlock2D" for seen in config.attention)
    up = tuple("CrossAttnUpBlock2D" if seen else "UpBlock2D" for seen in reversed(config.attention))
    return UNet2DConditionModel(
        sample_size=latent[-1],
        in_channels=latent[0],
        out_channels=latent[0],
        block_out_channels=tuple(config.block_out_channels),
        down_block_types=down,
        up_block_types=up,
        layers_per_block=config.layers_per_block,
        cross_attention_dim=text_encoder.config.hidden_size,
        # Heads of 32 channels; diffusers' name for their number is a mistake that it keeps.
        attention_head_dim=tuple(channels // 32 for channels in config.block_out_channels),  # pyright: ignore[reportArgumentType]
        norm_num_groups=16,
        use_linear_projection=True,
        # The caption as a whole moves every block too: the attention alone learns slowly what captions say.
        addition_embed_type="text",
        addition_embed_type_num_heads=text_encoder.config.num_attention_heads,
        resnet_time_scale_shift="scale_shift",
    )


def suit(unet: "UNet2DConditionModel", device: torch.device) -> None:
    """Move it where it learns, in the form that is fastest there."""
    from diffusers.models.attention_processor import AttnProcessor

    nn.Module.to(unet, device=device)
    if device.type == "cuda":
        nn.Module.to(unet, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    else:
        # For a few dozen tokens in bf16, torch's fused attention is slow.
        unet.set_attn_processor(AttnProcessor())


def v_loss(unet: nn.Module, text_encoder: nn.Module, batch: Noisy) -> dict[str, Tensor]:
    """The mean squared error of the predicted velocity, v = alpha * noise - sigma * z (SD 2.1's target)."""
    ids = torch.where(batch.dropped[:, None], _empty_ids(batch.ids), batch.ids)
    with torch.no_grad():
        states = text_encoder(input_ids=ids).last_hidden_state
    alpha, sigma = (values[batch.t, None, None, None] for values in _alpha_sigma(ids.device))
    noisy = alpha * batch.z + sigma * batch.noise
    predicted = unet(noisy, batch.t, encoder_hidden_states=states).sample.float()
    error = (predicted - (alpha * batch.noise - sigma * batch.z)) ** 2
    return {"loss": error.mean()}


def _empty_ids(ids: Tensor) -> Tensor:
    """The tokens of the empty caption: a row's first, and then nothing but the mark of the end."""
    begin, end = ids[0, 0], ids.max()
    return torch.full_like(ids[:1], int(end)).index_fill(1, torch.tensor([0], device=ids.device), int(begin))


def _alpha_sigma(device: torch.device) -> tuple[Tensor, Tensor]:
    start, end = float(SCHEDULE["beta_start"]), float(SCHEDULE["beta_end"])
    betas = torch.linspace(start**0.5, end**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, 0)
    return kept.sqrt().float().to(device), (1 - kept).sqrt().float().to(device)


def _keep_early(unet: nn.Module, folder: Path, step: int) -> None:
    from safetensors.torch import save_file

    weights = {name: tensor.detach().half().cpu().contiguous() for name, tensor in unet.state_dict().items()}
    save_file(weights, folder / EARLY / f"step-{step:06d}.safetensors")


def save_pipeline(
    unet: "UNet2DConditionModel",
    vae: "AutoencoderKL",
    text_encoder: "CLIPTextModel",
    tokenizer: "CLIPTokenizer",
    folder: Path,
) -> None:
    """All parts in one folder, in half precision, which loads back as float32."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline(
        unet=unet,
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=DDIMScheduler.from_config(SCHEDULE),  # pyright: ignore[reportArgumentType]
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    save(pipeline, folder, torch.float16)
