"""The finished world: one folder with every model and set that later stages build on, and what must be in it.

Light to import: every run that builds on a world has it checked first.
"""

import logging
import shutil
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rglcd_pipelines.artifacts import (
    MANIFEST,
    Artifact,
    canonical_json,
    digest_file,
    draft,
    open_artifact,
    publish,
)
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world import vocabulary
from rglcd_pipelines.world.icons import font_versions

if TYPE_CHECKING:
    from rglcd_pipelines.world.figures import FiguresConfig

FORMAT = 1
COMMITTED = Path("data/06_models/base/world")
"""Where the world stands that git keeps."""
MAX_BYTES = 40_000_000
CARD = "README.md"
KEPT = ("clip", "judge", "teacher", "hps", "pick", "imgrwd", "sets")
"""The parts that stay, each in a folder of its name. The autoencoder is in the teacher's."""
PREFERENCES = "preferences"
"""Some of the held-out pairs, to measure the stand-ins with."""
LEFT_OUT = ("early",)
"""What was only needed on the way: the teacher's weights while it learnt."""

logger = logging.getLogger(__name__)


def make_world(
    parts: Mapping[str, Artifact],
    settings: Mapping[str, Any],
    formats: Mapping[str, int],
    figures: "FiguresConfig",
    place: Path,
) -> Artifact:
    """All `parts` in one folder at `place`, measured there, with a card that tells the figures."""
    if ready := finished(place, settings, formats):
        return ready
    from rglcd_pipelines.world.card import write_card
    from rglcd_pipelines.world.figures import measure
    from rglcd_pipelines.world.kept_pairs import keep_pairs

    logger.info("%s: putting the world together and measuring it", place)
    made_from = _made_from(settings, formats)
    with draft(place, made_from) as work:
        for name in KEPT:
            _copy(parts[name].path, work.path / name)
        (work.path / PREFERENCES).mkdir(exist_ok=True)
        keep_pairs(parts[PREFERENCES].path, work.path / PREFERENCES)
        size = _check_size(work.path)
        files = {file: digest_file(work.path / file) for file in _files(work.path)}
        body = {
            "files": files,
            "bytes": size,
            "parts": {
                name: {"manifest": part.manifest, "metrics": part.metrics} for name, part in parts.items()
            },
            "measured": figures.model_dump(),
            "figures": measure(work.path, figures),
        }
        (work.path / CARD).write_text(write_card(body), encoding="utf-8")
        seconds = sum(part.metrics.get("seconds", 0.0) for part in parts.values())
        metrics = {"bytes": size, "seconds": round(seconds, 1), **body["figures"]}
        if _is_committed(place) and place.is_dir():
            logger.warning("%s: takes the place of the world that git keeps. %s", place, _restore(place))
        return publish(work, place, "world", made_from, body, metrics)


def finished(place: Path, settings: Mapping[str, Any], formats: Mapping[str, int]) -> Artifact | None:
    """The world at `place`, if it is whole and was made with these settings by this code."""
    try:
        manifest = _opened(place).manifest
    except DataError:
        if _is_committed(place) and place.is_dir():
            raise  # putting it back takes a second, and making it anew hours
        return None
    # Not the parts' digests: who has the world need not have all that it was made from.
    if canonical_json(manifest.get("made_from")) != canonical_json(_made_from(settings, formats)):
        return None
    try:
        return Artifact(place, open_world(place).manifest, reused=True)
    except DataError:
        if _is_committed(place):
            raise
        return None  # it is put together again from its parts


def part(world: Artifact, name: str) -> Artifact:
    """The handle of a part as it stands in a finished world."""
    folder = world.path / ("teacher/vae" if name == "autoencoder" else name)
    return Artifact(folder, world.manifest["parts"][name]["manifest"], reused=True)


def open_world(place: Path) -> Artifact:
    """The finished world at `place`, every file of which is there and as it was written."""
    restore = _restore(place)
    if not (place / MANIFEST).is_file():
        raise DataError(f"{place / MANIFEST}: is missing, so there is no miniature world. {restore}")
    world = _opened(place)
    for name, digest in world.manifest["files"].items():
        file = place / name
        if not file.is_file():
            raise DataError(f"{file}: is missing. {restore}")
        facts = file.stat()
        if _digest(file.resolve(), facts.st_size, facts.st_mtime_ns) != digest:
            raise DataError(f"{file}: is not what was written: its digest differs. {restore}")
    return world


def _opened(place: Path) -> Artifact:
    try:
        world = open_artifact(place, "world")
    except DataError:
        raise DataError(f"{place / MANIFEST}: cannot be read. {_restore(place)}") from None
    if lacking := sorted({"made_from", "files", "parts", "figures"} - set(world.manifest)):
        raise DataError(f"{place / MANIFEST}: lacks {lacking[0]}. {_restore(place)}")
    return world


@lru_cache(maxsize=1024)
def _digest(file: Path, size: int, changed: int) -> str:  # noqa: ARG001  (what tells that a file was changed)
    return digest_file(file)


def _restore(place: Path) -> str:
    if _is_committed(place):
        return f"Restore it: git checkout -- {COMMITTED.as_posix()}"
    run = "kedro run --pipeline=world"
    if place.parent.parent.resolve() == COMMITTED.parent.parent.resolve():
        run += f" --env={place.parent.name}"
    return f"Put the world together again: {run}"


def _is_committed(place: Path) -> bool:
    return place.resolve() == COMMITTED.resolve()


def _made_from(settings: Mapping[str, Any], formats: Mapping[str, int]) -> dict[str, Any]:
    """How it is measured trains nothing, so it does not count."""
    counted = {name: value for name, value in settings.items() if name != "figures"}
    return {
        "format": FORMAT,
        "settings": counted,
        "formats": dict(formats),
        "vocabulary": vocabulary.digest(),
        "fonts": font_versions(),
    }


def _copy(part: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)  # of a run that was killed while it copied
    shutil.copytree(part, target, ignore=shutil.ignore_patterns(*LEFT_OUT, MANIFEST))


def _files(folder: Path) -> list[str]:
    """Every file but the manifest and the card, which people may want to edit."""
    found = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return sorted(name for name in found if name not in (MANIFEST, CARD))


def _check_size(folder: Path) -> int:
    sizes = {name: (folder / name).stat().st_size for name in _files(folder)}
    total = sum(sizes.values())
    if total > MAX_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise DataError(
            f"{folder}: has {total / 1e6:.1f} MB, more than the {MAX_BYTES / 1e6:.0f} MB that git may keep; "
            f"the largest file is {largest} with {sizes[largest] / 1e6:.1f} MB. Make that model smaller."
        )
    return total
