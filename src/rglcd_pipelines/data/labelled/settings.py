"""Where a labelled set comes from; importing this imports no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.data.sources.shards import ShardsConfig


class LabelledConfig(Config):
    """A labelled set: that of the miniature world, or one such as ImageNet's validation set."""

    source: Literal["world", "folder", "shards"]
    """The world's own set, a folder with a sub-folder for each class, or webdataset shards with `.cls`."""
    path: str | None = None
    """The folder: its sub-folders in the order of their names are classes 0, 1, …; or the world's sets."""
    shards: ShardsConfig | None = None
    """Shards of this machine or of the hub, for `source: shards`."""
    per_class: int | None = Field(default=None, ge=1)
    """The most images of a class, the first that there are; null takes all of a folder or of shards."""

    @model_validator(mode="after")
    def _the_source_is_described(self) -> Self:
        if self.source == "folder" and not self.path:
            raise ValueError("source is folder, but path is missing; say where the classes' sub-folders are")
        if self.source == "world" and not self.path:
            raise ValueError("source is world, but path is missing; say where the world's sets are")
        if self.source == "shards" and self.shards is None:
            raise ValueError("source is shards, but there is no section `shards` that describes them")
        if self.source == "world" and self.per_class is not None:
            raise ValueError("per_class is for folders and shards; the world's set is small: remove it")
        return self
