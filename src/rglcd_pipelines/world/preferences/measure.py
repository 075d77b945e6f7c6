"""How well somebody knows what people prefer."""

from typing import Protocol

import torch
from torch import Tensor

from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.training.fit import pick_device
from rglcd_pipelines.world.batches import unit
from rglcd_pipelines.world.preferences.labels import accuracy
from rglcd_pipelines.world.preferences.load import Preferences
from rglcd_pipelines.world.preferences.sources import SOURCES

PART = 256
"""Pairs that are scored at once."""


class Scorer(Protocol):
    """A reward model, or the gold judge."""

    def score(self, images: Tensor, captions: list[str]) -> Tensor: ...


@torch.no_grad()
def measure(reward: Reward, pairs: Preferences) -> dict[str, float]:
    """How often it says what people say, beside how often the rule of taste does, which is the ceiling."""
    differences = score_pairs(reward, pairs.images, pairs.captions, pick_device())
    right, ceiling = accuracy(differences, pairs.first), accuracy(pairs.differences, pairs.first)
    told = {"accuracy": right, "ceiling": ceiling, "ratio": right / ceiling}
    sources = {f"accuracy_{name}": value for name, value in by_source(pairs, differences).items()}
    return {name: round(value, 4) for name, value in told.items()} | sources


@torch.no_grad()
def score_pairs(scorer: Scorer, images: Tensor, captions: list[str], device: torch.device) -> Tensor:
    """By how much somebody prefers the first picture of each pair, [pair, 2, 3, H, W] in uint8."""
    found = []
    for start in range(0, len(captions), PART):
        seen = unit(images[start : start + PART].to(device))
        first, second = (scorer.score(seen[:, side], captions[start : start + PART]) for side in (0, 1))
        found.append(first - second)
    return torch.cat(found).cpu()


def by_source(pairs: Preferences, differences: Tensor) -> dict[str, float]:
    """How often `differences` of scores agree with the labels, for each source that has pairs."""
    chosen = {name: pairs.sources == index for index, name in enumerate(SOURCES)}
    return {
        name: round(accuracy(differences[rows], pairs.first[rows]), 4)
        for name, rows in chosen.items()
        if rows.any()
    }
