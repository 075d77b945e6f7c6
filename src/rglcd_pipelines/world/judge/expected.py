"""What a render of a caption's scene measures: the mark by which a generated image is judged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rglcd_pipelines.world.batches import unit
from rglcd_pipelines.world.judge.measures import Figures, measure
from rglcd_pipelines.world.judge.surfaces import Layers, layers_of, paint, survey
from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import Scene

PLACES = ((0, 0), (-2, 2), (2, -2), (2, 2), (-2, -2))
"""Where the object stands in the renders that are measured: captions leave its place open."""


@dataclass(frozen=True)
class Expected:
    """What a batch of scenes should look like: means over a few places of the object."""

    figures: Figures
    background: Tensor
    """[B, 3]: as `Surfaces` has it, and the spread too."""
    background_spread: Tensor
    layers: Layers


class Expectations:
    """Renders scenes, measures them once, and remembers what came out."""

    def __init__(self, resolution: int, device: torch.device) -> None:
        self.resolution, self.device = resolution, device
        self._known: dict[Scene, Tensor] = {}

    def of(self, scenes: Sequence[Scene]) -> Expected:
        # Neither its place nor the caption's phrasing changes what is expected of a scene.
        keys = [replace(scene, shift_x=0, shift_y=0, phrasing=0) for scene in scenes]
        if missing := [key for key in dict.fromkeys(keys) if key not in self._known]:
            self._known.update(zip(missing, self._measured(missing).unbind(), strict=True))
        table = torch.stack([self._known[key] for key in keys]).to(self.device)
        return Expected(
            figures=Figures(*table[:, :-4].unbind(1)),
            background=table[:, -4:-1],
            background_spread=table[:, -1],
            layers=layers_of(keys, self.resolution, self.device),
        )

    def _measured(self, scenes: list[Scene]) -> Tensor:
        """A row a scene: its figures, its background's colour and spread."""
        layers = layers_of(scenes, self.resolution, torch.device("cpu"))
        tables: list[Tensor] = []
        for x, y in PLACES:
            pixels = render_batch([replace(s, shift_x=x, shift_y=y) for s in scenes], self.resolution)
            images = unit(torch.from_numpy(pixels).permute(0, 3, 1, 2))
            seen = survey(images, *paint(layers, x, y, self.resolution), layers)
            tables.append(torch.column_stack([*measure(images), seen.background, seen.background_spread]))
        return torch.stack(tables).mean(0)
