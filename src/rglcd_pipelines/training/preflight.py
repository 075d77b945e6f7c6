"""What can be told to be impossible about a student before hours of other stages have gone by."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher_folder import check_folder
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.settings import LATENT, RewardConfig
from rglcd_pipelines.training.settings import (
    DistillConfig,
    TrajectoriesConfig,
    VariantConfig,
    samples_of_a_step,
)


def check_teacher(teacher: TeacherConfig) -> None:
    """Refuse a folder that is no teacher."""
    if teacher.source == "folder":
        check_folder(Path(teacher.id))


def check_student(
    chosen: VariantConfig,
    rewards: Mapping[str, RewardConfig],
    settings: DistillConfig,
    asked: TrajectoriesConfig,
) -> None:
    """Refuse what does not fit together, and rewards whose folder is not there."""
    samples_of_a_step(settings, chosen, asked, settings.processes)
    for name in chosen.rewards:
        config = rewards[name]
        if config.kind == LATENT:
            continue  # its stage may be about to make it
        if config.source == "folder" and config.id and not Path(config.id).is_dir():
            raise DataError(f"{config.id}: there is no such folder. Set rewards.{name}.id to one.")


def check_names(variants: Mapping[str, VariantConfig], rewards: Mapping[str, RewardConfig]) -> None:
    """Refuse a variant that asks for a reward which does not exist."""
    for name, variant in variants.items():
        for reward in variant.rewards:
            if reward not in rewards:
                near = get_close_matches(reward, rewards, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(rewards)}"
                raise ConfigError(f"variants.{name}.reward: there is no reward {reward!r}; {hint}")
