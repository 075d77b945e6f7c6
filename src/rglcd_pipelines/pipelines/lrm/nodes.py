"""The lrm stage's nodes; they import what they call when they run: most of it imports torch."""

from pathlib import Path

from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.labelled.make import make_labelled
from rglcd_pipelines.data.labelled.settings import LabelledConfig
from rglcd_pipelines.data.labelled.source import LabelledSource, open_source
from rglcd_pipelines.data.latents.encode import encode
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.training.lrm_settings import LrmConfig
from rglcd_pipelines.training.pretrain_job import PretrainJob


def embed_captions(latents: Artifact, config: LrmConfig, place: str) -> Artifact:
    """What the frozen text tower says of every caption, at `place`."""
    from rglcd_pipelines.latent_reward.captions import make_captions

    return make_captions(config.text, latents, Path(place))


def resolve_lrm(
    config: LrmConfig, places: dict[str, str], _latents: Artifact, _captions: Artifact
) -> PretrainJob:
    """Everything that the pretraining needs to know, in one file that needs no Kedro."""
    return PretrainJob(
        text=config.text,
        tower=config.tower,
        settings=config.pretrain,
        latents=places["latents"],
        captions=places["captions"],
        place=places["lrm"],
    )


def pretrain(job: PretrainJob, _latents: Artifact, _captions: Artifact) -> Artifact:
    """The pretrained model."""
    from rglcd_pipelines.training.launch import run

    return run(job)


def collect_labelled(config: LrmConfig, hub: str, place: str) -> Artifact:
    """The labelled set as shards at `place`."""
    from rglcd_pipelines.latent_reward.zero_shot_texts import class_names

    source = _source(config.zero_shot.set, Path(hub))
    return make_labelled(source, len(class_names(config.zero_shot.classes)), Path(place))


def _source(config: LabelledConfig, hub: Path) -> LabelledSource:
    if config.source == "world":
        from rglcd_pipelines.world.zero_shot_source import WorldZeroShotSource

        return WorldZeroShotSource(Path(config.path or ""))
    return open_source(config, hub)


def encode_labelled(labelled: Artifact, config: EncodeConfig, place: str) -> Artifact:
    """Its latents, made as those of the pairs."""
    return encode(labelled, config, Path(place))


def check_zero_shot(lrm: Artifact, latents: Artifact, config: LrmConfig, place: str) -> Artifact:
    """How many classes the model finds by their names alone; below the floor, the run ends."""
    from rglcd_pipelines.latent_reward.folder import load
    from rglcd_pipelines.latent_reward.zero_shot import make_zero_shot
    from rglcd_pipelines.training.fit import pick_device

    return make_zero_shot(
        lrm, lambda: load(lrm.path)[0].suit(pick_device()), latents, config.zero_shot, Path(place)
    )


def picture_zero_shot(zero_shot: Artifact) -> Image.Image:
    """Which classes it takes for which."""
    from rglcd_pipelines.latent_reward.confusion import draw_confusion
    from rglcd_pipelines.latent_reward.zero_shot import read_confusion

    confusion, classes = read_confusion(zero_shot)
    figures = zero_shot.manifest["figures"]
    return draw_confusion(confusion, classes, figures["top1"], figures["top5"])
