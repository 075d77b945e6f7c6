"""Class names and the captions they are put into: open_clip's for ImageNet, or those of a file."""

import json
from pathlib import Path
from typing import Any

from rglcd_pipelines.errors import DataError

GAP = "{}"
"""Where a template has the class's name."""


def class_names(classes: str) -> list[str]:
    """The names of classes 0, 1, …"""
    if classes == "imagenet":
        from open_clip import IMAGENET_CLASSNAMES

        return list(IMAGENET_CLASSNAMES)
    return _read(Path(classes), "lrm.zero_shot.classes")


def caption_templates(templates: str) -> list[str]:
    """Captions with a gap for the name."""
    if templates in ("openai", "simple"):
        import open_clip

        known: Any = {
            "openai": open_clip.OPENAI_IMAGENET_TEMPLATES,
            "simple": open_clip.SIMPLE_IMAGENET_TEMPLATES,
        }
        return [template(GAP) for template in known[templates]]
    found = _read(Path(templates), "lrm.zero_shot.templates")
    if without := [text for text in found if GAP not in text]:
        raise DataError(
            f"lrm.zero_shot.templates: {templates} holds {without[0]!r}, which has no {GAP} for the class's "
            "name. Put one into each template."
        )
    return found


def filled(template: str, name: str) -> str:
    """The caption; other braces in it are left alone."""
    return template.replace(GAP, name)


def _read(file: Path, parameter: str) -> list[str]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{parameter}: {file} cannot be read ({error.strerror}). Check the path.") from None
    except ValueError as error:
        raise DataError(f"{parameter}: {file} is no JSON ({error}). Make it a list of strings.") from None
    if not isinstance(found, list) or not found:
        raise DataError(f"{parameter}: {file} holds no list, or an empty one. Make it a list of strings.")
    for number, text in enumerate(found):
        if not isinstance(text, str) or not text.strip():
            raise DataError(
                f"{parameter}: {file} has {json.dumps(text)[:40]} at {number}, no string with words. "
                "Make it a list of strings."
            )
    return found
