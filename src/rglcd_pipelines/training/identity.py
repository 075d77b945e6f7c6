"""What tells one teacher or reward from every other one, without loading it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher import INDEX, NEEDED, check_folder
from rglcd_pipelines.rewards.settings import RewardConfig

COUNTED = {".json", ".safetensors", ".txt"}


def teacher_identity(config: TeacherConfig) -> dict[str, Any]:
    """Of a folder the digests of its files, so that its place does not matter; of the hub, the commit."""
    if config.source == "hub":
        return config.model_dump(exclude={"latent_factor"})
    folder = Path(config.id)
    parts = [folder / part for part in NEEDED[check_folder(folder)]]
    return {"source": "folder", INDEX: digest_file(folder / INDEX)} | _digests(folder, parts)


def reward_identity(config: RewardConfig) -> dict[str, Any]:
    """Its settings, and the digests of its folder's files if it has one here."""
    told = config.model_dump(exclude_none=True)
    folder = Path(config.id) if config.id else None
    if folder is not None and folder.is_dir():
        return {name: value for name, value in told.items() if name != "id"} | _digests(folder, [folder])
    return told


def rewards_identity(names: Mapping[str, float], catalog: Mapping[str, RewardConfig]) -> dict[str, Any]:
    """Of all that a variant asks for."""
    return {name: reward_identity(catalog[name]) for name in names if name in catalog}


def _digests(folder: Path, parts: list[Path]) -> dict[str, str]:
    files = sorted(file for part in parts for file in part.glob("*") if file.suffix in COUNTED)
    return {file.relative_to(folder).as_posix(): digest_file(file) for file in files}
