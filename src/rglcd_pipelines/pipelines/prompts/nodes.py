"""The prompts stage's nodes."""

from pathlib import Path

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.evaluation.prompts.make import make_prompts
from rglcd_pipelines.evaluation.settings import EvaluateConfig


def collect_prompts(config: EvaluateConfig, place: str) -> Artifact:
    """Every set of prompts, at `place`."""
    return make_prompts(config.sets, Path(place))


def collect_reference(config: EvaluateConfig, place: str) -> Artifact:
    """The features of the real pictures that samples are compared with, at `place`."""
    from rglcd_pipelines.evaluation.distances.reference import make_reference
    from rglcd_pipelines.training.fit import pick_device

    assert config.reference is not None
    assert config.features is not None  # the graph of an evaluation without them has no such node
    return make_reference(config.reference, config.features, pick_device(), Path(place))
