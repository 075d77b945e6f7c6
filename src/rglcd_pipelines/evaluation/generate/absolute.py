"""Places of models for workers that were started in another folder, as those of a Ray cluster are."""

from pathlib import Path
from typing import TypeVar

from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.vae import VaeConfig
from rglcd_pipelines.rewards.settings import Place, RewardConfig

Placed = TypeVar("Placed", bound=TeacherConfig | VaeConfig | Place)


def absolute(config: Placed) -> Placed:
    """The same, for a worker that was started in another folder."""
    if config.source != "folder" or not config.id:
        return config
    return config.model_copy(update={"id": str(Path(config.id).absolute())})


def absolute_reward(config: RewardConfig) -> RewardConfig:
    """The same of a reward and of all that lies beside it; what own classes are told is their own affair."""
    changed: dict[str, object] = {
        name: absolute(place)
        for name, place in (("tokenizer", config.tokenizer), ("clip", config.clip))
        if place is not None
    }
    if config.judge is not None:
        cache = str(Path(config.judge.cache).absolute())
        changed["judge"] = config.judge.model_copy(update={"cache": cache})
    if config.architecture.endswith(".json"):
        changed["architecture"] = str(Path(config.architecture).absolute())
    return absolute(config).model_copy(update=changed)
