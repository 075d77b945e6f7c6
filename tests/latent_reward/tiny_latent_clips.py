"""Latent reward models of the smallest size, with random weights, and their captions."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.latent_reward.settings import TextConfig, TowerConfig
from rglcd_pipelines.latent_reward.text import TextTower, load_text
from tests.rewards.tiny_models import CAPTIONS

VIT = TowerConfig(kind="vit", width=16, layers=3, patch_size=4, head_width=8)
RESNET = TowerConfig(kind="resnet", width=8, layers=[1, 2, 1, 1], head_width=16)
TOWERS = {"vit": VIT, "resnet": RESNET}
SHAPE = (4, 16, 16)


def latents(count: int = len(CAPTIONS), shape: tuple[int, ...] = SHAPE, seed: int = 1) -> Tensor:
    return 3 * torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def text_tower(folder: Path, **settings: Any) -> TextTower:
    """Of the CLIP at `folder`."""
    return load_text(TextConfig(id=str(folder), **settings))[0]


def latent_clip(
    text: TextTower, kind: str = "vit", shape: tuple[int, ...] = SHAPE, spread: float = 2.5
) -> LatentClip:
    """One that makes something of what it sees, at once: no block of it is idle."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LatentClip(TOWERS[kind], shape, text, torch.tensor(3.0), spread)
        with torch.no_grad():
            for weight in model.visual.parameters():
                if weight.ndim > 1:
                    weight.mul_(2)
                else:  # a ResNet's blocks begin as nothing
                    weight.add_(0.3 * torch.randn_like(weight))
            model.visual.train()
            for seed in (5, 6):
                model.visual(latents(8, shape, seed) / spread)  # a ResNet learns what is usual
    return model.eval().requires_grad_(False)
