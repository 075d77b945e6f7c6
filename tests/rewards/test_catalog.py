"""Rewards by name: one or a mix, capped or not, this package's or somebody's own."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.rewards.catalog import RewardConfig, load_mix, load_reward
from rglcd_pipelines.rewards.clip import ClipReward
from rglcd_pipelines.rewards.image_reward import ImageReward
from rglcd_pipelines.rewards.preprocess import PreprocessConfig
from tests.rewards.tiny_models import CAPTIONS, pictures, save_clip, save_image_reward

CPU = torch.device("cpu")
CAP = 3.6
"""Between what the model gives its pictures."""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RewardConfig]:
    place = tmp_path_factory.mktemp("rewards")
    clip, imgrwd = str(save_clip(place / "clip")), str(save_image_reward(place / "imgrwd"))
    return {
        "clip": RewardConfig(kind="clip", id=clip),
        "pick": RewardConfig(kind="clip", id=clip, scaled=True, antialias=False),
        "imgrwd": RewardConfig(kind="imgrwd", id=imgrwd, cap=CAP, antialias=True),
        "mine": RewardConfig(kind="tests.rewards.own_reward:Brightness", options={"of": 2.0}),
    }


def test_what_is_asked_for_is_loaded(catalog: dict[str, RewardConfig]) -> None:
    folder = Path(str(catalog["clip"].id))
    expected = ClipReward.load(folder, "clip").score(pictures(), CAPTIONS)
    assert torch.equal(load_mix({"clip": 1.0}, catalog, CPU).score(pictures(), CAPTIONS), expected)
    plain = ClipReward.load(folder, "pick", seen=PreprocessConfig(size=16, antialias=False), scaled=True)
    found = load_reward("pick", catalog, CPU).score(pictures(), CAPTIONS)
    assert torch.equal(found, plain.score(pictures(), CAPTIONS))


def test_beyond_the_cap_nothing_is_better(catalog: dict[str, RewardConfig]) -> None:
    free = ImageReward.load(Path(str(catalog["imgrwd"].id)), "imgrwd").score(pictures(), CAPTIONS)
    capped = load_reward("imgrwd", catalog, CPU)
    assert (free > CAP).any() != (free > CAP).all()
    assert torch.allclose(capped.score(pictures(), CAPTIONS), -(CAP - free).relu())
    assert capped.name == "imgrwd"
    images = pictures().requires_grad_()
    capped.score(images, CAPTIONS).sum().backward()
    assert images.grad is not None
    pulled = images.grad.abs().sum((1, 2, 3)) > 0
    assert pulled.tolist() == (free < CAP).tolist()


def test_a_mix_is_the_weighted_sum(catalog: dict[str, RewardConfig]) -> None:
    mix = load_mix({"clip": 0.5, "mine": 2.0}, catalog, CPU)
    one, other = (load_reward(name, catalog, CPU).score(pictures(), CAPTIONS) for name in ("clip", "mine"))
    assert torch.allclose(mix.score(pictures(), CAPTIONS), 0.5 * one + 2 * other)
    assert mix.name == "0.5*clip+2*brightness"
    assert mix.differentiable


def test_ones_own_reward_is_a_class_and_a_line(catalog: dict[str, RewardConfig]) -> None:
    found = load_mix({"mine": 1.0}, catalog, CPU).score(pictures(), CAPTIONS)
    assert torch.allclose(found, 2 * pictures().mean((1, 2, 3)))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"kind": "clap"},
            r"rewards\.x\.kind: is 'clap'; there is clip, .*own as module:Class; did you mean clip",
        ),
        (
            {"kind": "clip"},
            r"rewards\.x: id is missing; give the folder that holds the clip, or its repository",
        ),
        ({"kind": "no_such:Thing"}, r"rewards\.x\.kind: no_such:Thing cannot be imported \(No module named"),
        (
            {"kind": "tests.rewards.own_reward:Dark"},
            "own_reward:Dark cannot be imported",
        ),
        (
            {"kind": "tests.rewards.own_reward:Brightness", "options": {"off": 1}},
            r"rewards\.x\.options: .*Brightness does not take them",
        ),
        ({"kind": "tests.rewards.own_reward:Nothing"}, r"Nothing is no reward: it has no name, differ"),
    ],
)
def test_a_reward_that_cannot_be(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_reward("x", {"x": check(RewardConfig, settings, "rewards.x")}, CPU)


def test_a_name_that_is_not_there(catalog: dict[str, RewardConfig]) -> None:
    with pytest.raises(ConfigError, match=r"rewards\.imgrvd: there is no such reward; did you mean imgrwd\?"):
        load_mix({"imgrvd": 1.0}, catalog, CPU)
    with pytest.raises(ConfigError, match=r"there is no such reward; there is clip, imgrwd, mine, pick"):
        load_mix({"zzz": 1.0}, catalog, CPU)
