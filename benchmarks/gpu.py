"""Training at full size on a GPU: Stable Diffusion 2.1-base at 512 px and 2.1 at 768, reward-guided or not.

    python -m benchmarks.gpu [--minutes 8] [--with tf32 vae_bf16] [--peak-tflops 790]

Weights are random, so nothing is fetched; classes and step are those that train. For each of both sizes, LCD
and RG-LCD with a direct CLIP ViT-H/14: images a second, milliseconds an image of each part, model-FLOP
utilisation, peak memory, the largest batch. Then the miniature world is distilled, tests that need a GPU run,
and if there is still time, RG-LCD at 512 px is measured with other choices. The teacher's answers are there,
as `trajectories` keeps them. What there is no time for is named. `--small`: narrow models, on a CPU too.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks._report import report
from benchmarks.gpu_models import TEACHERS, Choice, Rig
from benchmarks.gpu_step import PARTS, fits, flops, free, largest, measure
from benchmarks.gpu_world import measure_world, run_gpu_tests
from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.training.guide import RewardGuide

PEAKS = {"NVIDIA H200": 790e12}
"""Operations a second in bf16 that a device was seen to reach with large products of random matrices."""
BATCHES = (32, 28, 24, 20, 16, 12, 8, 4, 2, 1)
"""The first that fits is measured."""
PARTS_AT_ONCE = {"512": 8, "768": 4}
"""Images that are decoded and scored at once: the decoder's history of one is 2.7 GiB at 512 px, 6 at 768."""
SWITCHES = ("gradient_checkpointing", "compile", "tf32", "vae_bf16", "search")
ALTERNATIVES: Mapping[str, Mapping[str, Any]] = {
    "tf32": {"tf32": True},
    "all_three": {"tf32": True, "vae_bf16": True, "search": True},
    "vae_bf16": {"vae_bf16": True},
    "search": {"search": True},
    "part_2": {"reward_part": 2},
    "part_16": {"reward_part": 16},
    "channels_first": {"channels_last": False},
    "gradient_checkpointing": {"gradient_checkpointing": True},
}
"""What else RG-LCD at 512 px is measured with, as long as there is time."""
BARS = {"mfu_512_rg": ("512_rg_mfu", ">= 0.28"), "largest_batch_512_rg": ("512_rg_largest_batch", ">= 32")}
"""By name: the figure that is judged, and how."""


