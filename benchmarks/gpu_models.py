"""All that trains a student of Stable Diffusion 2.1 at full size, its weights random; or it, narrow."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel

from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.conditions import Conditioner
from rglcd_pipelines.diffusion.schedule import Schedule
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.vae import Vae, build_vae
from rglcd_pipelines.rewards.clip import ClipReward
from rglcd_pipelines.training.batches import StepBatch
from rglcd_pipelines.training.draws import draw
from rglcd_pipelines.training.guide import RewardGuide, decoded
from rglcd_pipelines.training.settings import DistillConfig, OptimizerConfig
from rglcd_pipelines.training.step import Work
from rglcd_pipelines.training.student import FullStudent
from rglcd_pipelines.training.update import Update
from rglcd_pipelines.world.tokenizer import build_tokenizer
from tests.training.published import OPEN_CLIP_H, PUBLISHED

TEACHERS = {"512": "sd21_base", "768": "sd21"}
"""By the side of a picture, in pixels."""
CAPTIONS = [
    "a large puzzle piece in white, drawn in thin style on a checked black background",
    "two-tone style icon of a large blue diamond, striped orange background",
]
SD_VAE: dict[str, Any] = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}
VIT_H_14: dict[str, Any] = {
    "vision_config": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "hidden_act": "gelu",
    },
    "text_config": OPEN_CLIP_H | {"num_hidden_layers": 24, "projection_dim": 1024},
    "projection_dim": 1024,
}
NARROW_TEXT: dict[str, Any] = OPEN_CLIP_H | {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
NARROW_CLIP: dict[str, Any] = {
    "vision_config": VIT_H_14["vision_config"]
    | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    | {"image_size": 28},
    "text_config": NARROW_TEXT | {"projection_dim": 16},
    "projection_dim": 16,
}


@dataclass(frozen=True)
class Choice:
    """How a step is computed; the student that comes of it is the same but for rounding."""

    channels_last: bool = True
    gradient_checkpointing: bool = False
    compile: bool = False
    reward_part: int = 8
    """Images that are decoded and scored at once."""
    tf32: bool = False
    """Whether float32 products, which are the reward's, are rounded for tensor cores."""
    vae_bf16: bool = False
    """Whether the decoder is kept in bf16, in place of float32 under autocast."""
    search: bool = False
    """Whether cuDNN tries its convolutions and takes the fastest."""

    def apply(self) -> None:
        """What is set for all of the process."""
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        torch.backends.cudnn.benchmark = self.search


@dataclass(frozen=True)
class Size:
    """How large the models are."""

    unet: Mapping[str, Any]
    text: Mapping[str, Any]
    vae: Mapping[str, Any]
    clip: Mapping[str, Any]
    side: int
    """Of a latent."""


def size_of(pixels: str, small: bool) -> Size:
    """That of the teacher which draws pictures with sides of so many pixels, or a narrow one's."""
    published = PUBLISHED[TEACHERS[pixels]]
    if small:
        vae = {"block_out_channels": [8, 8], "norm_num_groups": 4}
        side = 8 if pixels == "512" else 16
        return Size(published.narrow_unet(), NARROW_TEXT, vae, NARROW_CLIP, side)
    side = published.unet["sample_size"]
    return Size(published.unet, OPEN_CLIP_H, SD_VAE | {"norm_num_groups": 32}, VIT_H_14, side)


class Rig:
    """A student, what it learns from, and its optimizer, on a device."""

    def __init__(self, pixels: str, small: bool, choice: Choice, device: torch.device) -> None:
        self.size, self.choice, self.device = size_of(pixels, small), choice, device
        choice.apply()
        torch.manual_seed(0)
        with device:  # weights are drawn where they are used
            self.student = FullStudent(UNet2DConditionModel(**self.size.unet), _settings(choice), device)
            self.conditioner = Conditioner(_tokenizer(), CLIPTextModel(CLIPTextConfig(**self.size.text)))
        self.solver = DdimSolver(schedule_of(pixels).to(device))
        self.update = Update(self.student.trained, OptimizerConfig(lr=1e-6), steps=1)

    def guide(self) -> RewardGuide:
        """The direct reward's: the decoder, and a CLIP in float32."""
        with self.device:
            model = build_vae(**self.size.vae).requires_grad_(False).eval()
            clip = CLIPModel(CLIPConfig(**self.size.clip))
        if self.choice.vae_bf16:
            torch.nn.Module.to(model, dtype=torch.bfloat16)
        factor = 2 ** (len(self.size.vae["block_out_channels"]) - 1)
        vae = Vae(model, "random", None, "", 0.18215, 0.0, factor, 4)
        reward = ClipReward("random", clip, _tokenizer())
        score = decoded(reward, vae, bf16=not self.choice.vae_bf16)
        return RewardGuide(score, 1.0, self.choice.reward_part)

    def read(self, batch: int) -> Work:
        """A step's samples as `StepSupply.read` leaves them: on the CPU, with the teacher's answers."""
        shape = (4, self.size.side, self.size.side)
        captions = [CAPTIONS[row % len(CAPTIONS)] for row in range(batch)]
        drawn = draw(0, 0, batch, shape, self.solver.steps, (5.0, 15.0))
        read = StepBatch(torch.randn(batch, *shape), captions, drawn, np.arange(batch))
        return Work(read, torch.randn(batch, *shape))

    def take(self, read: Work) -> Work:
        """As `StepSupply.take` does."""

        def there(tensor: Tensor) -> Tensor:
            return tensor.to(self.device, non_blocking=True)

        return Work(read.batch.map(there), there(read.early))


@cache
def schedule_of(pixels: str) -> Schedule:
    """That of the teacher."""
    return Schedule.of(PUBLISHED[TEACHERS[pixels]].scheduler())


def pinned(read: Work) -> Work:
    """So that the way to the GPU is waited for by nobody."""
    return Work(read.batch.map(Tensor.pin_memory), read.early.pin_memory())


def _settings(choice: Choice) -> DistillConfig:
    known = {"steps": 1, "optimizer": {"lr": 1e-6}, "samples": {"prompts": CAPTIONS}}
    asked = {name: getattr(choice, name) for name in ("channels_last", "gradient_checkpointing", "compile")}
    return check(DistillConfig, known | asked)


def _tokenizer() -> Any:
    """The world's, which is there without a network; it makes as many tokens as CLIP's."""
    known = build_tokenizer()
    known.model_max_length = 77
    return known
