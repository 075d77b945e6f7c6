"""How many pairs of the miniature world one core makes a second, from drawing scenes to the finished tar."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._report import report
from rglcd_pipelines.world.pairs import WorldPairs, WorldSource
from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import draw_scenes

SAMPLES = 4_000
ROUNDS = 5


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        # The first shard also imports the writer and draws the icons: once a process, not once a picture.
        cold = _seconds(lambda: _shards(Path(folder) / "cold", seed=0))
        warm = [_seconds(lambda r=r: _shards(Path(folder) / "warm", seed=r)) for r in range(1, ROUNDS + 1)]
        drawing = _seconds(lambda: draw_scenes(1, 0, SAMPLES))
        scenes = draw_scenes(1, 0, SAMPLES)
        rendering = _seconds(lambda: [render_batch(scenes[i : i + 256]) for i in range(0, SAMPLES, 256)])
    seconds = statistics.median(warm)
    figures = {
        "samples": SAMPLES,
        "cpu_seconds_first_shard": round(cold, 3),
        "cpu_microseconds_per_image": round(1e6 * seconds / SAMPLES, 1),
        "of_which_drawing_scenes": round(1e6 * drawing / SAMPLES, 1),
        "of_which_rendering": round(1e6 * rendering / SAMPLES, 1),
    }
    bars = {"images_per_second_one_core": (round(SAMPLES / seconds, 1), ">= 2000")}
    return 0 if report("render", figures, bars) else 1


def _shards(raw: Path, seed: int) -> None:
    config = WorldPairs(samples=SAMPLES, seed=seed, samples_per_shard=SAMPLES)
    assert len(list(WorldSource(config, raw).shards())) == 1


def _seconds(work: Callable[[], Any]) -> float:
    """CPU time of this process, whatever else the machine is doing."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
