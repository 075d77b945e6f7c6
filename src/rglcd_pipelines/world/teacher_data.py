"""What the teacher learns from: renders as latents and tokens, encoded once."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rglcd_pipelines.artifacts import write_json
from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.training.fit import FitConfig, step_seed
from rglcd_pipelines.world.autoencoder import centred
from rglcd_pipelines.world.batches import draw_batch
from rglcd_pipelines.world.tokenizer import CONTEXT

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

TIMESTEPS = 1_000
BLOCK = 2_048
"""Renders that are drawn and encoded at a time."""

ENCODED = "encoded.json"
SCRATCH = (ENCODED, "latents.npy", "ids.npy")
"""The files of it, in the order in which they may go: the first says how much of the others counts."""


def encode_renders(
    count: int, vae: Any, tokenizer: "CLIPTokenizer", resolution: int, folder: Path
) -> tuple[np.ndarray, np.ndarray, float]:
    """Scaled latents and tokens of all renders, in files that a killed run's successor goes on from.

    The third is how many seconds it took.
    """
    side = resolution // 2 ** (len(vae.config.block_out_channels) - 1)
    shape = (count, vae.config.latent_channels, side, side)
    progress = folder / ENCODED
    told = json.loads(progress.read_bytes()) if progress.is_file() else {"renders": 0, "seconds": 0.0}
    done, began = told["renders"], time.monotonic() - told["seconds"]
    mode = "r+" if done else "w+"
    latents = np.lib.format.open_memmap(folder / "latents.npy", mode, np.float16, shape)
    ids = np.lib.format.open_memmap(folder / "ids.npy", mode, np.int16, (count, CONTEXT))
    with progress_bar("teacher's latents", count, done) as bar:
        for start in range(done, count, BLOCK):
            batch = draw_batch("teacher", start // BLOCK, min(BLOCK, count - start), resolution)
            stop = start + len(batch.scenes)
            latents[start:stop] = _encode(vae, batch.images)
            ids[start:stop] = padded_ids(tokenizer, batch.captions)
            latents.flush()
            ids.flush()
            told = {"renders": stop, "seconds": time.monotonic() - began}
            write_json(progress, told)
            bar.update(stop - start)
    return latents, ids, told["seconds"]


@torch.no_grad()
def _encode(vae: Any, images: Tensor) -> np.ndarray:
    device = next(vae.parameters()).device
    parts = [vae.encode(centred(part.to(device))).latent_dist.mode() for part in images.split(256)]
    return (torch.cat(parts) * vae.config.scaling_factor).half().cpu().numpy()


def padded_ids(tokenizer: "CLIPTokenizer", captions: list[str]) -> np.ndarray:
    """Tokens as StableDiffusionPipeline makes them: all of the context, its rest filled."""
    return tokenizer(captions, padding="max_length", truncation=True, return_tensors="np").input_ids


@dataclass(frozen=True)
class Noisy:
    """One step's batch: latents, captions, and all that is drawn at random about them."""

    z: Tensor
    """[B, C, H, W], scaled."""
    ids: Tensor
    """[B, T]: the captions' tokens."""
    dropped: Tensor
    """[B]: whose caption is left out, for guidance."""
    t: Tensor
    """[B]: timesteps."""
    noise: Tensor
    """[B, C, H, W]."""

    def to(self, device: torch.device) -> "Noisy":
        return Noisy(*(part.to(device) for part in self._parts()))

    def split(self, count: int) -> "list[Noisy]":
        """In parts of equal size, which `count` must allow; otherwise as it is."""
        if len(self.z) % count:
            return [self]
        return [Noisy(*parts) for parts in zip(*(part.chunk(count) for part in self._parts()), strict=True)]

    def _parts(self) -> tuple[Tensor, ...]:
        return self.z, self.ids, self.dropped, self.t, self.noise


def draw_noisy(latents: np.ndarray, ids: np.ndarray, config: FitConfig, dropout: float, step: int) -> Noisy:
    """The batch of one step."""
    chosen = np.random.default_rng([config.seed, step]).integers(0, len(latents), config.batch_size)
    chosen.sort()  # neighbours on the disk
    z = torch.from_numpy(latents[chosen]).float()
    drawn = torch.Generator().manual_seed(step_seed(config.seed, step))
    return Noisy(
        z=z,
        ids=torch.from_numpy(ids[chosen].astype(np.int64)),
        dropped=torch.rand(len(z), generator=drawn) < dropout,
        t=draw_times(len(z), drawn),
        noise=torch.randn(z.shape, generator=drawn),
    )


def draw_times(count: int, drawn: torch.Generator) -> Tensor:
    """Timesteps: a quarter at random, the others more often where shapes are decided (logit-normal)."""
    middle = torch.sigmoid(torch.randn(count, generator=drawn) + 0.3) * TIMESTEPS
    anywhere = torch.rand(count, generator=drawn) * TIMESTEPS
    chosen = torch.where(torch.rand(count, generator=drawn) < 0.25, anywhere, middle)
    return chosen.long().clamp(max=TIMESTEPS - 1)
