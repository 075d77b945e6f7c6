"""What a frozen text tower says of every caption, computed once for all trainings of a latent tower."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rglcd_pipelines.artifacts import Artifact, atomic_file, digest_file, draft, publish, standing
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.latent_reward.settings import TextConfig
from rglcd_pipelines.latent_reward.text import load_text
from rglcd_pipelines.progress import hide_library_bars, progress_bar
from rglcd_pipelines.rewards.identity import place_identity

FORMAT = 1
CHUNK = 16_384
"""Captions of a file; what a killed run has to do again."""
BATCH = 512

logger = logging.getLogger(__name__)


def text_identity(config: TextConfig) -> dict[str, Any]:
    """What tells a text tower from every other one."""
    told = {"kind": config.kind, **place_identity(config)}
    if config.kind == "open_clip":
        told["architecture"] = config.architecture
    return told | ({"tokenizer": place_identity(config.tokenizer)} if config.tokenizer else {})


def make_captions(config: TextConfig, latents: Artifact, place: Path) -> Artifact:
    """The embeddings of the captions of `latents`, in their order, at `place`."""
    text = text_identity(config)
    made_from = {"format": FORMAT, "inputs": {"latents": latents.digest, "text": text}}
    if ready := standing(place, "captions", made_from):
        logger.info("%s: the captions' embeddings are there already; nothing to do", place)
        return ready
    hide_library_bars()
    reader, began = LatentReader(latents), time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tower, _ = load_text(config)
    tower.to(device)
    starts = range(0, len(reader), CHUNK)
    with draft(place, made_from) as work, progress_bar("captions", len(reader)) as bar, torch.no_grad():
        for start in starts:
            end = min(start + CHUNK, len(reader))
            if (work.path / chunk_name(start)).is_file():
                bar.update(end - start)
                continue
            parts = []
            for first in range(start, end, BATCH):
                rows = np.arange(first, min(first + BATCH, end))
                parts.append(tower(reader.captions(rows)).half().cpu().numpy())
                bar.update(len(rows))
            with atomic_file(work.path / chunk_name(start)) as opened:
                np.save(opened, np.concatenate(parts))
        body = {
            "samples": len(reader),
            "dimensions": tower.dimensions,
            "text": text,
            "files": {file.name: digest_file(file) for file in sorted(work.path.glob("*.npy"))},
        }
        metrics = {"seconds": round(time.monotonic() - began, 1)}
        return publish(work, place, "captions", made_from, body, metrics)


def chunk_name(start: int) -> str:
    return f"captions-{start:09d}.npy"


class Captions:
    """The embeddings of a finished folder, mapped and not read."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self._count, self._width = (int(artifact.manifest[name]) for name in ("samples", "dimensions"))
        self._mapped: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self._count

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """[B, D] in float32, of the captions of some latents."""
        wanted = np.asarray(indices)
        found = np.empty((len(wanted), self._width), np.float32)
        chunks = wanted // CHUNK
        for chunk in np.unique(chunks):
            there = chunks == chunk
            found[there] = self._chunk(int(chunk) * CHUNK)[wanted[there] % CHUNK]
        # Rounded to half precision, they are no unit vectors any more, and one is less like itself than SAME.
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def _chunk(self, start: int) -> np.ndarray:
        if start in self._mapped:
            return self._mapped[start]
        file = self.artifact.path / chunk_name(start)
        try:
            found = np.load(file, mmap_mode="r", allow_pickle=False)
            if found.shape != (expected := (min(CHUNK, self._count - start), self._width)):
                raise ValueError(f"their shape is {found.shape} and not {expected}")
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{file}: the captions' embeddings cannot be read ({error}). Remove {self.artifact.path} and "
                "run: kedro run --pipeline=lrm"
            ) from None
        return self._mapped.setdefault(start, found)
