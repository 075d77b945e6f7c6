"""What tells features, and the real pictures, from all others, without loading them."""

from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import digest_file, digest_json
from rglcd_pipelines.evaluation.distances.pictures import picture_files, shard_files
from rglcd_pipelines.evaluation.distances.settings import FeaturesConfig, ReferenceConfig
from rglcd_pipelines.rewards.identity import place_identity
from rglcd_pipelines.world.sets import REFERENCE

FORMAT = 1
"""Raised when the same settings give other features."""


def features_identity(config: FeaturesConfig | None) -> dict[str, Any] | None:
    """Their settings, and what lies where they say; not how many pictures are looked at together."""
    if config is None:
        return None
    told = {"format": FORMAT, **config.model_dump(include={"kind", "size", "options"})}
    return told if config.own else told | place_identity(config)


def reference_identity(config: ReferenceConfig | None) -> dict[str, Any] | None:
    """Of files of pictures their names and sizes: to read all of MS-COCO takes minutes."""
    if config is None:
        return None
    told: dict[str, Any] = {"kind": config.kind, "count": config.count}
    folder = Path(config.path)
    if config.kind == "world":
        file = folder / REFERENCE
        # Who reads it says that it is missing.
        return told | {"digest": digest_file(file) if file.is_file() else None}
    files = picture_files(folder) if config.kind == "folder" else shard_files(folder)
    sizes = [(file.relative_to(folder).as_posix(), file.stat().st_size) for file in files]
    return told | {"digest": digest_json(sizes)}
