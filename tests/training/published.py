"""The paper's teachers: the configurations that stand on the hub, and the same ones made narrow."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from tests.diffusion.tiny_teachers import SIDE, text_config, tokenizer, vae

CROSS = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
CROSS_UP = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
UNET: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "act_fn": "silu",
    "norm_num_groups": 32,
    "norm_eps": 1e-5,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "center_input_sample": False,
}
FOUR_LEVELS = UNET | {
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": CROSS,
    "up_block_types": CROSS_UP,
}
SD15 = FOUR_LEVELS | {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
SD21_BASE = FOUR_LEVELS | {
    "sample_size": 64,
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
SD21 = SD21_BASE | {"sample_size": 96, "upcast_attention": True}
SDXL = UNET | {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}

CLIP_L: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
}
OPEN_CLIP_H = CLIP_L | {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,  # of 24: the last one is left out
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 512,
}
OPEN_CLIP_G = CLIP_L | {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}

SCHEDULE: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "trained_betas": None,
}


@dataclass(frozen=True)
class Published:
    """A teacher as it stands on the hub."""

    unet: dict[str, Any]
    parameters: int
    """Of the UNet."""
    lora: int
    """Of small matrices of rank 64 beside it."""
    encoders: dict[type, tuple[dict[str, Any], int]]
    """The text encoders' configurations and parameters, by their classes."""
    scheduler: Callable[[], Any]

    def narrow_unet(self) -> dict[str, Any]:
        """The same blocks, layers and kinds of attention, a tenth as wide."""
        levels = len(self.unet["block_out_channels"])
        heads = self.unet["attention_head_dim"]
        narrow = {
            "sample_size": SIDE,
            "block_out_channels": (32, 64, 64, 64)[:levels],
            "attention_head_dim": heads if isinstance(heads, int) else (1, 2, 4, 4)[:levels],
            "cross_attention_dim": 32,
        }
        if "addition_embed_type" in self.unet:
            beside = {"addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 48 + 6 * 8}
            narrow |= beside | {"cross_attention_dim": 32 + 48}
        return self.unet | narrow

    def save_narrow(self, folder: Path) -> Path:
        """All of it in a folder, as narrow as that, with random weights."""
        torch.manual_seed(0)
        parts: dict[str, Any] = {"unet": UNet2DConditionModel(**self.narrow_unet()), "vae": vae()}
        parts |= {"scheduler": self.scheduler(), "tokenizer": tokenizer()}
        first, *second = [config["hidden_act"] for config, _ in self.encoders.values()]
        parts["text_encoder"] = CLIPTextModel(text_config(32, hidden_act=first))
        if second:
            wider = text_config(48, hidden_act=second[0], projection_dim=48)
            parts |= {"text_encoder_2": CLIPTextModelWithProjection(wider), "tokenizer_2": tokenizer()}
            StableDiffusionXLPipeline(**parts, add_watermarker=False).save_pretrained(folder)
            return folder
        unused: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
        StableDiffusionPipeline(**parts, **unused, requires_safety_checker=False).save_pretrained(folder)
        return folder


def pndm() -> Any:
    return PNDMScheduler.from_config(SCHEDULE | {"skip_prk_steps": True})


def ddim_of_v() -> Any:
    return DDIMScheduler.from_config(SCHEDULE | {"prediction_type": "v_prediction"})


def euler() -> Any:
    more = {"timestep_spacing": "leading", "interpolation_type": "linear", "use_karras_sigmas": False}
    return EulerDiscreteScheduler.from_config(SCHEDULE | more | {"prediction_type": "epsilon"})


CLIP_L_SIZE, OPEN_CLIP_H_SIZE, OPEN_CLIP_G_SIZE = 123_060_480, 340_387_840, 694_659_840
PUBLISHED = {
    "sd15": Published(SD15, 859_520_964, 67_252_224, {CLIPTextModel: (CLIP_L, CLIP_L_SIZE)}, pndm),
    "sd21_base": Published(
        SD21_BASE, 865_910_724, 67_776_512, {CLIPTextModel: (OPEN_CLIP_H, OPEN_CLIP_H_SIZE)}, pndm
    ),
    "sd21": Published(
        SD21, 865_910_724, 67_776_512, {CLIPTextModel: (OPEN_CLIP_H, OPEN_CLIP_H_SIZE)}, ddim_of_v
    ),
    "sdxl": Published(
        SDXL,
        2_567_463_684,
        196_751_360,
        {
            CLIPTextModel: (CLIP_L, CLIP_L_SIZE),
            CLIPTextModelWithProjection: (OPEN_CLIP_G, OPEN_CLIP_G_SIZE),
        },
        euler,
    ),
}
