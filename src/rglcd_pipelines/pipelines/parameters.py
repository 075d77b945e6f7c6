"""The whole parameter tree: what YAML and `--params` may say, checked before the first node runs."""

from rglcd_pipelines.config import Config
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.pipelines.ingest.config import IngestConfig


class Places(Config):
    """Where each stage leaves what it made, from globals.yml."""

    hub: str
    """Shards of the hub's repositories, as downloaded; the environments share them."""
    raw: str
    """Renders, and what was downloaded from a list of URLs."""
    pairs: str
    """Clean shards of images and captions."""
    latents: str
    """The autoencoder's latents of the pairs."""
    reporting: str
    """What there is to look at: pictures, reports, and what Great Expectations found."""


class Globals(Config):
    """What globals.yml may say."""

    places: Places
    """Where each stage leaves what it made."""


class Parameters(Config):
    """Every parameter there is."""

    places: Places
    """Where each stage leaves what it made."""
    ingest: IngestConfig
    """From a source to clean pairs."""
    encode: EncodeConfig
    """From pairs to latents."""
