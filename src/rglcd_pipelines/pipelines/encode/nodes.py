"""The encode stage's node."""

from pathlib import Path

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.latents.encode import encode
from rglcd_pipelines.data.latents.settings import EncodeConfig


def encode_pairs(pairs: Artifact, config: EncodeConfig, place: str) -> Artifact:
    """Latents of every pair, at `place`."""
    return encode(pairs, config, Path(place))
