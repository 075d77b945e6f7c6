"""Batches of fresh renders: each learner of the miniature world has an endless supply of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import MAX_SHIFT, Scene, draw_rivals, draw_scenes
from rglcd_pipelines.world.vocabulary import ATTRIBUTES

if TYPE_CHECKING:
    from torch import Tensor

SUPPLIES = {
    # who draws: the seed of the scenes; the pairs that users ingest have small seeds
    "autoencoder": 1_001,
    "clip": 1_002,
    "judge": 1_003,
    "teacher": 1_004,
    "preferences": 1_005,
    "zero_shot": 1_006,
    "prompts": 1_007,
    "reference": 1_008,
    "figures": 1_009,
}


@dataclass(frozen=True)
class Batch:
    """Renders and what they show."""

    images: "Tensor"
    """[B, 3, H, W], uint8."""
    scenes: list[Scene]

    @property
    def captions(self) -> list[str]:
        return [scene.caption for scene in self.scenes]


def draw_batch(who: str, block: int, count: int, resolution: int, held_out: bool = False) -> Batch:
    """The first `count` renders of one block of somebody's supply."""
    return _rendered(draw_scenes(SUPPLIES[who], block, count, held_out), resolution)


def draw_rival_batch(who: str, block: int, count: int, resolution: int, rivals: int) -> Batch:
    """As `draw_batch`, in groups of `rivals` whose captions differ in the noun alone."""
    return _rendered(draw_rivals(SUPPLIES[who], block, count, rivals), resolution)


def _rendered(scenes: list[Scene], resolution: int) -> Batch:
    import torch

    pixels = render_batch(scenes, resolution)
    return Batch(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), scenes)


def draw_unseen(count: int, resolution: int) -> Batch:
    """Renders that nobody can have learnt from, not even the judge, which draws every combination.

    Their objects stand between the places where all others stand, and are of held-out nouns and colours.
    """
    scenes = [
        replace(scene, shift_x=_between(scene.shift_x), shift_y=_between(scene.shift_y))
        for scene in draw_scenes(SUPPLIES["figures"], 0, count, held_out=True)
    ]
    return _rendered(scenes, resolution)


def draw_wrong_nouns(count: int, resolution: int) -> tuple[Batch, "Tensor"]:
    """Held-out renders, and the same scenes with another noun than their captions say."""
    batch = _rendered(draw_scenes(SUPPLIES["figures"], 2, count, held_out=True), resolution)
    others = [[noun for noun in ATTRIBUTES["noun"] if noun != scene.noun] for scene in batch.scenes]
    wrong = [
        replace(scene, noun=nouns[index % len(nouns)])
        for index, (scene, nouns) in enumerate(zip(batch.scenes, others, strict=True))
    ]
    return batch, _rendered(wrong, resolution).images


def _between(shift: int) -> int:
    return shift + 1 if shift < MAX_SHIFT else shift - 1


_INDEX = {name: {value: i for i, value in enumerate(values)} for name, values in ATTRIBUTES.items()}


def labels(scenes: Sequence[Scene]) -> "dict[str, Tensor]":
    """The index of each scene's value of each attribute."""
    import torch

    return {
        name: torch.tensor([index[getattr(scene, name)] for scene in scenes])
        for name, index in _INDEX.items()
    }


def unit(images: "Tensor") -> "Tensor":
    """uint8 as float32 in [0, 1]."""
    return images.float() / 255


def as_bytes(images: "Tensor") -> "Tensor":
    """[0, 1] as uint8, on the CPU."""
    import torch

    return (images * 255).round().clamp(0, 255).to("cpu", torch.uint8)
