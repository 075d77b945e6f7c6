"""What one worker of a generation does: prompts in, a shard of pictures out."""

import io
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from rglcd_pipelines.artifacts import digest_file, write_json
from rglcd_pipelines.data.shards import Sample, write_shard
from rglcd_pipelines.engines import Done, Report, StoppedError
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.generate.models import Draw, Drawer
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.progress import hide_library_bars


@dataclass(frozen=True)
class Unit:
    """Some prompts of a column, and the shard that their pictures become: the work that is never split."""

    column: str
    prompts: tuple[Prompt, ...]
    target: Path

    @property
    def sidecar(self) -> Path:
        """Written after the shard: where it stands, the unit is done."""
        return self.target.with_suffix(".json")


@dataclass(frozen=True)
class DrawJob:
    """What every worker of a run has in common."""

    drawer: Drawer
    device: Literal["cpu", "cuda"]
    bf16: bool
    batch_size: int
    workers: int
    lanes: int
    stage: str = "evaluate.draw"

    def computed(self) -> dict[str, str]:
        """What the bits of the pictures depend on beside the settings; a draft never mixes two of these."""
        return {"device": self.device, "precision": "bf16" if self.bf16 else "fp32"}

    def worker(self, index: int) -> "DrawWorker":
        return DrawWorker(self, index)


class DrawWorker:
    """A model, and a hand for each lane that draws with it."""

    def __init__(self, job: DrawJob, index: int) -> None:
        hide_library_bars()
        self.job = job
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.stop = threading.Event()
        self._device = torch.device(job.device, index if job.device == "cuda" else 0)
        self._hands = threading.local()
        self._new_hand = job.drawer.load(self._device, job.bf16)

    def close(self) -> None:
        self.stop.set()

    def work(self, unit: Unit, report: Report) -> Done:
        """Draw a unit's pictures and write its shard, then the sidecar that says so."""
        began = time.time()
        report(0)  # ready: the time that counts begins
        draw = self._hand()
        busy = 0.0
        samples: list[Sample] = []
        for start in range(0, len(unit.prompts), self.job.batch_size):
            if self.stop.is_set():
                raise StoppedError
            part = unit.prompts[start : start + self.job.batch_size]
            since = time.perf_counter()
            pictures = self._pictures(draw, unit.column, part)
            busy += time.perf_counter() - since
            samples += _samples(unit.column, part, pictures)
            report(len(part))
        unit.target.parent.mkdir(parents=True, exist_ok=True)
        write_shard(unit.target, samples)
        written = {"samples": len(samples), "sha256": digest_file(unit.target), "seconds": busy}
        write_json(unit.sidecar, {**written, "computed": self.job.computed()})
        return Done(len(samples), self.name, began, time.time(), busy)

    def _hand(self) -> Draw:
        """This thread's own."""
        if not hasattr(self._hands, "draw"):
            if self.job.device == "cpu":
                # A picture's last bits depend on how many threads share it; one each is also the fastest.
                torch.set_num_threads(1)
            self._hands.draw = self._new_hand()
        return self._hands.draw

    def _pictures(self, draw: Draw, column: str, part: tuple[Prompt, ...]) -> Tensor:
        try:
            pictures = draw(column, [prompt.text for prompt in part], [prompt.seed for prompt in part])
        except torch.OutOfMemoryError:
            raise ConfigError(
                f"evaluate.draw.batch_size: {self.job.batch_size} pictures do not fit into the GPU's memory. "
                "Set it lower."
            ) from None
        if not bool(pictures.isfinite().all()):
            raise DataError(
                f"{part[0].key}: or another prompt of its batch becomes a picture with values that are not "
                "numbers. Set evaluate.draw.precision to fp32; if that is of no help, the model is broken."
            )
        return pictures


def _samples(column: str, prompts: tuple[Prompt, ...], pictures: Tensor) -> Iterator[Sample]:
    pixels = (pictures * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for prompt, picture in zip(prompts, pixels, strict=True):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        told = {"set": prompt.set, "group": prompt.group, "seed": prompt.seed, "column": column}
        yield Sample(
            key=prompt.key,
            image=file.getvalue(),
            caption=prompt.text.encode(),
            meta=json.dumps({**told, "repeat": prompt.repeat}, sort_keys=True).encode(),
        )
