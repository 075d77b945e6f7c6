"""Preference pairs as batches to learn from: drawn anew at each step, seen as the reward model sees them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.rewards.preprocess import PreprocessConfig, preprocess
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.training.fit import step_seed
from rglcd_pipelines.world.batches import unit
from rglcd_pipelines.world.preferences.load import Preferences

MARGIN = 2
"""By how many pixels of 32 a picture is moved at most, so that no pair is ever seen twice alike."""


@dataclass(frozen=True)
class PairBatch:
    """Some pairs, with captions as tokens."""

    pixels: Tensor
    """[pair, 2, 3, S, S], preprocessed."""
    ids: Tensor
    """[pair, T]."""
    mask: Tensor
    """[pair, T]: which tokens are text."""
    first: Tensor
    """[pair]: whether the first picture is preferred."""

    def to(self, device: torch.device) -> "PairBatch":
        return PairBatch(*(part.to(device) for part in (self.pixels, self.ids, self.mask, self.first)))


class PairBatches:
    """Endless batches of the same pairs, each from its step's number alone."""

    def __init__(
        self, pairs: Preferences, texts: Texts, seen: PreprocessConfig, batch_size: int, seed: int
    ) -> None:
        self.pairs, self.seen, self.batch_size, self.seed = pairs, seen, batch_size, seed
        self.ids, self.mask = texts.ids(pairs.captions)

    def draw(self, step: int) -> PairBatch:
        generator = torch.Generator().manual_seed(step_seed(self.seed, step))
        rows = torch.randint(len(self.pairs.captions), (self.batch_size,), generator=generator)
        images = moved(unit(self.pairs.images[rows]).flatten(0, 1), generator)
        pixels = preprocess(images, self.seen).unflatten(0, (-1, 2))
        return PairBatch(pixels, self.ids[rows], self.mask[rows], self.pairs.first[rows])


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture moved by a few pixels, its border repeated."""
    side = images.shape[-1]
    margin = max(1, round(MARGIN * side / 32))
    padded = F.pad(images, (margin,) * 4, mode="replicate")
    shift = torch.randint(2 * margin + 1, (2, len(images), 1), generator=generator)
    y, x = shift + torch.arange(side)
    rows, channels = torch.arange(len(images))[:, None, None, None], torch.arange(3)[:, None, None]
    return padded[rows, channels, y[:, None, :, None], x[:, None, None, :]]
