"""Every figure of the miniature world that comes with the project, measured again from its files.

    python -m benchmarks.world [--world FOLDER] [--prompts 512]

Some minutes on two cores; most of them go into the teacher's samples.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks._report import report
from rglcd_pipelines.world.figures import BARS, FiguresConfig, measure
from rglcd_pipelines.world.folder import COMMITTED, MAX_BYTES, open_world


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", type=Path, default=COMMITTED)
    parser.add_argument("--prompts", type=int, default=512, help="prompts that the teacher is judged on")
    options = parser.parse_args()
    world = open_world(options.world)
    began = time.perf_counter()
    figures = measure(world.path, FiguresConfig(prompts=options.prompts))
    bars = {name: (figures.pop(name), f">= {bar}") for name, bar in BARS.items()}
    bars["bytes"] = (world.manifest["bytes"], f"<= {MAX_BYTES}")
    figures["seconds"] = round(time.perf_counter() - began, 1)
    return 0 if report("world", figures, bars) else 1


if __name__ == "__main__":
    sys.exit(main())
