"""A latent reward model as a reward: the same protocol, but what it looks at are latents."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from rglcd_pipelines.latent_reward.folder import load
from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.rewards.precision import float32


class LatentReward:
    """The cosine of a latent and its caption, in float32 whatever is around it."""

    differentiable = True

    def __init__(self, name: str, model: LatentClip) -> None:
        self.name, self.model = name, model

    @classmethod
    def load(cls, folder: Path, name: str, device: torch.device, side: int | None = None) -> Self:
        """The model that was saved at `folder`; its positions resampled for latents of another `side`."""
        return cls(name, load(folder, side)[0].suit(device))

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        """Of latents [B, C, H, W] as the autoencoder gives them, in place of images: [B]."""
        with float32(images.device):
            with torch.no_grad():
                texts = self.model.embed_captions(captions)
            return (self.model.embed_latents(images) * texts).sum(-1)
