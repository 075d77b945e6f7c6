"""Parts of a finished world back in the workshop, so that a changed setting costs only what depends on it."""

import logging
import shutil
from pathlib import Path

from rglcd_pipelines.artifacts import Artifact, digest_file, draft, publish
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world import vocabulary
from rglcd_pipelines.world.folder import open_world, part
from rglcd_pipelines.world.icons import font_versions

logger = logging.getLogger(__name__)


def restock(name: str, world: Path, place: Path) -> None:
    """Copy a part from the world to its empty `place`; whether it is still the right one, its maker sees.

    The world does not keep all of the teacher and of the preferences: those are made again.
    """
    if place.exists():
        return
    try:
        whole = open_world(world)
    except DataError:
        return  # there is none, or it is damaged: the part is made
    drawn = whole.manifest["made_from"]
    if drawn.get("vocabulary") != vocabulary.digest() or drawn.get("fonts") != font_versions():
        return  # it learnt from other pictures
    kept = part(whole, name)
    if not _is_whole(kept):
        return
    manifest = dict(kept.manifest)
    kind, made_from = manifest.pop("kind"), manifest.pop("made_from")
    with draft(place, made_from) as work:
        for file in manifest["files"]:
            target = work.path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept.path / file, target)
        publish(work, place, kind, made_from, manifest, whole.manifest["parts"][name]["metrics"])
    logger.info("%s: taken from %s", place, world)


def _is_whole(kept: Artifact) -> bool:
    return all(
        (file := kept.path / name).is_file() and digest_file(file) == digest
        for name, digest in kept.manifest["files"].items()
    )
