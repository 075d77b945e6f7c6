"""Rewards by name: what a variant asks for, from the parameters that say where each of them is."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rglcd_pipelines.errors import ConfigError, DataError, first_line
from rglcd_pipelines.rewards.hub import TOKENIZER, file_of, folder_of
from rglcd_pipelines.rewards.mix import Capped, Mix
from rglcd_pipelines.rewards.preprocess import SEEN
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.rewards.settings import LATENT, PLACED, CompressionConfig, Place, RewardConfig
from rglcd_pipelines.rewards.weights import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from rglcd_pipelines.rewards.aesthetic import AestheticReward
    from rglcd_pipelines.rewards.clip import ClipReward
    from rglcd_pipelines.rewards.image_reward import ImageReward

MODEL = (CONFIG, WEIGHTS, SEEN)
"""What is read of a folder that holds a model, beside its tokenizer."""


def load_reward(name: str, catalog: Mapping[str, RewardConfig], device: torch.device) -> Reward:
    """The reward of that name, ready to score on `device`."""
    if name not in catalog:
        near = get_close_matches(name, catalog, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(sorted(catalog))}"
        raise ConfigError(f"rewards.{name}: there is no such reward; {hint}")
    config = catalog[name]
    if config.kind == LATENT:
        raise ConfigError(
            f"rewards.{name}: looks at latents, and here are pictures to be looked at; choose another reward"
        )
    if config.own:
        reward = _own(name, config, device)
    elif config.kind in PLACED:
        reward = _published(name, config, device)
    else:
        reward = _weightless(name, config)
    return reward if config.cap is None else Capped(reward, config.cap)


def load_mix(
    weights: Mapping[str, float], catalog: Mapping[str, RewardConfig], device: torch.device
) -> Reward:
    """One reward of several, each with its weight; of one with weight 1, that reward itself."""
    rewards = {name: load_reward(name, catalog, device) for name in weights}
    if list(weights.values()) == [1.0]:
        return next(iter(rewards.values()))
    return Mix([(weights[name], reward) for name, reward in rewards.items()])


def _published(name: str, config: RewardConfig, device: torch.device) -> Reward:
    kinds: Mapping[str, Callable[..., ClipReward | ImageReward | AestheticReward]] = {
        "clip": _clip,
        "open_clip": _open_clip,
        "imgrwd": _imgrwd,
        "aesthetic": _aesthetic,
    }
    reward = kinds[config.kind](name, config, device)
    if config.antialias is not None:
        reward.seen = reward.seen.model_copy(update={"antialias": config.antialias})
    return reward


def _clip(name: str, config: RewardConfig, device: torch.device) -> "ClipReward":
    from rglcd_pipelines.rewards.clip import ClipReward

    folder = folder_of(config, [*MODEL, *TOKENIZER], f"rewards.{name}")
    words = _words(name, config.tokenizer)
    return ClipReward.load(folder, name, device, scaled=config.scaled, words=words)


def _open_clip(name: str, config: RewardConfig, device: torch.device) -> "ClipReward":
    from rglcd_pipelines.rewards.clip import ClipReward, load_tokenizer
    from rglcd_pipelines.rewards.open_clip import load_open_clip, read_architecture
    from rglcd_pipelines.rewards.vocabularies import clean_caption

    architecture = read_architecture(config.architecture, f"rewards.{name}.architecture")
    file = file_of(config, f"rewards.{name}")
    model = load_open_clip(file, architecture, config.architecture)
    tokenizer = load_tokenizer(_words(name, config.tokenizer), model)
    model.to(device)  # pyright: ignore[reportArgumentType]
    return ClipReward(name, model, tokenizer, scaled=config.scaled, clean=clean_caption)


def _imgrwd(name: str, config: RewardConfig, device: torch.device) -> "ImageReward":
    from rglcd_pipelines.rewards.image_reward import ImageReward

    if config.file is None:
        folder = folder_of(config, [*MODEL, *TOKENIZER], f"rewards.{name}")
        return ImageReward.load(folder, name, device)
    from rglcd_pipelines.rewards.image_reward_published import SIZES, load_published
    from rglcd_pipelines.rewards.vocabularies import bert_tokenizer

    file = file_of(config, f"rewards.{name}", beside=[SIZES, *TOKENIZER])
    words = _words(name, config.tokenizer) or file.parent
    # First the small thing that is the likelier one to be missing.
    tokenizer = bert_tokenizer(words, f"rewards.{name}")
    model = load_published(file)
    if len(tokenizer) != (size := model.config.text.vocabulary):
        raise DataError(
            f"{words}: the tokenizer has {len(tokenizer)} tokens and the model {size}. "
            f"They do not belong together: set rewards.{name}.tokenizer to where bert-base-uncased is."
        )
    return ImageReward(name, model.to(device), tokenizer)


def _aesthetic(name: str, config: RewardConfig, device: torch.device) -> "AestheticReward":
    from rglcd_pipelines.rewards.aesthetic import AestheticReward, dimensions, load_head, without_texts
    from rglcd_pipelines.rewards.clip import load_model

    assert config.clip is not None
    file = file_of(config, f"rewards.{name}")
    clip = without_texts(load_model(folder_of(config.clip, MODEL, f"rewards.{name}.clip")))
    head = load_head(file, dimensions(clip))
    clip.to(device)  # pyright: ignore[reportArgumentType]
    return AestheticReward(name, clip, head.to(device))


def _weightless(name: str, config: RewardConfig) -> Reward:
    """What has no weights on this machine."""
    if config.kind == "compression":
        from rglcd_pipelines.rewards.compression import CompressionReward

        return CompressionReward(name, config.compression or CompressionConfig())
    from rglcd_pipelines.rewards.judge.judge import JudgeReward

    assert config.judge is not None
    return JudgeReward(name, config.judge)


def _words(name: str, place: Place | None) -> Path | None:
    return None if place is None else folder_of(place, TOKENIZER, f"rewards.{name}.tokenizer")


def _own(name: str, config: RewardConfig, device: torch.device) -> Reward:
    """A class that somebody else wrote, made with its options."""
    where = f"rewards.{name}.kind"
    module, _, attribute = config.kind.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{where}: {config.kind} cannot be imported ({first_line(error)})") from None
    try:
        reward = found(device=device, **config.options)
    except TypeError as error:
        raise ConfigError(f"rewards.{name}.options: {config.kind} does not take them ({error})") from None
    lacking = [part for part in ("name", "differentiable", "score") if not hasattr(reward, part)]
    if lacking:
        raise ConfigError(f"{where}: {config.kind} is no reward: it has no {', '.join(lacking)}")
    return reward
