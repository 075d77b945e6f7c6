"""How well somebody knows what people prefer."""

import torch
from torch import Tensor

from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.training.fit import pick_device
from rglcd_pipelines.world.batches import unit
from rglcd_pipelines.world.preferences.labels import accuracy
from rglcd_pipelines.world.preferences.load import Preferences
from rglcd_pipelines.world.preferences.sources import SOURCES

PART = 250
"""Pairs that are scored at once."""


@torch.no_grad()
def measure(reward: Reward, pairs: Preferences) -> dict[str, float]:
    """How often it says what people say, beside how often the rule of taste does, which is the ceiling."""
    device = pick_device()
    scores = [
        torch.stack(
            [
                reward.score(unit(images[:, i].to(device)), pairs.captions[start : start + PART])
                for i in (0, 1)
            ]
        )
        for start in range(0, len(pairs.captions), PART)
        for images in [pairs.images[start : start + PART]]
    ]
    first, second = torch.cat(scores, 1).cpu()
    right, ceiling = accuracy(first - second, pairs.first), accuracy(pairs.differences, pairs.first)
    told = {"accuracy": right, "ceiling": ceiling, "ratio": right / ceiling}
    sources = {f"accuracy_{name}": value for name, value in by_source(pairs, first - second).items()}
    return {name: round(value, 4) for name, value in told.items()} | sources


def by_source(pairs: Preferences, differences: Tensor) -> dict[str, float]:
    """How often `differences` of scores agree with the labels, for each source that has pairs."""
    chosen = {name: pairs.sources == index for index, name in enumerate(SOURCES)}
    return {
        name: round(accuracy(differences[rows], pairs.first[rows]), 4)
        for name, rows in chosen.items()
        if rows.any()
    }
