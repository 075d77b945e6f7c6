"""Reward models of every kind, with random weights, in folders."""

from pathlib import Path

import torch

from rglcd_pipelines.rewards.image_reward import (
    ImageRewardModel,
    ImageRewardModelConfig,
    TextConfig,
    VisionConfig,
)
from rglcd_pipelines.world.tokenizer import build_tokenizer

CAPTIONS = [
    "a small red cat on a plain white background, thin style",
    "cat",
    "solid style icon of a large blue fish, dotted yellow background",
]


def pictures(count: int = 3, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def save_clip(folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    from transformers import CLIPConfig, CLIPModel

    tokenizer = build_tokenizer()
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    marks = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text = tower | marks | {"vocab_size": len(tokenizer), "max_position_embeddings": 32}
    vision = tower | {"image_size": 16, "patch_size": 4}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        for weight in model.parameters():  # at its first weights, nothing that it sees makes a difference
            weight.mul_(3 if weight.ndim > 1 else 1)
    model.to(dtype).save_pretrained(folder)  # pyright: ignore
    tokenizer.save_pretrained(folder)
    return folder


TINY = ImageRewardModelConfig(
    vision=VisionConfig(width=32, layers=2, heads=2, image_size=16, patch_size=4),
    text=TextConfig(width=24, layers=2, heads=2, vocabulary=len(build_tokenizer()), positions=32, length=20),
    head=[16, 8],
    dropout=[0.1, 0.0],
    mean=0.5,
    std=2.0,
)


def save_image_reward(folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = ImageRewardModel(TINY)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3 if weight.ndim > 1 else 1)
    model.save(folder, dtype)
    build_tokenizer().save_pretrained(folder)
    return folder
