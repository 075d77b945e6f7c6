"""How long `kedro run --pipeline=world` takes here, told from a fiftieth of every part.

    python -m benchmarks.recipe [--part 50] [--threads 2]

Each part is made at its real size with a fiftieth of its steps, renders and pairs, and its time multiplied.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks._report import report
from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.pipelines.world.config import WorldConfig
from rglcd_pipelines.pipelines.world.pipeline import PARTS
from rglcd_pipelines.pipelines.world.recipe import make_part

SETTINGS = Path("conf/base/parameters_world.yml")
PHASES = ("naming", "matching", "fit")
PAIRS_PART = 5
"""Of the preferences no less: their sampler is loaded many times, however few they are."""
HOURS = {"cpu": 3.0, "cuda": 0.25}
"""What the recipe may take on two cores, and on one GPU."""


def shortened(settings: dict[str, Any], part: int) -> dict[str, Any]:
    """The settings with so many times less to do, and everything else as it is."""
    short = {name: dict(value) if isinstance(value, dict) else value for name, value in settings.items()}
    for value in short.values():
        for phase in set(PHASES) & set(value if isinstance(value, dict) else {}):
            steps = max(1, value[phase]["steps"] // part)
            value[phase] = value[phase] | {"steps": steps, "warmup_steps": 1}
    teacher, preferences = short["teacher"], short["preferences"]
    teacher |= {"renders": teacher["renders"] // part, "early": [1, 2, 3][: len(teacher["early"])]}
    preferences |= {name: preferences[name] // PAIRS_PART for name in ("pairs", "held_out_pairs")}
    preferences["early"] = preferences["early"] | {"captions": preferences["early"]["captions"] // PAIRS_PART}
    return short


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings: dict[str, Any] = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))["world"]
    few = check(WorldConfig, shortened(settings, options.part), "world")
    figures: dict[str, float] = {"threads": options.threads, "part": options.part}
    made: dict[str, Artifact] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, needs in PARTS.items():
            made[name] = make_part(name, few, {need: made[need] for need in needs}, Path(folder, name))
            times = {"preferences": PAIRS_PART, "sets": 1}.get(name, int(options.part))
            figures[f"{name}_minutes"] = round(made[name].metrics["seconds"] * times / 60, 1)
    hours = sum(value for name, value in figures.items() if name.endswith("_minutes")) / 60
    bar = HOURS["cuda" if torch.cuda.is_available() else "cpu"]
    return 0 if report("recipe", figures, {"hours": (round(hours, 2), f"<= {bar:g}")}) else 1


if __name__ == "__main__":
    sys.exit(main())
