"""The settings of the zero-shot check; importing this imports no torch."""

from typing import Self

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.data.labelled.settings import LabelledConfig

TEMPLATES = ("openai", "simple")


class ZeroShotConfig(Config):
    """How a latent reward model is checked: by the classes that it finds from their names alone."""

    set: LabelledConfig
    """The labelled images whose latents it looks at."""
    classes: str
    """The names of the classes: imagenet for those that open_clip has, or a JSON file with a list of them."""
    templates: str
    """Captions that a name is put into: openai for 80 of open_clip's, simple for 7, or a JSON file."""
    floor: float = Field(ge=0, le=1)
    """The least share of images whose class must be found; below it the model is not used."""
    batch_size: int = Field(default=256, ge=1)
    """Latents that are looked at at once."""
    progress: bool = True
    """Whether progress bars are shown."""

    @model_validator(mode="after")
    def _names_are_known_or_files(self) -> Self:
        for name, value, known in (
            ("classes", self.classes, ("imagenet",)),
            ("templates", self.templates, TEMPLATES),
        ):
            if value not in known and not value.endswith(".json"):
                raise ValueError(
                    f"{name} is {value!r}; give {' or '.join(known)}, or a file that ends in .json"
                )
        return self
