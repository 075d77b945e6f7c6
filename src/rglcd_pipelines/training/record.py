"""Every step's figures: in a file beside the checkpoints, and told to whoever draws curves."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import explain_full_disk

LOSSES = "losses.csv"


class Record:
    """Figures wait on the device until a report; then they are read at once and written."""

    def __init__(self, name: str, folder: Path, terms: Sequence[str]) -> None:
        """`name` is that under which listeners hear of it."""
        self.name, self.file, self.terms = name, folder / LOSSES, list(terms)
        self._waiting: list[tuple[int, Tensor, float]] = []
        self._began, self._images = time.monotonic(), 0

    def begin(self, step: int) -> None:
        """Keep what the first `step` steps wrote; what was written after a checkpoint comes again."""
        kept = [",".join(["step", *self.terms, "lr"]) + "\n"]
        if step and self.file.is_file():
            with self.file.open(encoding="utf-8") as lines:
                kept += [line for line in lines if line[0].isdigit() and int(line.split(",")[0]) <= step]
        self.file.write_text("".join(kept), encoding="utf-8")

    def add(self, step: int, terms: Mapping[str, Tensor], lr: float, images: int) -> None:
        """The terms of a step, none of which is read yet."""
        self._waiting.append((step, torch.stack([terms[name].detach().float() for name in self.terms]), lr))
        self._images += images

    def flush(self, writes: bool = True) -> None:
        """Read what waits, write every step of it, and tell its mean; or forget it, if others write."""
        waiting, self._waiting = self._waiting, []
        if not writes or not waiting:
            return
        rows = torch.stack([values for _, values, _ in waiting]).tolist()
        with explain_full_disk(self.file), self.file.open("a", encoding="utf-8") as file:
            for (step, _, lr), row in zip(waiting, rows, strict=True):
                file.write(",".join([str(step), *(f"{value:.9g}" for value in [*row, lr])]) + "\n")
        columns = zip(self.terms, zip(*rows, strict=True), strict=True)
        means = {name: sum(column) / len(rows) for name, column in columns}
        now = time.monotonic()
        speed = self._images / max(now - self._began, 1e-9)
        last, _, lr = waiting[-1]
        curves.tell(self.name, last, means | {"lr": lr, "images_per_second": speed} | memory())
        self._began, self._images = now, 0


def memory() -> dict[str, float]:
    """How much memory was used at most so far: the GPU's, or else this process's."""
    if torch.cuda.is_available():
        return {"peak_gpu_gib": torch.cuda.max_memory_allocated() / 2**30}
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage's peak is at least that of the process that started this one
        lines = status.read_text(encoding="ascii").splitlines()
        return {"peak_gib": next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20}
    import resource

    return {"peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30}  # bytes, as macOS tells


def last_figures(file: Path, steps: int = 50) -> dict[str, float]:
    """The means of the last steps that a file tells."""
    lines = file.read_text(encoding="utf-8").splitlines()
    names = lines[0].split(",")[1:]
    rows = [[float(value) for value in line.split(",")[1:]] for line in lines[1:][-steps:]]
    return {
        name: round(sum(column) / len(rows), 6)
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
