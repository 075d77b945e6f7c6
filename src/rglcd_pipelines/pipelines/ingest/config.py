"""The ingest stage's parameters: which source, and how its pairs are cleaned."""

from typing import Literal

from pydantic import model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.data.pairs.clean import CleanConfig
from rglcd_pipelines.data.sources.shards import ShardsConfig
from rglcd_pipelines.data.sources.urls.source import UrlsConfig
from rglcd_pipelines.world.pairs import WorldPairs


class IngestConfig(Config):
    """From a source to clean pairs."""

    source: Literal["world", "shards", "urls"]
    """Where pairs come from: the renderer, shards that exist, or URLs to download."""
    world: WorldPairs | None = None
    """The renderer, for `source: world`."""
    shards: ShardsConfig | None = None
    """Shards of a folder or of the hub, for `source: shards`."""
    urls: UrlsConfig | None = None
    """A list of URLs, for `source: urls`."""
    clean: CleanConfig
    """What is kept, and how it is written."""

    @model_validator(mode="after")
    def _the_source_is_described(self) -> "IngestConfig":
        if getattr(self, self.source) is None:
            raise ValueError(
                f"source is {self.source}, but there is no section `{self.source}` that describes it"
            )
        return self

    @model_validator(mode="after")
    def _the_rules_let_the_world_through(self) -> "IngestConfig":
        smallest = self.clean.rules.min_side
        if self.source == "world" and self.world and self.world.resolution < smallest:
            raise ValueError(
                f"clean.rules.min_side is {smallest}, so every image of world.resolution "
                f"{self.world.resolution} would be rejected; lower the one or raise the other"
            )
        return self
