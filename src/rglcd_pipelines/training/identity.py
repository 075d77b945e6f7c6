"""What tells one teacher or reward from every other one, without loading it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher_folder import INDEX, NEEDED, check_folder
from rglcd_pipelines.rewards.settings import Place, RewardConfig

COUNTED = {".json", ".safetensors", ".txt", ".model"}


def teacher_identity(config: TeacherConfig) -> dict[str, Any]:
    """Of a folder the digests of its files, so that its place does not matter; of the hub, the commit."""
    if config.source == "hub":
        return config.model_dump(exclude={"latent_factor"})
    folder = Path(config.id)
    parts = [folder / part for part in NEEDED[check_folder(folder)]]
    return {"source": "folder", INDEX: digest_file(folder / INDEX)} | _digests(folder, parts)


def reward_identity(config: RewardConfig) -> dict[str, Any]:
    """Its settings; whatever lies in a folder by its digests, so that its place does not matter."""
    told = config.model_dump(exclude_none=True, exclude={"tokenizer", "clip"})
    if config.own:
        return told
    beside = {"tokenizer": config.tokenizer, "clip": config.clip}
    return told | _place(config) | {name: _place(place) for name, place in beside.items() if place}


def _place(place: Place) -> dict[str, Any]:
    if place.source == "hub":
        return place.model_dump(include={"source", "id", "revision", "file"})
    folder = Path(place.id)
    if place.file is not None and (folder / place.file).is_file():  # who loads it says that it is missing
        return {"source": "folder", "id": "", place.file: digest_file(folder / place.file)}
    return {"source": "folder", "id": ""} | _digests(folder, [folder])


def rewards_identity(names: Mapping[str, float], catalog: Mapping[str, RewardConfig]) -> dict[str, Any]:
    """Of all that a variant asks for."""
    return {name: reward_identity(catalog[name]) for name in names if name in catalog}


def _digests(folder: Path, parts: list[Path]) -> dict[str, str]:
    files = sorted(file for part in parts for file in part.glob("*") if file.suffix in COUNTED)
    return {file.relative_to(folder).as_posix(): digest_file(file) for file in files}
