"""Which teacher is distilled; importing this imports no torch."""

from typing import Literal

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config


class TeacherConfig(Config):
    """Which model is distilled."""

    source: Literal["hub", "folder"]
    """A repository on the hub, or a folder saved by diffusers."""
    id: str
    """The repository's name (hub) or the folder's path (folder)."""
    revision: str | None = None
    """The repository's commit."""
    variant: str | None = None
    """Which of the repository's weights, such as fp16; by default those without a variant."""
    latent_factor: int = Field(default=8, ge=1)
    """How many pixels of a side one latent pixel stands for; SDXL is told sizes in pixels."""

    @model_validator(mode="after")
    def _says_which(self) -> "TeacherConfig":
        if self.source == "hub" and not self.revision:
            raise ValueError(f"revision is missing; pin {self.id} to a commit")
        if self.source == "folder" and self.revision:
            raise ValueError("revision means nothing for a folder; remove it")
        return self
