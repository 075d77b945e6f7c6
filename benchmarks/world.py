"""Every figure of the miniature world that comes with the project, measured again from its files.

    python -m benchmarks.world [--world FOLDER] [--prompts N]

Some minutes on two cores; most of them go into the teacher's samples.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks._report import report
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.world.figures import BARS, FiguresConfig, measure
from rglcd_pipelines.world.folder import COMMITTED, MAX_BYTES, open_world


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", type=Path, default=COMMITTED)
    parser.add_argument("--prompts", type=int, help="prompts that the teacher is judged on")
    options = parser.parse_args()
    world = open_world(options.world)
    settings = dict(world.manifest["measured"])
    if options.prompts is not None:
        settings["prompts"] = options.prompts
    began = time.perf_counter()
    figures = measure(world.path, check(FiguresConfig, settings))
    bars = {name: (figures.pop(name), f">= {bar}") for name, bar in BARS.items()}
    sizes = [(world.path / name).stat().st_size for name in world.manifest["files"]]
    bars["bytes"] = (sum(sizes), f"<= {MAX_BYTES}")
    figures["seconds"] = round(time.perf_counter() - began, 1)
    return 0 if report("world", figures, bars) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RglcdError as error:
        sys.exit(f"error: {error}")
