"""What one worker of `encode` does: a shard of pairs in, an Arrow file of latents out.

Three kinds of threads keep the autoencoder busy. Lanes each carry one unit from its shard to its file; a pool
decodes and resizes their images, some batches ahead; a single thread runs the autoencoder on whatever batch
is next. While one lane checks a shard or writes a file, the other's batches are encoded. A batch never
crosses a shard, so its images, and thus its bytes, do not depend on who encodes it or when.
"""

import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from rglcd_pipelines.artifacts import digest_file, write_json
from rglcd_pipelines.data.images import BadImage, decode
from rglcd_pipelines.data.latents.file import write_latents
from rglcd_pipelines.data.latents.fit import fit
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.data.shards import Sample, read_shard
from rglcd_pipelines.diffusion.vae import load_vae
from rglcd_pipelines.engines import Done, Report, StoppedError
from rglcd_pipelines.errors import ConfigError, DataError

if TYPE_CHECKING:
    import torch


AGAIN = "Remove its folder and make it again with: kedro run --pipeline=ingest"
LANES = 2
AHEAD = 2
"""Batches of a lane that wait for the autoencoder; more would only take memory."""


@dataclass(frozen=True)
class Unit:
    """One shard of pairs and the latent file that it becomes: the piece of work that is never split."""

    shard: Path
    sha256: str
    samples: int
    target: Path

    @property
    def sidecar(self) -> Path:
        """Written after the latent file: where it stands, the unit is done."""
        return self.target.with_suffix(".json")


@dataclass(frozen=True)
class Job:
    """What every worker of a run has in common."""

    config: EncodeConfig
    device: Literal["cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    workers: int
    vae: str
    """The digest of the autoencoder's weights."""
    stage: str = "encode"
    lanes: int = LANES

    def worker(self, index: int) -> "Worker":
        return Worker(self, index)

    def computed(self) -> dict[str, str]:
        """What the bits of the latents depend on beside the settings; a draft never mixes two of these."""
        return {"device": self.device, "precision": self.precision, "vae": self.vae}


class Worker:
    """An autoencoder and the threads around it; `work` may be called from several lanes at once."""

    def __init__(self, job: Job, index: int) -> None:
        import torch

        self.job = job
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.stop = threading.Event()
        # On a CPU the last bits depend on how the work is split, so every worker splits it alike.
        torch.set_num_threads(job.config.torch_threads)
        self._device = torch.device(job.device, index if job.device == "cuda" else 0)
        self._dtype = torch.bfloat16 if job.precision == "bfloat16" else torch.float32
        if job.device == "cuda":
            torch.backends.cudnn.benchmark = True
        self._vae = load_vae(job.config.vae, self._device, self._dtype)
        if self._vae.digest != job.vae:
            raise DataError(
                f"{self._vae.id}: the autoencoder of worker {self.name} has other weights than that of the "
                "process that started it. Pin vae.revision to a commit, or give both the same folder."
            )
        # Half as long again without it on two CPU cores; tensor cores want it too.
        self._vae.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._autoencoder = ThreadPoolExecutor(1, thread_name_prefix="vae")
        self._decoders = ThreadPoolExecutor(job.config.decode_threads, thread_name_prefix="decode")

    def close(self) -> None:
        self.stop.set()
        for pool in (self._autoencoder, self._decoders):
            pool.shutdown(cancel_futures=True)

    def work(self, unit: Unit, report: Report) -> Done:
        """Make the latent file of a unit, then the sidecar that says so."""
        began = time.time()
        report(0)  # ready: the time that counts begins
        check_shard(unit)
        rows: list[Row] = []
        latents: list[np.ndarray] = []
        busy = 0.0
        waiting: deque[Future[tuple[np.ndarray, float]]] = deque()

        def take() -> float:
            """The oldest batch that waits, when it is encoded; returns how long that took."""
            batch, seconds = waiting.popleft().result()
            latents.append(batch)
            report(len(batch))
            return seconds

        for batch in self._batches(unit):
            rows += [row for row, _ in batch]
            images = np.stack([image for _, image in batch])
            waiting.append(self._autoencoder.submit(self._latents, images))
            while len(waiting) >= AHEAD:
                busy += take()
        while waiting:
            busy += take()
        _write(unit, rows, latents, self.job)
        return Done(unit.samples, self.name, began, time.time(), busy)

    def _batches(self, unit: Unit) -> Iterator[list[tuple["Row", np.ndarray]]]:
        """The unit's images in their order, decoded ahead by the pool."""
        size = self.job.config.batch_size
        samples = _samples(unit)
        pending: deque[Future[tuple[Row, np.ndarray]]] = deque()
        while True:
            for sample in islice(samples, size * AHEAD - len(pending)):
                pending.append(self._decoders.submit(_decoded, unit, sample, self.job.config.resolution))
            if not pending:
                return
            if self.stop.is_set():
                raise StoppedError
            yield [pending.popleft().result() for _ in range(min(size, len(pending)))]

    def _latents(self, images: np.ndarray) -> tuple[np.ndarray, float]:
        """The latents of images (n, H, W, RGB) as they are stored, and the seconds it took."""
        import torch

        began = time.perf_counter()
        try:
            with torch.inference_mode():
                # Permuted, not copied: channels last is how images come.
                pixels = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2)
                latents = self._kept((pixels.float() / 127.5 - 1.0).to(self._dtype))
                latents = latents.to(getattr(torch, self.job.config.dtype)).contiguous().cpu()
        except torch.OutOfMemoryError:
            raise ConfigError(
                f"encode.batch_size: {self.job.config.batch_size} images do not fit into the GPU's memory. "
                "Set it lower."
            ) from None
        return latents.numpy(), time.perf_counter() - began

    def _kept(self, pixels: "torch.Tensor") -> "torch.Tensor":
        import torch

        posterior = self._vae.model.encode(pixels).latent_dist  # pyright: ignore[reportAttributeAccessIssue]
        if self.job.config.keep == "mean":
            return posterior.mean
        return torch.cat([posterior.mean, posterior.logvar], dim=1)


