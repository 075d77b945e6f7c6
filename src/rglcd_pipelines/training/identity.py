"""What tells one teacher from every other one, without loading it."""

from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher_folder import INDEX, NEEDED, check_folder
from rglcd_pipelines.rewards.identity import folder_digests


def teacher_identity(config: TeacherConfig) -> dict[str, Any]:
    """Of a folder the digests of its files, so that its place does not matter; of the hub, the commit."""
    if config.source == "hub":
        return config.model_dump(exclude={"latent_factor"})
    folder = Path(config.id)
    parts = [folder / part for part in NEEDED[check_folder(folder)]]
    return {"source": "folder", INDEX: digest_file(folder / INDEX)} | folder_digests(folder, parts)
