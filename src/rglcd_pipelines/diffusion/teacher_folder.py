"""Which folders are teachers; importing this imports no torch."""

import json
from difflib import get_close_matches
from pathlib import Path

from rglcd_pipelines.errors import DataError, first_line

INDEX = "model_index.json"
SCHEDULER = "scheduler/scheduler_config.json"
KINDS = {"StableDiffusionPipeline": "sd", "StableDiffusionXLPipeline": "sdxl"}
NEEDED = {
    "sd": ("unet", "text_encoder", "tokenizer", "scheduler"),
    "sdxl": ("unet", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"),
}


def check_folder(folder: Path) -> str:
    """Which kind of teacher the folder holds, with every part that is needed of it."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: there is no such folder{_nearest(folder)}. Set teacher.id to one that exists."
        )
    index = folder / INDEX
    if not index.is_file():
        raise DataError(f"{folder}: holds no {INDEX}, so it is no pipeline of diffusers. Check teacher.id.")
    try:
        name = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{index}: cannot be read ({first_line(error)}). Fetch or save it again.") from None
    if name not in KINDS:
        raise DataError(f"{index}: describes a {name}; teachers are {' and '.join(KINDS)}. Check teacher.id.")
    kind = KINDS[name]
    for part in NEEDED[kind]:
        if not (folder / part).is_dir():
            raise DataError(f"{folder / part}: is missing. A {name} has one: fetch or save it again.")
    return kind


def _nearest(folder: Path) -> str:
    """The folder beside it whose name is nearest, if one is near."""
    beside = (
        [other.name for other in folder.parent.iterdir() if other.is_dir()] if folder.parent.is_dir() else []
    )
    near = get_close_matches(folder.name, beside, n=1)
    return f"; the nearest is {folder.parent / near[0]}" if near else ""