class Bench:
    """What was measured so far, and how much time is left."""

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        self.small, self.device = options.small, device
        self.end = time.monotonic() + 60 * options.minutes
        self.warm, self.steps, self.most = (1, 2, 4) if self.small else (3, 8, 256)
        self.chosen = dict.fromkeys(options.chosen, True)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        self.peak: float | None = 1e12 * options.peak_tflops if options.peak_tflops else PEAKS.get(name)
        self.figures: dict[str, Any] = {"device": name, "torch": torch.__version__, **self.chosen}
        self.skipped: list[str] = []
        self.failed: list[str] = []

    def attempt(self, what: str, seconds: float, do: Callable[[], dict[str, Any]]) -> None:
        """Do it if about so many seconds are left; what goes wrong there ends nothing else."""
        if self.left() < seconds:
            self.skipped.append(what)
            return
        began = time.monotonic()
        try:
            self.figures |= {name: _short(value) for name, value in do().items()}
        except (RuntimeError, ValueError, TypeError, RglcdError, ImportError, OSError) as error:
            self.failed.append(f"{what}: {type(error).__name__}: {error}"[:300])
        free()
        print(f"{what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def choice(self, pixels: str, **changed: Any) -> Choice:
        return Choice(**{"reward_part": PARTS_AT_ONCE[pixels], **self.chosen, **changed})


def measure_size(bench: Bench, pixels: str) -> dict[str, Any]:
    """Both students of one teacher; the plain one first, while no reward takes memory."""
    needed = flops(pixels, bench.small)
    rig = Rig(pixels, bench.small, bench.choice(pixels), bench.device)
    for student in ("lcm", "rg"):
        name, guide = f"{pixels}_{student}", rig.guide() if student == "rg" else None
        bench.attempt(name, 30, partial(measure_student, bench, rig, guide, name, needed))
        bench.attempt(f"{name}_largest_batch", 20, partial(find_largest, bench, rig, guide, name))
    return {}


def measure_student(
    bench: Bench, rig: Rig, guide: RewardGuide | None, name: str, needed: Mapping[str, float]
) -> dict[str, Any]:
    """Its speed and memory, and how much of the device's arithmetic it uses, as a whole and in each part."""
    batch = next((batch for batch in BATCHES if batch <= bench.most and fits(rig, guide, batch)), None)
    if batch is None:
        raise RglcdError("there is not enough memory for one image")
    found: dict[str, Any] = dict(measure(rig, guide, batch, bench.warm, bench.steps))
    counted = {part: needed[part] for part in PARTS if part in needed and f"{part}_ms" in found}
    found["tflop"] = sum(counted.values()) / 1e12
    found["mfu"] = None  # the device's peak is not known
    if peak := bench.peak:
        found["mfu"] = _used(sum(counted.values()), found["ms"], peak)
        found |= {f"{part}_mfu": _used(flop, found[f"{part}_ms"], peak) for part, flop in counted.items()}
    return {f"{name}_{figure}": value for figure, value in found.items()}


def _used(flop: float, ms: float, peak: float) -> float:
    return flop / (ms / 1000) / peak


def find_largest(bench: Bench, rig: Rig, guide: RewardGuide | None, name: str) -> dict[str, Any]:
    """The largest batch that fits, or the largest that was tried within half a minute."""
    known = bench.figures.get(f"{name}_batch")
    if known is None:
        raise RglcdError("no batch is known to fit")
    if known < min(BATCHES[0], bench.most):  # one larger than this did not fit
        return {f"{name}_largest_batch": known}
    deadline = min(bench.end, time.monotonic() + 30)
    found, sure = largest(lambda batch: fits(rig, guide, batch), known, bench.most, deadline)
    if not sure:
        bench.skipped.append(f"{name}_largest_batch beyond {found}")
    return {f"{name}_largest_batch": found}


def measure_alternative(bench: Bench, name: str) -> dict[str, Any]:
    """Reward-guided training at 512 px with another choice."""
    rig = Rig("512", bench.small, bench.choice("512", **ALTERNATIVES[name]), bench.device)
    guide = rig.guide()
    batch = bench.figures["512_rg_batch"]
    if not fits(rig, guide, batch):
        return {f"512_rg_{name}_fits": False}
    found = measure(rig, guide, batch, bench.warm, bench.steps)
    kept = ("images_per_second", "reward_ms", "backward_ms", "peak_gib")
    return {f"512_rg_{name}_{figure}": found[figure] for figure in kept if figure in found}


def measure_all(bench: Bench) -> None:
    for pixels in TEACHERS:
        bench.attempt(f"{pixels}_models", 30, partial(measure_size, bench, pixels))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        steps, batch = (4, 8) if bench.small else (50, 64)
        bench.attempt("world", 45, partial(measure_world, folder, steps, batch))
        if bench.device.type == "cuda":
            bench.attempt("gpu_tests", 45, lambda: run_gpu_tests(folder, bench.left()))
    for name in ("all_three",) if bench.small else ALTERNATIVES:
        if "512_rg_batch" in bench.figures:
            bench.attempt(f"512_rg_{name}", 25, partial(measure_alternative, bench, name))


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not options.small:
        print("There is no CUDA device here; --small runs narrow models on the CPU.", file=sys.stderr)
        return 1
    bench = Bench(options, device)
    measure_all(bench)
    figures: dict[str, Any] = bench.figures | {"skipped": bench.skipped, "failed": bench.failed}
    bars = {} if options.small else BARS
    known = {name: (figures[of], bar) for name, (of, bar) in bars.items() if figures.get(of) is not None}
    held = report("gpu-small" if options.small else "gpu", figures, known)
    return 0 if held and len(known) == len(bars) and not bench.failed else 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--minutes", type=float, default=8, help="after which no further part is begun")
    made.add_argument("--small", action="store_true", help="narrow models, on a CPU too; no bars")
    made.add_argument("--with", dest="chosen", nargs="*", default=[], choices=SWITCHES, metavar="CHOICE",
                      help=f"how steps are computed: {', '.join(SWITCHES)}")  # fmt: skip
    made.add_argument("--peak-tflops", type=float, help="of a device that is not known, in bf16")
    return made


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
