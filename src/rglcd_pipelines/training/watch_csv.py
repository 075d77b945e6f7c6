"""watch.csv: a row for each look at a student, beside its losses.csv; and watch.json: what they are of."""

import csv
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from rglcd_pipelines.artifacts import atomic_file
from rglcd_pipelines.errors import first_line
from rglcd_pipelines.training.watch_rule import Look

WATCH = "watch.csv"
ABOUT = "watch.json"
"""Beside it: the digest of the prompts and of how they are drawn."""

logger = logging.getLogger(__name__)


def write_looks(file: Path, looks: Sequence[Look]) -> None:
    """All of them; a look that is taken again after a kill thus never has two rows."""
    names = list(dict.fromkeys(name for look in looks for name in look.figures))
    rows = [["step", *names]] if looks else []
    for look in looks:  # one of before a setting was changed may lack a figure
        cells = (f"{look.figures[name]:.9g}" if name in look.figures else "" for name in names)
        rows.append([str(look.step), *cells])
    with atomic_file(file) as opened:
        opened.write("".join(",".join(row) + "\n" for row in rows).encode())


def write_about(folder: Path, drawn: str) -> None:
    """Say what the looks in this folder are of."""
    with atomic_file(folder / ABOUT) as opened:
        opened.write(f"{json.dumps({'drawn': drawn})}\n".encode())


def read_about(folder: Path) -> str | None:
    """What the looks in a folder are of; nothing where that is not told."""
    try:
        told = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return str(told["drawn"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def last_row(file: Path) -> dict[str, float]:
    """The finite figures of the last look that a student's file tells; none where there is no such file."""
    if not file.is_file():
        return {}
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened, strict=True))
        last = rows[-1] if rows else {}
        told = {name: float(value) for name, value in last.items() if name != "step" and value != ""}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        logger.warning("%s: cannot be read (%s), so that no LCM is told beside", file, first_line(error))
        return {}
    return {name: value for name, value in told.items() if name and math.isfinite(value)}
