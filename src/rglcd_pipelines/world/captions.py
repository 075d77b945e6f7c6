"""From captions back to scenes."""

import re
from functools import lru_cache
from typing import Any

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world.scenes import PHRASINGS, Scene
from rglcd_pipelines.world.vocabulary import ATTRIBUTES, stands_out

_GROUPS = {name: f"(?P<{name}>{'|'.join(map(re.escape, values))})" for name, values in ATTRIBUTES.items()}
_PATTERNS = [re.compile(phrasing.format_map(_GROUPS)) for phrasing in PHRASINGS]


@lru_cache(maxsize=65_536)
def parse_caption(caption: str) -> Scene:
    """The scene that a caption of the world tells; captions leave out the shift, so it has none."""
    for phrasing, pattern in enumerate(_PATTERNS):
        if told := pattern.fullmatch(caption):
            values: dict[str, Any] = told.groupdict()
            scene = Scene(**values, phrasing=phrasing)
            if not stands_out(scene.colour, scene.background_colour):
                raise DataError(
                    f"{caption!r}: {scene.colour} does not stand out on {scene.background_colour}, so the "
                    "miniature world draws no such picture. Choose another pair of colours."
                )
            return scene
    raise DataError(
        f"{caption!r}: is no caption of the miniature world. Its captions are made of one of these, word for "
        f"word: {'; '.join(PHRASINGS)}. {_told()}"
    )


def _told() -> str:
    """What may stand in for each attribute."""
    return ". ".join(f"{name}: {', '.join(values)}" for name, values in ATTRIBUTES.items()) + "."
