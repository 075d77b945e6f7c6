"""The whole parameter tree: what YAML and `--params` may say, checked before the first node runs."""

from collections.abc import Iterator, Mapping
from typing import Any

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
    workshop: str
    """The parts of a miniature world in the making; once it stands, nobody needs them."""
    world: str
    """The miniature world's models and sets; those of the environment `base` are in git."""
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
    world: dict[str, Any]
    """How the miniature world is made: a WorldConfig, checked where it is used: its import takes seconds."""


def data_paths(value: Any) -> Iterator[str]:
    """Every string in a tree of parameters that names a path inside `data/`."""
    if isinstance(value, str):
        if value.startswith("data/"):
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from data_paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from data_paths(inner)
