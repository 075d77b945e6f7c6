"""R^L_sigma: a CLIP whose image tower reads latents (Section 4.2)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.latent_reward.settings import TowerConfig
from rglcd_pipelines.latent_reward.text import TextTower
from rglcd_pipelines.latent_reward.towers import build_tower, last_blocks, pick_last, plain_attention

MOST_SCALE = math.log(100)
"""Of the logits, as CLIP has it."""


class LatentClip(nn.Module):
    """Both towers, and the scale of the logits that they were trained with."""

    def __init__(
        self,
        config: TowerConfig,
        shape: Sequence[int],
        text: TextTower,
        scale: Tensor,
        spread: float = 1.0,
    ) -> None:
        """For latents of `shape` (channels, side, side), which are divided by `spread` first."""
        super().__init__()
        channels, side = shape[0], shape[1]
        self.config, self.shape, self.spread = config, tuple(shape), spread
        quick_gelu = text.config.hidden_act == "quick_gelu"
        self.visual = build_tower(config, channels, side, text.dimensions, quick_gelu)
        self.text = text
        self.logit_scale = nn.Parameter(scale.float())

    def suit(self, device: torch.device) -> "LatentClip":
        """On the device, in the form that is fastest there."""
        self.to(device)
        if device.type == "cpu":
            plain_attention(self.visual)
        return self

    def embed_latents(self, z: Tensor) -> Tensor:
        """Unit vectors [B, D] of latents as the autoencoder gives them, before they are scaled."""
        if tuple(z.shape[1:]) != self.shape:
            raise DataError(
                f"the latent reward model reads latents of {list(self.shape)}, not of {list(z.shape[1:])}"
            )
        return F.normalize(self.visual(z / self.spread).float(), dim=-1)

    def embed_captions(self, captions: Sequence[str]) -> Tensor:
        """Unit vectors [B, D]."""
        return self.text(captions)

    def score(self, z: Tensor, captions: Sequence[str]) -> Tensor:
        """R^L(z, c): the cosine [B] of a latent, as the autoencoder gives it, and its caption."""
        return (self.embed_latents(z) * self.embed_captions(captions)).sum(-1)

    @property
    def temperature(self) -> float:
        """One over the scale of the logits."""
        return math.exp(-float(self.logit_scale))

    def train_last(self, latent_blocks: int, text_blocks: int) -> list[nn.Parameter]:
        """The weights of the last blocks of both towers, which learn from now on; nothing else does."""
        self.requires_grad_(False)
        chosen = [
            *last_blocks(self.config, self.visual, latent_blocks, "matching.latent_blocks"),
            *pick_last(self.text.blocks, text_blocks, "matching.text_blocks"),
        ]
        weights = [weight for block in chosen for weight in block.parameters()]
        for weight in weights:
            weight.requires_grad_(True)
        return weights
