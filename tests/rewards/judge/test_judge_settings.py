"""A judge as parameters: what can be said of one, what is refused, and that it is loaded by name."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.rewards.catalog import load_mix, load_reward
from rglcd_pipelines.rewards.judge.judge import JudgeReward
from rglcd_pipelines.rewards.judge.settings import JudgeConfig
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.preflight import check_names
from rglcd_pipelines.training.settings import VariantConfig
from tests.rewards.judge_server import KEY, Endpoint
from tests.rewards.judging import captions, expected, pictures, settings

CPU = torch.device("cpu")
LEAST = {"base_url": "https://api.openai.com/v1", "model": "gpt-4o-2024-11-20"}
PRICES = {"price_in": 2.5, "price_out": 10}


@pytest.mark.parametrize(
    "values",
    [
        LEAST,
        LEAST | PRICES,
        LEAST | PRICES | {"most_cost": 20, "most_requests": 4000},
        LEAST | {"base_url": "http://localhost:8000/v1/", "key_variable": None, "most_tokens": None},
        LEAST | {"base_url": "http://[::1]:8000", "per_request": 1, "at_once": 16, "cache": "elsewhere"},
    ],
)
def test_what_can_be_said(values: dict[str, Any]) -> None:
    config = check(RewardConfig, {"kind": "judge", "judge": values})
    assert check(RewardConfig, config.model_dump()) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.judge is not None
    assert "//chat" not in config.judge.url
    assert config.judge.url.endswith("/chat/completions")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"base_url": None}, r"judge\.base_url"),
        (
            {"base_url": "api.openai.com/v1"},
            r"base_url: is 'api\.openai\.com/v1'; give an address",
        ),
        ({"base_url": "ftp://a/v1"}, r"base_url: is 'ftp://a/v1'"),
        ({"base_url": "http:///v1"}, r"base_url: is 'http:///v1'"),
        ({"base_url": "http://a b/v1"}, r"base_url: is 'http://a b/v1'"),
        ({"base_url": "http://a:99999/v1"}, r"base_url: is no address"),
        ({"base_url": "http://[::1/v1"}, r"base_url: is no address"),
        ({"base_url": f"https://me:{KEY}@a/v1"}, r"base_url: holds more than an address"),
        ({"base_url": f"https://a/v1?key={KEY}"}, r"base_url: holds more than an address"),
        ({"base_url": "https://a/v1/chat/completions"}, r"base_url: .*leave out /chat/completions"),
        ({"model": ""}, r"judge\.model"),
        ({"key_variable": KEY}, r"key_variable: is no name .*Give the name of the variable .*, not the key"),
        ({"key_variable": "sk_lower"}, r"key_variable: is no name"),
        ({"key_variable": ""}, r"key_variable: is no name"),
        ({"key": KEY}, r"judge\.key: there is no such parameter"),
        ({"per_request": 0}, r"judge\.per_request"),
        ({"at_once": 0}, r"judge\.at_once"),
        ({"attempts": 0}, r"judge\.attempts"),
        ({"timeout": 0}, r"judge\.timeout"),
        ({"timeout": float("inf")}, r"judge\.timeout"),
        ({"backoff": -1.0}, r"judge\.backoff"),
        ({"price_in": -1, "price_out": 1}, r"judge\.price_in"),
        ({"price_in": 1}, r"price_out is missing; give both prices, or none"),
        ({"price_out": 1}, r"price_in is missing"),
        ({"most_cost": 5}, r"most_cost cannot be kept without prices; give price_in and price_out"),
        ({"most_cost": 5, "price_in": 0, "price_out": 0}, r"most_cost is never reached"),
        (PRICES | {"most_cost": 0}, r"judge\.most_cost"),
        ({"most_requests": 0}, r"judge\.most_requests"),
        ({"cache": ""}, r"judge\.cache"),
        ({"modell": "a"}, r"did you mean rewards\.x\.judge\.model\?"),
    ],
)
def test_what_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        check(RewardConfig, {"kind": "judge", "judge": LEAST | values}, "rewards.x")
    assert "rewards.x.judge" in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "judge"}, r"judge is missing; give at least judge\.base_url and judge\.model"),
        ({"kind": "judge", "judge": {}}, r"base_url: is missing[^$]*model: is missing"),
        ({"kind": "judge", "judge": LEAST, "id": "a"}, r"id means nothing for judge"),
        ({"kind": "judge", "judge": LEAST, "file": "a"}, r"file means nothing for judge"),
        ({"kind": "judge", "judge": LEAST, "antialias": True}, r"antialias means nothing for judge"),
        ({"kind": "judge", "judge": LEAST, "source": "hub", "revision": "a" * 40}, r"source means nothing"),
        ({"kind": "judge", "judge": LEAST, "scaled": True}, r"scaled means nothing for judge"),
        ({"kind": "judge", "judge": LEAST, "options": {"a": 1}}, r"options means nothing for judge"),
        ({"kind": "judge", "judge": LEAST, "compression": {}}, r"compression means nothing for judge"),
        ({"kind": "clip", "id": "a", "judge": LEAST}, r"judge means nothing for clip, only for judge"),
        ({"kind": "juge", "judge": LEAST}, r"did you mean judge\?"),
    ],
)
def test_what_does_not_fit_its_kind(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check(RewardConfig, values, "rewards.x")


def test_it_is_known_by_what_decides_its_verdicts() -> None:
    plain = JudgeConfig.model_validate(LEAST)
    later = JudgeConfig.model_validate(
        LEAST | PRICES | {"most_cost": 99, "at_once": 9, "base_url": "http://b/v1"}
    )
    assert plain.identity == later.identity
    assert plain.identity != JudgeConfig.model_validate(LEAST | {"model": "another"}).identity


def test_it_is_loaded_by_its_name(endpoint: Endpoint, tmp_path: Path) -> None:
    values = {"kind": "judge", "judge": settings(endpoint, tmp_path)}
    catalog = {
        "eye": check(RewardConfig, values),
        "content": check(RewardConfig, values | {"cap": 1.5}),
    }
    check_names({"mine": check(VariantConfig, {"reward": "eye", "beta": 1.0})}, catalog)
    with pytest.raises(ConfigError, match=r"no reward 'eyes'; did you mean eye\?"):
        check_names({"mine": check(VariantConfig, {"reward": "eyes", "beta": 1.0})}, catalog)
    judge = load_reward("eye", catalog, CPU)
    assert isinstance(judge, JudgeReward)
    assert judge.judge(pictures(6), captions(6)) == expected(pictures(6))
    overall = judge.score(pictures(6), captions(6))
    capped = load_reward("content", catalog, CPU)
    assert (overall > 1.5).any() != (overall > 1.5).all()
    assert torch.equal(capped.score(pictures(6), captions(6)), (overall - 1.5).clamp(max=0))
    mix = load_mix({"eye": 2.0, "content": 1.0}, catalog, CPU)
    assert torch.equal(mix.score(pictures(6), captions(6)), 2 * overall + (overall - 1.5).clamp(max=0))
    assert not mix.differentiable
    assert not capped.differentiable
    assert endpoint.sizes == [4, 2]
