"""Towers whose answers are known: captions and latents that carry a class's number as a unit vector."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rglcd_pipelines.artifacts import Artifact, draft, publish
from rglcd_pipelines.data.latents.reader import LatentReader
from tests.data.make_latents import make_latents

TEMPLATES = ["a photo of {}.", "{}, drawn", "the {}"]


def names(count: int) -> list[str]:
    return [f"thing{label}" for label in range(count)]


class Towers:
    """A caption of `thing7` is at axis 7. A latent is as near to each class as its first values say."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.asked: list[str] = []
        self.batches: list[int] = []

    def embed_captions(self, captions: Sequence[str]) -> Tensor:
        self.asked += captions
        found = [re.search(r"thing(\d+)", caption) for caption in captions]
        labels = torch.tensor([int(match[1]) for match in found if match])
        return torch.nn.functional.one_hot(labels, self.classes).float()

    def embed_latents(self, z: Tensor) -> Tensor:
        self.batches.append(len(z))
        return torch.nn.functional.normalize(z.flatten(1)[:, : self.classes], dim=-1)


def latents_of(
    place: Path, labels: Sequence[int | str], rankings: Sequence[Sequence[int]], classes: int, **made: Any
) -> LatentReader:
    """Latents of `labels`, for each of which `Towers` ranks the classes as told, the nearest first."""
    values = np.zeros((len(labels), 4, 4, 4), np.float32)
    for row, ranking in enumerate(rankings):
        for rank, label in enumerate(ranking):
            values[row].reshape(-1)[label] = classes - rank
    columns = {
        "keys": [f"{number:09d}" for number in range(len(labels))],
        "captions": [str(label) for label in labels],
        "metas": [""] * len(labels),
        "sizes": np.full((len(labels), 2), 32, np.int32),
        "crops": np.zeros((len(labels), 2), np.int32),
        "latents": values,
    }
    return LatentReader(make_latents(place, made=columns, **made))


def model_at(place: Path, weights: int = 1) -> Artifact:
    """A folder that stands for a latent reward model."""
    made_from = {"weights": weights}
    with draft(place, made_from) as work:
        return publish(work, place, "lrm", made_from, {"files": {"model": str(weights)}}, {})
