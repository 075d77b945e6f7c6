"""What tells one reward model from every other one, without loading it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.rewards.settings import Place, RewardConfig

COUNTED = {".json", ".safetensors", ".txt", ".model"}
"""Of what lies in a folder, what a model is loaded from."""


def place_identity(place: Place) -> dict[str, Any]:
    """Of a folder the digests of its files, so that its place does not matter; of the hub, the commit."""
    if place.source == "hub":
        return place.model_dump(include={"source", "id", "revision", "file"})
    folder = Path(place.id)
    if place.file is not None and (folder / place.file).is_file():  # who loads it says that it is missing
        return {"source": "folder", "id": "", place.file: digest_file(folder / place.file)}
    return {"source": "folder", "id": ""} | folder_digests(folder, [folder])


def reward_identity(config: RewardConfig) -> dict[str, Any]:
    """Its settings, and what lies where they say; not what it may cost, nor where answers are kept."""
    told = config.model_dump(exclude_none=True, exclude={"tokenizer", "clip", "judge"})
    if config.judge is not None:
        told["judge"] = config.judge.identity
    if config.own or not config.id:
        return told
    beside = {"tokenizer": config.tokenizer, "clip": config.clip}
    return told | place_identity(config) | {n: place_identity(place) for n, place in beside.items() if place}


def rewards_identity(names: Mapping[str, float], catalog: Mapping[str, RewardConfig]) -> dict[str, Any]:
    """Of all that a variant asks for."""
    return {name: reward_identity(catalog[name]) for name in names if name in catalog}


def folder_digests(folder: Path, parts: Sequence[Path]) -> dict[str, str]:
    """The digests of the files in some folders, by their names within `folder`."""
    files = sorted(file for part in parts for file in part.glob("*") if file.suffix in COUNTED)
    return {file.relative_to(folder).as_posix(): digest_file(file) for file in files}
