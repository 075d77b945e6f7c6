"""What pulls a student beyond its teacher."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from rglcd_pipelines.diffusion.decoder import pictures
from rglcd_pipelines.diffusion.vae import Vae
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.rewards.precision import tensor_cores
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.training.objective import reward_gradient


class Guide(Protocol):
    """Rewards of what the student says, and where they grow."""

    beta: float
    """How much they count (eq. 11)."""

    def pull(self, z0_hat: Tensor, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The rewards [B], and the gradient of their mean in z0_hat [B, C, H, W]."""
        ...


class RewardGuide:
    """R(D(z0_hat), c): a reward model that looks at decoded pictures (eq. 10)."""

    def __init__(self, reward: Reward, vae: Vae, beta: float, part: int, bf16: bool) -> None:
        if not reward.differentiable:
            raise ConfigError(
                f"rewards: {reward.name} says that it is not differentiable, so a student cannot follow it. "
                "Such a reward can measure students, but not guide them: choose another one."
            )
        self.reward, self.vae, self.beta, self.part, self.bf16 = reward, vae, beta, part, bf16

    def pull(self, z0_hat: Tensor, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        with tensor_cores(z0_hat.device):
            return reward_gradient(z0_hat, captions, self._score, self.part)

    def _score(self, z: Tensor, captions: Sequence[str]) -> Tensor:
        # Not the surrounding autocast, whose cast weights are shared by all threads.
        with torch.autocast(z.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=False):
            images = pictures(self.vae, z)
        return self.reward.score(images, captions)
