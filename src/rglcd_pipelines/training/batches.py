"""The batch of any step of a student's training: latents, captions and draws, by the step's number."""

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from rglcd_pipelines.config import Config
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.data.latents.stream import LatentStream
from rglcd_pipelines.training.draws import Draws, draw


class DrawsConfig(Config):
    """What every variant of a student is asked, step by step; the teacher's answers depend on it."""

    seed: int = Field(default=0, ge=0)
    """The seed of the order of the latents, of noise, times and scales of guidance."""
    steps: int = Field(ge=1)
    """For how many steps the teacher's answers are computed."""
    batch_size: int = Field(ge=1)
    """Samples of a step, of all GPUs together."""
    grid: int = Field(default=50, ge=1)
    """Times of the solver's grid; it skips k = T / grid of the teacher's T at once."""
    omega_min: float = Field(default=5.0, ge=0)
    """The smallest scale of guidance; as diffusers counts, guidance_scale is omega + 1."""
    omega_max: float = Field(default=15.0, ge=0)
    """The largest one."""

    @model_validator(mode="after")
    def _omegas_are_a_range(self) -> "DrawsConfig":
        if self.omega_min > self.omega_max:
            raise ValueError(
                f"omega_min is {self.omega_min:g}, more than omega_max = {self.omega_max:g}; change one"
            )
        return self


@dataclass(frozen=True)
class StepBatch:
    """What one step works on."""

    z0: Tensor
    """[B, C, H, W]: scaled latents of real images."""
    captions: list[str]
    draws: Draws


class StepBatches:
    """Latents in the stream's order, each with what is drawn about it."""

    def __init__(self, reader: LatentReader, config: DrawsConfig) -> None:
        self.config = config
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
        return StepBatch(z0[rows], taken.captions[rows], draws.rows(rows))
