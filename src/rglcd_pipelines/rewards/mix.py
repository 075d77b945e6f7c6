"""Rewards made of rewards."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rglcd_pipelines.rewards.protocol import Reward


class Mix:
    """The weighted sum of several rewards."""

    def __init__(self, parts: Sequence[tuple[float, Reward]]) -> None:
        self.parts = list(parts)

    @property
    def name(self) -> str:
        return "+".join(f"{weight:g}*{reward.name}" for weight, reward in self.parts)

    @property
    def differentiable(self) -> bool:
        return all(reward.differentiable for _, reward in self.parts)

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        return torch.stack([weight * reward.score(images, captions) for weight, reward in self.parts]).sum(0)


class Capped:
    """-relu(cap - score): zero for what is good enough, so that nothing pulls beyond it."""

    def __init__(self, reward: Reward, cap: float) -> None:
        self.reward, self.cap = reward, cap

    @property
    def name(self) -> str:
        return self.reward.name

    @property
    def differentiable(self) -> bool:
        return self.reward.differentiable

    @property
    def temperature(self) -> float | None:
        return getattr(self.reward, "temperature", None)

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        return -(self.cap - self.reward.score(images, captions)).relu()
