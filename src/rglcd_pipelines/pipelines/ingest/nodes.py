"""The ingest stage's nodes: the chosen source, cleaned, and a picture of what came out."""

from itertools import islice
from pathlib import Path

from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.images import decode
from rglcd_pipelines.data.pairs.clean import clean
from rglcd_pipelines.data.pairs.folder import Pairs
from rglcd_pipelines.data.pairs.sheet import draw_sheet
from rglcd_pipelines.data.sources import Source
from rglcd_pipelines.pipelines.ingest.config import IngestConfig

SHOWN = 24


def ingest(config: IngestConfig, place: str, raw: str, hub: str) -> Artifact:
    """Clean pairs at `place`; what has to be rendered or downloaded first goes to `raw`, or to `hub`."""
    return clean(_source(config, Path(raw), Path(hub)), config.clean, Path(place))


def picture(artifact: Artifact) -> Image.Image:
    """The first pairs, to look at."""
    pairs = Pairs(artifact)
    rules = artifact.manifest["made_from"]["rules"]
    return draw_sheet(
        [
            (
                decode(sample.image or b"", rules["max_pixels"], rules["transparency"]),
                (sample.caption or b"").decode(),
            )
            for sample in islice(pairs.read(0), SHOWN)
        ]
    )


def _source(config: IngestConfig, raw: Path, hub: Path) -> Source:
    """The source that the settings name; that its section is there was checked with them."""
    if config.source == "world":
        from rglcd_pipelines.world.pairs import WorldSource

        assert config.world is not None
        return WorldSource(config.world, raw)
    if config.source == "shards":
        from rglcd_pipelines.data.sources.shards import ShardsSource

        assert config.shards is not None
        return ShardsSource(config.shards, hub)
    from rglcd_pipelines.data.sources.urls.source import UrlsSource

    assert config.urls is not None
    return UrlsSource(config.urls, raw)
