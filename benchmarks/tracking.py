"""What it costs to tell MLflow of a training while it runs: figures and a grid of samples, to SQLite.

    python -m benchmarks.tracking [--steps 1000]

The training waits for its device, 50 ms a step: all CPU time there is goes into telling, and none of it
drowns in the noise of real steps. Eight figures every 10 steps and a picture of noise, the worst there is to
compress, every 100 steps, against the same training that nobody listens to. The overhead is the CPU time of
the whole process, that of the sending thread included, in parts of the training's time; where a core is to
spare, the training itself only pays the part of its own thread.
"""

import argparse
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time, sleep, thread_time

import mlflow
import numpy as np
from mlflow.tracking import MlflowClient
from PIL import Image

from benchmarks._report import report
from rglcd_pipelines import curves
from rglcd_pipelines.live_curves import LiveCurves

SECONDS_OF_A_STEP = 0.05
FIGURES = ("loss", "distillation", "reward", "gradient", "lr", "images_per_second", "memory", "spread")
STEPS_OF_FIGURES = 10
STEPS_OF_A_PICTURE = 100
PICTURE = (512, 256)
"""A grid of 8 captions by 4 numbers of steps, at 64 pixels."""


@dataclass(frozen=True)
class Cost:
    """Seconds of a training."""

    process: float
    """CPU time of all threads, until everything is sent."""
    thread: float
    """CPU time of the training's own thread that went into telling."""
    longest: float
    """The longest that a step was held up by telling."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1000)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        first = told(STEPS_OF_A_PICTURE, Path(folder))  # imports, compiles queries: once a process
        without = train(steps, None)
        with_it = told(steps, Path(folder))
    time = steps * SECONDS_OF_A_STEP
    figures = {
        "steps": steps,
        "first_batch_cpu_seconds": round(first.process, 3),
        "process_cpu_seconds": round(with_it.process, 3),
        "process_cpu_seconds_without": round(without.process, 3),
        "training_thread_percent": round(100 * with_it.thread / time, 4),
        "training_thread_microseconds_each": round(1e6 * with_it.thread / (steps // STEPS_OF_FIGURES), 1),
        "longest_wait_ms": round(1000 * with_it.longest, 2),
    }
    overhead = round(100 * (with_it.process - without.process) / time, 3)
    return 0 if report("tracking", figures, {"overhead_percent": (overhead, "<= 2")}) else 1


def told(steps: int, folder: Path) -> Cost:
    """A training that MLflow is told of; that it was is checked."""
    client = MlflowClient()
    run_id = client.create_run(
        client.create_experiment(f"{steps} steps", str(folder / "artifacts"))
    ).info.run_id
    cost = train(steps, LiveCurves(run_id, folder / "unsent"))
    for name in FIGURES:
        assert len(client.get_metric_history(run_id, f"distill/{name}")) == steps // STEPS_OF_FIGURES
    assert len(client.list_artifacts(run_id, "images")) == 2 * (steps // STEPS_OF_A_PICTURE)
    return cost


def train(steps: int, listener: LiveCurves | None) -> Cost:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*PICTURE[::-1], 3), np.uint8))
    process, thread, longest = process_time(), 0.0, 0.0
    with curves.listening(listener, listener.show) if listener else nullcontext():
        for step in range(1, steps + 1):
            sleep(SECONDS_OF_A_STEP)
            began, used = perf_counter(), thread_time()
            if step % STEPS_OF_FIGURES == 0:
                curves.tell("distill", step, dict.fromkeys(FIGURES, 1.0 / step))
            if step % STEPS_OF_A_PICTURE == 0:
                curves.show("samples", step, picture)
            thread += thread_time() - used
            longest = max(longest, perf_counter() - began)
    if listener is not None:
        assert listener.close("FINISHED"), "MLflow was not told everything"
    return Cost(process_time() - process, thread, longest)


if __name__ == "__main__":
    sys.exit(main())
