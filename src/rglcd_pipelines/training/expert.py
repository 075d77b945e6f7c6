"""The expert R^E: a reward model that looks at decoded pictures and passes no gradient on."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from rglcd_pipelines.diffusion.decoder import pictures
from rglcd_pipelines.diffusion.vae import Vae
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.training.real_rewards import RealRewards


class Expert:
    """Rewards of latents, real ones from the file where they are kept."""

    def __init__(
        self, reward: Reward, vae: Vae, part: int, bf16: bool, kept: RealRewards | None = None
    ) -> None:
        self.reward, self.vae, self.part, self.bf16, self.kept = reward, vae, part, bf16, kept

    @torch.no_grad()
    def score(self, z: Tensor, captions: Sequence[str]) -> Tensor:
        """R^E(D(z), c): [B], of scaled latents; a few pictures are decoded at once."""
        with torch.autocast(z.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=False):
            images = torch.cat([pictures(self.vae, part) for part in z.split(self.part)])
        return self._rewards(images, captions)

    def score_real(self, z0: Tensor, captions: Sequence[str], indices: np.ndarray) -> Tensor:
        """Of the latents of real images, which have numbers."""
        if self.kept is not None and (known := self.kept.known(indices)) is not None:
            return torch.from_numpy(known).to(z0.device)
        found = self.score(z0, captions)
        if self.kept is None or not bool(found.isfinite().all()):  # what was wrong once must not stay so
            return found
        return torch.from_numpy(self.kept.keep(indices, found.cpu().numpy())).to(z0.device)

    @torch.no_grad()
    def judge(self, pictures: Mapping[int, Tensor], captions: Sequence[str]) -> dict[str, float]:
        """The mean reward of what a student draws in so many steps, a picture for each caption."""
        device = self.vae.model.device
        return {
            f"expert_{steps}_step{'s' * (steps > 1)}": float(
                self._rewards(images.to(device), captions).mean()
            )
            for steps, images in pictures.items()
        }

    def _rewards(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        """In float32, as it is kept: what is asked again must come out the same.

        Models look at a few pictures at once; who is no model knows best how many to look at.
        """
        size = self.part if self.reward.differentiable else len(images)
        parts = [
            self.reward.score(images[at : at + size], captions[at : at + size])
            for at in range(0, len(images), size)
        ]
        return torch.cat(parts).float()
