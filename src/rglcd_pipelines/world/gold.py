"""The gold judge as a reward that anybody may ask; nobody can follow it, as it is to stay a judge."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rglcd_pipelines.world.judge.judge import Judge
from rglcd_pipelines.world.judge.taste import TASTES


class GoldReward:
    """How good a picture of its caption is by the rule of taste itself, between 0 and 1."""

    name, differentiable = "gold", False

    def __init__(self, device: torch.device, folder: str) -> None:
        """With the judge that was left in `folder`."""
        self.judge = Judge.load(Path(folder), device)

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        return self.judge.score(images, captions).float().to(images.device)

    def explained(self, images: Tensor, captions: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """The score, and what it is made of, each between 0 and 1."""
        terms = {name: term.float() for name, term in self.judge.terms(images, captions).items()}
        return TASTES["gold"].score(terms), terms
