"""The recipe's nodes: every part is made in the workshop, unless the finished world has it already.

They import what they call when they run: all of it imports torch.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check

Settings = dict[str, Any]

SHEET = "world.png"
DRAWN_FROM = "world"
"""Under which the picture's file holds the digest of the world that it shows."""

logger = logging.getLogger(__name__)


def part_maker(name: str, needs: list[str]) -> Callable[..., Artifact]:
    """The node that makes one part from others, which it is given in the order of `needs`."""

    def make(settings: Settings, workshop: str, world: str, *made: Artifact) -> Artifact:
        from rglcd_pipelines.pipelines.world.config import WorldConfig
        from rglcd_pipelines.pipelines.world.recipe import FORMATS, make_part
        from rglcd_pipelines.world.folder import finished, part
        from rglcd_pipelines.world.restock import restock

        config = check(WorldConfig, settings, "world")
        if whole := finished(Path(world), config.model_dump(), FORMATS):
            return part(whole, name)
        place = Path(workshop, name)
        restock(name, Path(world), place)
        return make_part(name, config, dict(zip(needs, made, strict=True)), place)

    make.__name__ = make.__qualname__ = f"make_{name}"
    return make


def assembler(parts: list[str]) -> Callable[..., Artifact]:
    """The node that puts all parts into one folder."""

    def assemble(settings: Settings, world: str, *made: Artifact) -> Artifact:
        from rglcd_pipelines.pipelines.world.config import WorldConfig
        from rglcd_pipelines.pipelines.world.recipe import FORMATS
        from rglcd_pipelines.world.folder import make_world

        config = check(WorldConfig, settings, "world")
        place = Path(world)
        whole = make_world(
            dict(zip(parts, made, strict=True)), config.model_dump(), FORMATS, config.figures, place
        )
        if whole.reused:
            logger.info("%s: the world is there already; nothing to do (to make it anew, remove it)", place)
        return whole

    return assemble


def picture(world: Artifact, reporting: str) -> Image.Image:
    """The world, to look at: drawn once, for another machine would draw other last bits of it."""
    place = Path(reporting, SHEET)
    if place.is_file():
        with Image.open(place) as there:
            if there.info.get(DRAWN_FROM) == world.digest:
                there.load()
                return there
    from rglcd_pipelines.world.sheet import draw_world

    sheet = draw_world(world.path, world.manifest["measured"]["steps"])
    sheet.info[DRAWN_FROM] = world.digest
    return sheet
