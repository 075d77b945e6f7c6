"""What the teacher learns from: renders as latents and tokens, encoded once."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.training.fit import FitConfig
from rglcd_pipelines.world.autoencoder import centred
from rglcd_pipelines.world.batches import draw_batch
from rglcd_pipelines.world.tokenizer import CONTEXT

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

BLOCK = 2_048
"""Renders that are drawn and encoded at a time."""

SCRATCH = ("latents.npy", "ids.npy", "encoded")


def encode_renders(
    count: int, vae: Any, tokenizer: "CLIPTokenizer", resolution: int, folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Scaled latents and tokens of all renders, in files that a killed run's successor goes on from."""
    side = resolution // 2 ** (len(vae.config.block_out_channels) - 1)
    shape = (count, vae.config.latent_channels, side, side)
    progress = folder / "encoded"
    done = int(progress.read_text()) if progress.is_file() else 0
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
            progress.write_text(str(stop))
            bar.update(stop - start)
    return latents, ids


@torch.no_grad()
def _encode(vae: Any, images: Tensor) -> np.ndarray:
    device = next(vae.parameters()).device
    parts = [vae.encode(centred(part.to(device))).latent_dist.mode() for part in images.split(256)]
    return (torch.cat(parts) * vae.config.scaling_factor).half().cpu().numpy()


def padded_ids(tokenizer: "CLIPTokenizer", captions: list[str]) -> np.ndarray:
    """Tokens as StableDiffusionPipeline makes them: all of the context, its rest filled."""
    return tokenizer(captions, padding="max_length", truncation=True, return_tensors="np").input_ids


def draw_latents(latents: np.ndarray, ids: np.ndarray, config: FitConfig, step: int) -> tuple[Tensor, Tensor]:
    """The batch of one step."""
    chosen = np.random.default_rng([config.seed, step]).integers(0, len(latents), config.batch_size)
    chosen.sort()  # neighbours on the disk
    return torch.from_numpy(latents[chosen]), torch.from_numpy(ids[chosen].astype(np.int64))
