"""What can be told to be impossible about a student before hours of other stages have gone by."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher_folder import check_folder
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.latent_reward.zero_shot_texts import caption_templates, class_names
from rglcd_pipelines.rewards.judge.client import read_key
from rglcd_pipelines.rewards.settings import LATENT, UNFOLLOWED, RewardConfig
from rglcd_pipelines.training.job import antialiased
from rglcd_pipelines.training.lrm_settings import LrmConfig, MatchingConfig, check_matching, check_pretraining
from rglcd_pipelines.training.settings import (
    DistillConfig,
    TrajectoriesConfig,
    VariantConfig,
    samples_of_a_step,
)
from rglcd_pipelines.training.watch_prompts import read_prompts
from rglcd_pipelines.training.watch_settings import check_watch


def check_teacher(teacher: TeacherConfig) -> None:
    """Refuse a folder that is no teacher."""
    if teacher.source == "folder":
        check_folder(Path(teacher.id))


def check_student(
    chosen: VariantConfig,
    rewards: Mapping[str, RewardConfig],
    settings: DistillConfig,
    asked: TrajectoriesConfig,
    matching: MatchingConfig,
) -> None:
    """Refuse what does not fit together, rewards whose folder is not there, and judges without a key."""
    samples = samples_of_a_step(settings, chosen, asked, settings.processes)
    if chosen.lrm:
        check_matching(matching, samples, settings.processes, settings.steps)
    antialiased(chosen, rewards)
    for name in chosen.rewards:
        if rewards[name].kind in UNFOLLOWED:
            _check_followed(name, chosen, matching)
    watch = settings.watch
    check_watch(watch, chosen.rewards, rewards)
    if watch.every is not None and watch.path is not None:
        read_prompts(Path(watch.path), watch.prompts)
    held_out = watch.held_out(chosen.rewards) if watch.every is not None else []
    _check_rewards({name: rewards[name] for name in [*chosen.rewards, *held_out]})


def _check_rewards(rewards: Mapping[str, RewardConfig]) -> None:
    """Refuse those whose folder is not there, and judges without a key."""
    for name, config in rewards.items():
        if config.kind == LATENT:
            continue  # its stage may be about to make it
        if config.judge is not None:
            read_key(name, config.judge)
        if config.source == "folder" and config.id and not Path(config.id).is_dir():
            raise DataError(f"{config.id}: there is no such folder. Set rewards.{name}.id to one.")


def _check_followed(name: str, chosen: VariantConfig, matching: MatchingConfig) -> None:
    """Refuse a student that cannot follow a reward of that kind."""
    if not chosen.lrm:
        raise ConfigError(
            f"rewards.{name}: is not differentiable, so a student cannot follow it. A latent reward model "
            "can follow it, and the student that: set lrm to true in the variant."
        )
    if chosen.tau_expert is None and matching.tau_expert is None:
        raise ConfigError(
            f"rewards.{name}: has no temperature of its own; set tau_expert in the variant to how many of "
            "its points make a clear preference."
        )


def check_lrm(lrm: LrmConfig) -> None:
    """Refuse a pretraining whose text tower, classes or batch cannot be used."""
    text, check, pretrain = lrm.text, lrm.zero_shot, lrm.pretrain
    if text.source == "folder" and not Path(text.id).is_dir():
        raise DataError(f"{text.id}: there is no such folder. Set lrm.text.id to one that holds a CLIP.")
    if check.set.path is not None and not Path(check.set.path).is_dir():
        raise DataError(f"{check.set.path}: there is no such folder. Set lrm.zero_shot.set.path to one.")
    if check.classes.endswith(".json"):  # open_clip's own need no look, and its import takes seconds
        class_names(check.classes)
    if check.templates.endswith(".json"):
        caption_templates(check.templates)
    check_pretraining(pretrain, pretrain.processes)


def check_names(variants: Mapping[str, VariantConfig], rewards: Mapping[str, RewardConfig]) -> None:
    """Refuse a variant that asks for a reward which does not exist."""
    for name, variant in variants.items():
        for reward in variant.rewards:
            if reward not in rewards:
                near = get_close_matches(reward, rewards, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(rewards)}"
                raise ConfigError(f"variants.{name}.reward: there is no reward {reward!r}; {hint}")
