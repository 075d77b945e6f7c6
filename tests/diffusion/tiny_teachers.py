"""Stable Diffusion 1.5, 2.1 and SDXL made narrow: their blocks, their cross-attention, their encoders."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from rglcd_pipelines.diffusion.vae import build_vae
from rglcd_pipelines.world.tokenizer import build_tokenizer

SCHEDULE: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
CROSS = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
PLAIN = "DownBlock2D", "UpBlock2D"
SIDE = 8
"""Of a latent; an image has twice as much."""


def tokenizer() -> CLIPTokenizer:
    return build_tokenizer()


def text_config(width: int, **other: Any) -> CLIPTextConfig:
    known = tokenizer()
    return CLIPTextConfig(
        vocab_size=len(known),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=known.model_max_length,
        **{"bos_token_id": known.bos_token_id, "eos_token_id": known.eos_token_id},
        **{"pad_token_id": known.pad_token_id, **other},
    )


def vae() -> AutoencoderKL:
    return build_vae([8, 8], layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=2 * SIDE)


def unet(levels: list[tuple[str, str]], **other: Any) -> UNet2DConditionModel:
    channels = [32, 64, 64, 64][: len(levels)]
    values: dict[str, Any] = {
        "sample_size": SIDE,
        "block_out_channels": tuple(channels),
        "down_block_types": tuple(down for down, _ in levels),
        "up_block_types": tuple(up for _, up in reversed(levels)),
        "layers_per_block": 1,
        "norm_num_groups": 16,
        **other,
    }
    return UNet2DConditionModel(**values)


def save_sd(folder: Path, prediction: str = "epsilon") -> Path:
    """SD 1.5 (epsilon, eight heads) or 2.1 (v-prediction, heads of a width, linear projections)."""
    torch.manual_seed(0)
    two = prediction == "v_prediction"
    levels = [CROSS, CROSS, CROSS, PLAIN] if not two else [CROSS, PLAIN]
    told: dict[str, Any] = {"attention_head_dim": (1, 2), "use_linear_projection": True} if two else {
        "attention_head_dim": 8
    }  # fmt: skip
    pipeline = StableDiffusionPipeline(
        unet=unet(levels, cross_attention_dim=16, **told),
        vae=vae(),
        text_encoder=CLIPTextModel(text_config(16)),
        tokenizer=tokenizer(),
        scheduler=DDIMScheduler(prediction_type=prediction, **SCHEDULE),  # pyright: ignore[reportArgumentType]
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_sdxl(folder: Path) -> Path:
    """Two encoders, sizes and the pooled caption beside the time."""
    torch.manual_seed(0)
    beside = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 24 + 6 * 8,
        "transformer_layers_per_block": (1, 1, 2),
        "attention_head_dim": (1, 2, 2),
        "use_linear_projection": True,
    }
    pipeline = StableDiffusionXLPipeline(
        unet=unet([PLAIN, CROSS, CROSS], cross_attention_dim=16 + 24, **beside),
        vae=vae(),
        text_encoder=CLIPTextModel(text_config(16)),
        text_encoder_2=CLIPTextModelWithProjection(text_config(24, projection_dim=24, hidden_act="gelu")),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        scheduler=DDIMScheduler(**SCHEDULE),  # pyright: ignore[reportArgumentType]
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return folder
