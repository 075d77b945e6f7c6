"""What may be asked of the watch, and whose answers it wants."""

from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.lrm_settings import MatchingConfig
from rglcd_pipelines.training.preflight import check_student
from rglcd_pipelines.training.settings import (
    DistillConfig,
    DrawsConfig,
    OptimizerConfig,
    TrajectoriesConfig,
    VariantConfig,
)
from rglcd_pipelines.training.watch_settings import WatchConfig, check_watch

REWARDS = {
    "hps": RewardConfig(kind="clip", id="a"),
    "gold": RewardConfig(kind="somewhere:Gold"),
    "lrm": RewardConfig(kind="latent", id="b"),
}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"stop": {}, "rewards": ["gold"]}, "watch: stop needs looks; set every"),
        ({"stop": {}, "every": 5}, "watch: stop needs rewards that the student does not follow"),
        ({"every": 0}, "watch.every: "),
        ({"prompts": 1}, "watch.prompts: "),
        ({"stop": {"patience": 0}}, "watch.stop.patience: "),
        ({"stop": {"tolerance": float("nan")}}, "watch.stop.tolerance: "),
        ({"evry": 5}, "watch.evry: there is no such parameter; did you mean watch.every?"),
    ],
)
def test_what_is_refused(told: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(WatchConfig, told, "watch")


def test_who_is_followed_does_not_judge() -> None:
    watch = WatchConfig(every=1, rewards=["hps", "gold", "gold"])
    assert watch.held_out({}) == ["hps", "gold"]
    assert watch.held_out({"hps": 0.5}) == ["gold"]
    check_watch(watch, {"hps": 0.5}, REWARDS)


def test_judges_have_to_be_there_and_look_at_pictures() -> None:
    for name, words in [
        ("godl", "there is no reward 'godl'; did you mean gold"),
        ("lrm", "lrm looks at latents"),
    ]:
        with pytest.raises(ConfigError, match=words):
            check_watch(WatchConfig(every=1, rewards=[name]), {}, REWARDS)
        check_watch(WatchConfig(rewards=[name]), {}, REWARDS)  # nobody looks


def test_somebody_has_to_say_stop() -> None:
    watch = check(WatchConfig, {"every": 1, "rewards": ["hps"], "stop": {}})
    with pytest.raises(ConfigError, match="the student follows all of them"):
        check_watch(watch, {"hps": 1.0}, REWARDS)
    check_watch(watch, {}, REWARDS)  # an LCM cannot go too far


def test_it_is_told_before_anything_runs(tmp_path: Path) -> None:
    reward = RewardConfig(kind="tests.rewards.own_reward:Brightness")
    rewards = {"bright": reward, "gone": RewardConfig(kind="clip", id=str(tmp_path / "gone"))}
    matching = MatchingConfig(optimizer=OptimizerConfig(lr=1e-3), batch_size=1)
    asked = TrajectoriesConfig(draws=DrawsConfig(steps=2, batch_size=2))

    def look(chosen: VariantConfig, **watch: Any) -> None:
        told = {"steps": 2, "optimizer": {"lr": 1e-3}, "samples": {"prompts": ["a"]}, "watch": watch}
        check_student(chosen, rewards, check(DistillConfig, told), asked, matching)

    bright = VariantConfig(reward="bright", beta=1.0)
    look(bright, every=1, rewards=["bright"])
    look(bright, rewards=["gone"], path="nowhere.json")
    with pytest.raises(DataError, match="gone: there is no such folder"):
        look(bright, every=1, rewards=["gone"])
    with pytest.raises(DataError, match=r"distill\.watch\.path: nowhere\.json cannot be read"):
        look(VariantConfig(), every=1, path="nowhere.json")
    with pytest.raises(ConfigError, match="antialias means nothing"):
        look(VariantConfig(reward="bright", beta=1.0, antialias=True))
