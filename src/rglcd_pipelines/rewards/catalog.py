"""Rewards by name: what a variant asks for, from the parameters that say where each of them is."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import ConfigError, first_line
from rglcd_pipelines.rewards.mix import Capped, Mix
from rglcd_pipelines.rewards.protocol import Reward


class RewardConfig(Config):
    """One reward model."""

    kind: str
    """clip or imgrwd, which are read from a folder, or a class of your own as module:Class."""
    id: str | None = None
    """The folder that holds the model and its tokenizer; a class of your own needs none."""
    antialias: bool | None = None
    """Whether pictures are shrunk for it with antialiasing; by default as its folder says, or else yes."""
    scaled: bool = False
    """Of a CLIP: whether the cosine is multiplied by the model's scale, as PickScore publishes it."""
    cap: float | None = None
    """The score from which on more is no better: what counts is -relu(cap - score)."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What a class of your own is made with, beside its device."""


def load_reward(name: str, catalog: Mapping[str, RewardConfig], device: torch.device) -> Reward:
    """The reward of that name, ready to score on `device`."""
    if name not in catalog:
        near = get_close_matches(name, catalog, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(sorted(catalog))}"
        raise ConfigError(f"rewards.{name}: there is no such reward; {hint}")
    config = catalog[name]
    reward = _load(name, config, device)
    return reward if config.cap is None else Capped(reward, config.cap)


def load_mix(
    weights: Mapping[str, float], catalog: Mapping[str, RewardConfig], device: torch.device
) -> Reward:
    """One reward of several, each with its weight; of one with weight 1, that reward itself."""
    rewards = {name: load_reward(name, catalog, device) for name in weights}
    if list(weights.values()) == [1.0]:
        return next(iter(rewards.values()))
    return Mix([(weights[name], reward) for name, reward in rewards.items()])


def _load(name: str, config: RewardConfig, device: torch.device) -> Reward:
    if ":" in config.kind:
        return _own(name, config, device)
    kinds: dict[str, Callable[[], Reward]] = {
        "clip": lambda: _clip(name, config, device),
        "imgrwd": lambda: _imgrwd(name, config, device),
    }
    if config.kind not in kinds:
        raise ConfigError(
            f"rewards.{name}.kind: is {config.kind!r}; there is {', '.join(kinds)}, or a class of your own "
            "as module:Class"
        )
    return kinds[config.kind]()


def _clip(name: str, config: RewardConfig, device: torch.device) -> Reward:
    from rglcd_pipelines.rewards.clip import ClipReward

    reward = ClipReward.load(_folder(name, config), name, device, scaled=config.scaled)
    if config.antialias is not None:
        reward.seen = reward.seen.model_copy(update={"antialias": config.antialias})
    return reward


def _imgrwd(name: str, config: RewardConfig, device: torch.device) -> Reward:
    from rglcd_pipelines.rewards.image_reward import ImageReward

    reward = ImageReward.load(_folder(name, config), name, device)
    if config.antialias is not None:
        reward.seen = reward.seen.model_copy(update={"antialias": config.antialias})
    return reward


def _folder(name: str, config: RewardConfig) -> Path:
    if config.id is None:
        raise ConfigError(f"rewards.{name}.id: is missing; give the folder that holds the {config.kind}")
    return Path(config.id)


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
