"""The sheets that a student drew while it learnt, kept as its course."""

import shutil
from pathlib import Path

from PIL import Image

from rglcd_pipelines.artifacts import atomic_file

PROGRESS = "progress"
"""The folder of a student that holds them, a PNG named after each step."""


def keep_sheet(folder: Path, step: int, sheet: Image.Image) -> None:
    """As it is shown."""
    place = folder / PROGRESS
    place.mkdir(exist_ok=True)
    with atomic_file(place / f"{step:07d}.png") as file:
        sheet.save(file, "PNG")


def copy_sheets(folder: Path, last: int, student: Path) -> None:
    """Those of the first `last` steps; a killed run may have come further than the one that went on."""
    shutil.rmtree(student / PROGRESS, ignore_errors=True)
    for sheet in sorted((folder / PROGRESS).glob("*.png")):
        if int(sheet.stem) <= last:
            (student / PROGRESS).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sheet, student / PROGRESS / sheet.name)