class Row(NamedTuple):
    """What a latent file says of a sample beside its latent."""

    key: str
    caption: str
    meta: str
    width: int
    height: int
    crop_top: int
    crop_left: int


def check_shard(unit: Unit) -> None:
    """A shard is encoded only if it is, byte for byte, what `ingest` wrote."""
    try:
        digest = digest_file(unit.shard)
    except OSError as error:
        raise DataError(f"{unit.shard}: cannot be read ({error.strerror}). {AGAIN}") from None
    if digest != unit.sha256:
        raise DataError(f"{unit.shard}: is damaged; its sha256 is not that of the manifest. {AGAIN}")


def _samples(unit: Unit) -> Iterator[Sample]:
    for item in read_shard(unit.shard):
        if not isinstance(item, Sample):
            raise DataError(f"{unit.shard}: {item.key} is no pair ({item.reason}). {AGAIN}")
        yield item


def _decoded(unit: Unit, sample: Sample, resolution: int) -> tuple[Row, np.ndarray]:
    try:
        # Whether the image is too large or too transparent, `ingest` has judged by its own settings.
        image = decode(sample.image or b"", max_pixels=sys.maxsize, transparency="white")
    except BadImage as error:
        raise DataError(
            f"{unit.shard}: the image of {sample.key} cannot be used ({error}). {AGAIN}"
        ) from None
    fitted = fit(image, resolution)
    texts = (sample.key, _text(sample.caption), _text(sample.meta))
    return Row(*texts, fitted.width, fitted.height, fitted.crop_top, fitted.crop_left), fitted.array


def _text(content: bytes | None) -> str:
    return content.decode() if content else ""


def _write(unit: Unit, rows: list[Row], latents: list[np.ndarray], job: Job) -> None:
    if len(rows) != unit.samples or not rows:
        raise DataError(
            f"{unit.shard}: holds {len(rows)} pairs where the manifest says {unit.samples}. {AGAIN}"
        )
    file = write_latents(
        unit.target,
        keys=[row.key for row in rows],
        captions=[row.caption for row in rows],
        metas=[row.meta for row in rows],
        sizes=np.array([(row.width, row.height) for row in rows], np.int32),
        crops=np.array([(row.crop_top, row.crop_left) for row in rows], np.int32),
        latents=np.concatenate(latents),
    )
    write_json(unit.sidecar, {"file": file.as_json(), "computed": job.computed()})
