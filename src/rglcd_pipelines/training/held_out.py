"""The rewards that judge a student which follows others."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rglcd_pipelines.rewards.catalog import load_reward
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.followed import score


class HeldOut:
    """Each is loaded when it is first asked."""

    def __init__(
        self, names: Sequence[str], catalog: Mapping[str, RewardConfig], keep: bool, device: torch.device
    ) -> None:
        self.names, self.catalog, self.keep, self.device = list(names), catalog, keep, device
        self._kept: dict[str, Reward] = {}

    def scores(self, images: Tensor, captions: Sequence[str]) -> dict[str, Tensor]:
        """[B] of each on the CPU, by name; of pictures on the CPU."""
        return {name: self._score(name, images, captions) for name in self.names}

    def _score(self, name: str, images: Tensor, captions: Sequence[str]) -> Tensor:
        reward = self._kept.get(name) or load_reward(name, self.catalog, self.device)
        if self.keep:
            self._kept[name] = reward
        return score(reward, images.to(self.device), captions).cpu()
