"""The whole parameter tree: what YAML and `--params` may say, checked before the first node runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.pipelines.ingest.config import IngestConfig
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.lrm_settings import LrmConfig, MatchingConfig
from rglcd_pipelines.training.preflight import check_names
from rglcd_pipelines.training.publishing import PublishConfig
from rglcd_pipelines.training.settings import DistillConfig, TrajectoriesConfig, VariantConfig, choose


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
    trajectories: str
    """The teacher's answers to every step's draws."""
    captions: str
    """What the latent reward model's text tower says of every caption."""
    jobs: str
    """What each student's training was told: a JSON file each."""
    real_rewards: str
    """What experts say of real images, kept for all students."""
    labelled: str
    """The labelled images of the zero-shot check."""
    labelled_latents: str
    """Their latents."""
    lrm: str
    """The latent reward model, as pretrained."""
    zero_shot: str
    """What it knows of the labelled images."""
    students: str
    """The distilled models, a folder for each variant."""
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
    teacher: TeacherConfig
    """The slow model that is distilled."""
    trajectories: TrajectoriesConfig
    """What the teacher is asked, once for all students."""
    variant: str
    """Which student: a name among `variants`."""
    variants: dict[str, VariantConfig]
    """Every student there is, by name."""
    rewards: dict[str, RewardConfig]
    """Every reward model that variants may name."""
    distill: DistillConfig
    """How a student learns, whatever its reward."""
    lrm: LrmConfig
    """The latent reward model before any expert."""
    matching: MatchingConfig
    """How it follows an expert, beside a student that follows it."""
    publish: PublishConfig
    """Where a student is published."""
    world: dict[str, Any]
    """How the miniature world is made: a WorldConfig, checked where it is used: its import takes seconds."""

    @model_validator(mode="after")
    def _names_are_there(self) -> "Parameters":
        choose(self.variant, self.variants)
        check_names(self.variants, self.rewards)
        return self


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
