"""MS-COCO's captions of val2014: one of each image, as FID-30K draws them."""

from pathlib import Path
from typing import Any

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.prompts.entry import Entry, Mistake, refuse
from rglcd_pipelines.evaluation.prompts.files import read_json

IMAGES = 40_504
"""Of val2014."""


def read_coco(file: Path, images: int = IMAGES) -> list[Entry]:
    """The caption of each image that was written first, in the order of the images' numbers."""
    annotations = _annotations(file)
    first: dict[int, tuple[int, str, str]] = {}
    for number, (image, caption, text) in enumerate(annotations, 1):
        if text.strip():
            candidate = (caption, f"annotation {number}", text)
            first[image] = min(first.get(image, candidate), candidate)
    if len(first) != images:
        raise DataError(
            f"{file}: has captions of {len(first):,} images, and val2014 of {images:,}. Fetch it "
            "again; count takes fewer of them, and kind: file reads a list of your own."
        )
    return [Entry(place, text, name=f"{image:012d}") for image, (_, place, text) in sorted(first.items())]


def _annotations(file: Path) -> list[tuple[int, int, str]]:
    """Image, caption and text of each."""
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise DataError(
            f"{file}: has no list `annotations`, as captions_val2014.json has. Check that it is this file."
        )
    found = [_annotation(value) for value in content["annotations"]]
    odd = [
        Mistake(f"annotation {number}", "lacks image_id, id or caption; fetch the file again")
        for number, one in enumerate(found, 1)
        if one is None
    ]
    if odd:
        raise refuse(file, odd)
    return [one for one in found if one is not None]


def _annotation(value: Any) -> tuple[int, int, str] | None:
    match value:
        case {"image_id": int(image), "id": int(caption), "caption": str(text)} if image >= 0:
            return image, caption, text
        case _:
            return None
