"""The batch of any step of a student's training: latents, captions and draws, by the step's number."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.data.latents.stream import LatentStream
from rglcd_pipelines.training.draws import Draws, draw
from rglcd_pipelines.training.settings import DrawsConfig


@dataclass(frozen=True)
class StepBatch:
    """What one step works on."""

    z0: Tensor
    """[B, C, H, W]: scaled latents of real images."""
    captions: list[str]
    draws: Draws
    indices: np.ndarray
    """[B]: which latents they are."""

    def rows(self, chosen: slice) -> "StepBatch":
        """Some of its samples."""
        return StepBatch(
            self.z0[chosen], self.captions[chosen], self.draws.rows(chosen), self.indices[chosen]
        )

    def map(self, change: Callable[[Tensor], Tensor]) -> "StepBatch":
        """With every tensor changed."""
        return StepBatch(change(self.z0), self.captions, self.draws.map(change), self.indices)


class StepBatches:
    """Latents in the stream's order, each with what is drawn about it."""

    def __init__(self, reader: LatentReader, config: DrawsConfig) -> None:
        self.config = config
        self.shape = reader.shape
        self._stream = LatentStream(reader, config.batch_size, config.seed)
        vae = reader.artifact.manifest["vae"]
        self.scale, self.shift = float(vae["scaling_factor"]), float(vae.get("shift_factor") or 0.0)

    def batch(self, step: int, rows: slice = slice(None)) -> StepBatch:
        """The batch of one step, or one rank's share of it."""
        config = self.config
        self._stream.position = step * config.batch_size
        taken = next(self._stream)
        z0 = (torch.from_numpy(taken.latents.astype(np.float32)) - self.shift) * self.scale
        draws = draw(
            config.seed,
            step,
            config.batch_size,
            tuple(z0.shape[1:]),
            config.grid,
            (config.omega_min, config.omega_max),
        )
        return StepBatch(z0, taken.captions, draws, taken.indices).rows(rows)
