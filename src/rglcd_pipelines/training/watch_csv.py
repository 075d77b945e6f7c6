"""watch.csv: a row for each look at a student, beside its losses.csv."""

import csv
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from rglcd_pipelines.artifacts import atomic_file
from rglcd_pipelines.errors import first_line
from rglcd_pipelines.training.watch_rule import Look

WATCH = "watch.csv"

logger = logging.getLogger(__name__)


def write_looks(file: Path, looks: Sequence[Look]) -> None:
    """All of them; a look that is taken again after a kill thus never has two rows."""
    rows = [["step", *looks[0].figures]] if looks else []
    rows += [[str(look.step), *(f"{value:.9g}" for value in look.figures.values())] for look in looks]
    with atomic_file(file) as opened:
        opened.write("".join(",".join(row) + "\n" for row in rows).encode())


def last_row(file: Path) -> dict[str, float]:
    """The finite figures of the last look that a student's file tells; none where there is no such file."""
    if not file.is_file():
        return {}
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened, strict=True))
        told = {name: float(value) for name, value in rows[-1].items() if name != "step"} if rows else {}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        logger.warning("%s: cannot be read (%s), so that no LCM is told beside", file, first_line(error))
        return {}
    return {name: value for name, value in told.items() if name and math.isfinite(value)}
