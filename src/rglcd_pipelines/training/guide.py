"""What pulls a student beyond its teacher."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from rglcd_pipelines.diffusion.decoder import pictures, unscaled
from rglcd_pipelines.diffusion.vae import Vae
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.latent_reward.reward import LatentReward
from rglcd_pipelines.rewards.precision import tensor_cores
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.training.objective import Score, reward_gradient


class Guide(Protocol):
    """Rewards of what the student says, and where they grow."""

    beta: float
    """How much they count (eq. 11)."""

    def pull(self, z0_hat: Tensor, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The rewards [B], and the gradient of their mean in z0_hat [B, C, H, W]."""
        ...


class RewardGuide:
    """Rewards of scaled latents, a few at a time, and their gradient (eq. 10)."""

    def __init__(self, score: Score, beta: float, part: int) -> None:
        self.score, self.beta, self.part = score, beta, part

    def pull(self, z0_hat: Tensor, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        with tensor_cores(z0_hat.device):
            return reward_gradient(z0_hat, captions, self.score, self.part)


def decoded(reward: Reward, vae: Vae, bf16: bool) -> Score:
    """R(D(z), c): a reward model that looks at decoded pictures."""
    if not reward.differentiable:
        raise ConfigError(
            f"rewards: {reward.name} says that it is not differentiable, so a student cannot follow it. "
            "A latent reward model can follow it, and the student that: set lrm to true in the variant. "
            "Or choose another reward."
        )

    def score(z: Tensor, captions: Sequence[str]) -> Tensor:
        # Not the surrounding autocast, whose cast weights are shared by all threads.
        with torch.autocast(z.device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
            images = pictures(vae, z)
        return reward.score(images, captions)

    return score


def as_latents(reward: LatentReward, vae: Vae) -> Score:
    """R^L(z, c): a reward model that looks at the latents themselves."""

    def score(z: Tensor, captions: Sequence[str]) -> Tensor:
        return reward.score(unscaled(vae, z), captions)

    return score


def summed(parts: Sequence[tuple[float, Score]]) -> Score:
    """Several, each with its weight."""

    def score(z: Tensor, captions: Sequence[str]) -> Tensor:
        return torch.stack([weight * part(z, captions) for weight, part in parts]).sum(0)

    return score if len(parts) > 1 or parts[0][0] != 1 else parts[0][1]
