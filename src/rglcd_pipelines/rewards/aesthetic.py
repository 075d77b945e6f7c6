"""LAION's improved aesthetic predictor: how much people like a picture on average, from 1 to 10.

A CLIP looks at the picture, and five linear layers, with nothing between them, judge its unit vector.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.rewards.checkpoint import From, check_shapes, in_place, read_state
from rglcd_pipelines.rewards.clip import embed_images, image_size
from rglcd_pipelines.rewards.precision import float32
from rglcd_pipelines.rewards.preprocess import PreprocessConfig, preprocess

if TYPE_CHECKING:
    from transformers import CLIPModel

WHAT = "an aesthetic predictor"


class AestheticReward:
    """The score as it is published, in float32; captions make no difference to it."""

    differentiable = True

    def __init__(
        self, name: str, clip: "CLIPModel", head: nn.Sequential, seen: PreprocessConfig | None = None
    ) -> None:
        self.name = name
        self.clip = clip.eval().requires_grad_(False)
        self.head = head.eval().requires_grad_(False)
        self.seen = seen or PreprocessConfig(size=image_size(clip))

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        if len(images) != len(captions):
            raise ValueError(f"{len(images)} images and {len(captions)} captions; give as many")
        with float32(images.device):
            return self.head(embed_images(self.clip, preprocess(images, self.seen))).squeeze(-1)


def load_head(file: Path, dimensions: int) -> nn.Sequential:
    """The linear layers of the checkpoint `file`, for unit vectors of that many dimensions."""
    state = read_state(file, WHAT)
    # In training, dropout stood between the layers, so their numbers have gaps.
    numbers = sorted(
        int(found[1]) for name in state if (found := re.fullmatch(r"layers\.(\d+)\.weight", name))
    )
    if not numbers:
        raise DataError(
            f"{file}: holds no layers.0.weight, so it is no aesthetic predictor; it begins with "
            f"{', '.join(list(state)[:3])}. Check that it is the right file."
        )
    table = {
        f"{place}.{kind}": From(f"layers.{number}.{kind}")
        for place, number in enumerate(numbers)
        for kind in ("weight", "bias")
    }
    weights = in_place(table, state, file, WHAT)
    widths = [dimensions, *(len(weights[f"{place}.weight"]) for place in range(len(numbers) - 1)), 1]
    head = nn.Sequential(*(nn.Linear(before, after) for before, after in pairwise(widths)))
    check_shapes(weights, head.state_dict(), table, file, f"{WHAT} for {dimensions} dimensions")
    head.load_state_dict(weights)
    return head


def without_texts(clip: "CLIPModel") -> "CLIPModel":
    """Only its eyes; nobody reads to it, and its text tower would take memory."""
    del clip.text_model, clip.text_projection
    return clip


def dimensions(clip: "CLIPModel") -> int:
    """Of its unit vectors."""
    return torch.Size(clip.visual_projection.weight.shape)[0]
