"""What one worker of a scoring does: a shard of pictures in, their scores and features out."""

import io
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rglcd_pipelines.artifacts import atomic_file, digest_file
from rglcd_pipelines.data.shards import Sample, read_shard
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.engines import Done, Report, StoppedError
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.distances.features import Features, load_features
from rglcd_pipelines.evaluation.distances.settings import FeaturesConfig
from rglcd_pipelines.evaluation.generate.samples import AGAIN
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.evaluation.scores.measuring import Measurer
from rglcd_pipelines.progress import hide_library_bars
from rglcd_pipelines.rewards.catalog import load_reward
from rglcd_pipelines.rewards.settings import RewardConfig

KEYS, FEATURES, COMPUTED = "keys", "features/", "computed"
"""What no measure is called in a part's file: the pictures' keys, the features of a set's pictures, and
on what they were computed."""


@dataclass(frozen=True)
class Wanted:
    """What is measured of the pictures of a set; looks are measured of all."""

    judged: bool
    """Whether judges look at them."""
    watched: bool
    """Whether they are also judged after changes that nobody sees."""
    featured: bool
    """Whether their features are kept."""


@dataclass(frozen=True)
class ScoreUnit:
    """A shard of a column, and the file that its scores become."""

    shard: Path
    sha256: str
    prompts: tuple[Prompt, ...]
    target: Path

    @property
    def samples(self) -> int:
        return len(self.prompts)


@dataclass(frozen=True)
class ScoreJob:
    """What every worker of a run has in common."""

    judges: Mapping[str, RewardConfig]
    vae: VaeConfig
    features: FeaturesConfig | None
    wanted: Mapping[str, Wanted]
    batch_size: int
    device: Literal["cpu", "cuda"]
    workers: int
    lanes: int
    stage: str = "evaluate"

    def computed(self) -> str:
        """What the bits of the scores depend on beside the settings; a draft never mixes two of these."""
        return json.dumps({"device": self.device})

    def worker(self, index: int) -> "ScoreWorker":
        return ScoreWorker(self, index)


class ScoreWorker:
    """Judges, an autoencoder and a feature extractor; several threads may ask them at once."""

    def __init__(self, job: ScoreJob, index: int) -> None:
        hide_library_bars()
        self.job = job
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.stop = threading.Event()
        self._device = torch.device(job.device, index if job.device == "cuda" else 0)
        judges = {name: load_reward(name, job.judges, self._device) for name in job.judges}
        self._measurer = Measurer(judges, load_vae(job.vae, self._device, torch.float32))
        self._features: Features | None = load_features(job.features, self._device) if job.features else None

    def close(self) -> None:
        self.stop.set()
        for judge in self._measurer.judges.values():
            close: Callable[[], object] | None = getattr(judge, "close", None)
            if close is not None:
                close()

    def work(self, unit: ScoreUnit, report: Report) -> Done:
        """Measure the pictures of a shard and write what was found, whole."""
        began = time.time()
        report(0)
        if self.job.device == "cpu":
            torch.set_num_threads(1)  # of this lane; the last bits depend on it
        parts: list[dict[str, NDArray[Any]]] = []
        busy = 0.0
        for prompts, images in _batches(unit, self.job.batch_size):
            if self.stop.is_set():
                raise StoppedError
            since = time.perf_counter()
            parts.append(self._fitting(prompts, images))
            busy += time.perf_counter() - since
            report(len(prompts))
        unit.target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(unit.target) as file:
            told = {**_joined(parts), COMPUTED: np.array(self.job.computed())}
            np.savez(file, allow_pickle=False, **told)
        return Done(unit.samples, self.name, began, time.time(), busy)

    def _fitting(self, prompts: Sequence[Prompt], pixels: Tensor) -> dict[str, NDArray[Any]]:
        """What is measured of pictures that fit into the memory."""
        try:
            return self._measured(prompts, pixels)
        except torch.OutOfMemoryError:
            raise ConfigError(
                f"evaluate.batch_size: {self.job.batch_size} pictures do not fit into the GPU's memory. "
                "Set it lower."
            ) from None

    @torch.no_grad()
    def _measured(self, prompts: Sequence[Prompt], pixels: Tensor) -> dict[str, NDArray[Any]]:
        """Of pictures of one set."""
        wanted = self.job.wanted[prompts[0].set]
        there = pixels.to(self._device)
        images = there.float() / 255
        found = self._measurer.looks(images)
        if wanted.judged:
            captions = [prompt.text for prompt in prompts]
            found |= self._measurer.judged(images, captions, wanted.watched)
        told: dict[str, NDArray[Any]] = {
            name: _finite(name, values.float().cpu().numpy(), prompts) for name, values in found.items()
        }
        told[KEYS] = np.array([prompt.key for prompt in prompts])
        if wanted.featured and self._features is not None:
            told[f"{FEATURES}{prompts[0].set}"] = self._features(there).float().cpu().numpy()
        return told


def _batches(unit: ScoreUnit, size: int) -> Iterator[tuple[list[Prompt], Tensor]]:
    """The pictures of a shard as bytes [B, 3, H, W], those of one set together."""
    if not unit.shard.is_file() or digest_file(unit.shard) != unit.sha256:
        raise DataError(f"{unit.shard}: is missing or damaged. {AGAIN}")
    samples = (item for item in read_shard(unit.shard) if isinstance(item, Sample))
    pairs = zip(unit.prompts, samples, strict=True)
    for _, own in groupby(pairs, key=lambda pair: pair[0].set):
        while batch := list(islice(own, size)):
            pixels = [np.asarray(Image.open(io.BytesIO(sample.image or b""))) for _, sample in batch]
            yield [prompt for prompt, _ in batch], torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def _finite(name: str, values: NDArray[np.float32], prompts: Sequence[Prompt]) -> NDArray[np.float32]:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DataError(
            f"{prompts[int(bad[0])].key}: its {name} is no number. Look at the picture; if it is all right, "
            f"the judge is broken: leave it out of evaluate.judges, or fetch it again."
        )
    return values


def is_measure(name: str) -> bool:
    return name not in (KEYS, COMPUTED) and not name.startswith(FEATURES)


def _joined(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """All batches of a shard; NaN stands where a set was not measured so."""
    joined: dict[str, NDArray[Any]] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        own = [
            part[name] if name in part else np.full(len(part[KEYS]), np.nan, np.float32)
            for part in parts
            if name in part or is_measure(name)
        ]
        joined[name] = np.concatenate(own)
    return joined
