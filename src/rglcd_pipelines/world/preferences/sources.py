"""Where pairs come from, one function a source: two pictures for each caption, of which people prefer one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from rglcd_pipelines.config import Config
from rglcd_pipelines.world.batches import unit
from rglcd_pipelines.world.preferences.degrade import DEGRADATIONS, degrade
from rglcd_pipelines.world.preferences.early import Samples
from rglcd_pipelines.world.preferences.split import Split
from rglcd_pipelines.world.preferences.wrong import moved, wrong_scene
from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import Scene

WRONG_DEGRADED = 0.4
"""How often a picture is also degraded where one of the two shows the wrong scene."""

EARLY_DEGRADED = 0.7
"""How often a render is degraded that is compared with a sample: a clean one would always win."""


class Mix(Config):
    """How many of the pairs come from each source, as shares of their sum."""

    clean_degraded: float = Field(default=0.2, ge=0)
    """A render and the same scene degraded."""
    degraded_degraded: float = Field(default=0.2, ge=0)
    """The same scene degraded in two ways."""
    wrong_caption: float = Field(default=0.35, ge=0)
    """The scene of the caption and another one, either of them degraded at times."""
    early_early: float = Field(default=0.1, ge=0)
    """Two samples of the teacher while it learnt."""
    early_render: float = Field(default=0.15, ge=0)
    """Such a sample and a render, mostly degraded."""

    @model_validator(mode="after")
    def _something(self) -> "Mix":
        if not sum(self.shares()):
            raise ValueError("every share is 0, so there are no pairs; raise one")
        return self

    def shares(self) -> list[float]:
        """In the order of SOURCES."""
        return [getattr(self, name) for name in SOURCES]


SOURCES = tuple(Mix.model_fields)


@dataclass(frozen=True)
class Drawn:
    """Pairs without an opinion on them."""

    images: Tensor
    """[pair, 2, 3, H, W], uint8."""
    captions: list[str]
    sources: Tensor
    """[pair], indexes of SOURCES."""


def draw_pairs(
    mix: Mix, split: Split, samples: Samples, block: int, count: int, resolution: int, seed: int
) -> Drawn:
    """One block of pairs, from its numbers alone."""
    generator = np.random.Generator(np.random.PCG64([seed, split.number, block]))
    shares = np.asarray(mix.shares()) / sum(mix.shares())
    sources = generator.choice(len(SOURCES), size=count, p=shares)
    scenes = split.scenes(block, count)
    noise = torch.Generator().manual_seed(int(generator.integers(2**62)))
    images = torch.zeros(count, 2, 3, resolution, resolution, dtype=torch.uint8)
    captions = [scene.caption for scene in scenes]
    for index, name in enumerate(SOURCES):
        rows = np.nonzero(sources == index)[0]
        if len(rows):
            maker = _Maker(generator, noise, split, samples, resolution)
            asked, pictures = _DRAW[name](maker, [scenes[row] for row in rows])
            images[rows] = pictures
            for row, scene in zip(rows, asked, strict=True):
                captions[row] = scene.caption
    # Which of the two comes first must tell nothing.
    swapped = torch.from_numpy(generator.random(count) < 0.5)
    images[swapped] = images[swapped].flip(1)
    return Drawn(images, captions, torch.from_numpy(sources).to(torch.uint8))


@dataclass(frozen=True)
class _Maker:
    """What all sources need."""

    generator: np.random.Generator
    noise: torch.Generator
    split: Split
    samples: Samples
    resolution: int

    def renders(self, scenes: Sequence[Scene], degraded: float) -> Tensor:
        """Renders as uint8, of which a share is degraded."""
        images = torch.from_numpy(render_batch(scenes, self.resolution)).permute(0, 3, 1, 2)
        kinds = self.generator.integers(len(DEGRADATIONS), size=len(scenes))
        kinds[self.generator.random(len(scenes)) >= degraded] = -1
        strengths = self.generator.random(len(scenes), dtype=np.float32)
        worse = degrade(unit(images), torch.from_numpy(kinds), torch.from_numpy(strengths), self.noise)
        return (worse * 255).round().to(torch.uint8)

    def moved(self, scenes: Sequence[Scene]) -> list[Scene]:
        return [moved(scene, self.generator) for scene in scenes]

    def early(self, count: int, variants: int) -> tuple[list[Scene], Tensor]:
        """Scenes that the teacher drew, and some of what it drew for each."""
        rows = self.generator.integers(len(self.samples.scenes), size=count)
        places = np.arange(self.samples.images.shape[1])
        chosen = np.stack([self.generator.permutation(places)[:variants] for _ in rows])
        return [self.samples.scenes[row] for row in rows], self.samples.images[rows[:, None], chosen]


Pairs = tuple[Sequence[Scene], Tensor]


def _clean_degraded(maker: _Maker, scenes: Sequence[Scene]) -> Pairs:
    return scenes, torch.stack([maker.renders(scenes, 0), maker.renders(maker.moved(scenes), 1)], 1)


def _degraded_degraded(maker: _Maker, scenes: Sequence[Scene]) -> Pairs:
    return scenes, torch.stack([maker.renders(scenes, 1), maker.renders(maker.moved(scenes), 1)], 1)


def _wrong_caption(maker: _Maker, scenes: Sequence[Scene]) -> Pairs:
    wrong = [wrong_scene(scene, maker.generator, maker.split.held_out) for scene in scenes]
    return scenes, torch.stack([maker.renders(part, WRONG_DEGRADED) for part in (scenes, wrong)], 1)


def _early_early(maker: _Maker, scenes: Sequence[Scene]) -> Pairs:
    return maker.early(len(scenes), 2)


def _early_render(maker: _Maker, scenes: Sequence[Scene]) -> Pairs:
    asked, drawn = maker.early(len(scenes), 1)
    return asked, torch.stack([drawn[:, 0], maker.renders(maker.moved(asked), EARLY_DEGRADED)], 1)


_DRAW: dict[str, Callable[[_Maker, Sequence[Scene]], Pairs]] = {
    "clean_degraded": _clean_degraded,
    "degraded_degraded": _degraded_degraded,
    "wrong_caption": _wrong_caption,
    "early_early": _early_early,
    "early_render": _early_render,
}
