"""What a student is made from: that of finished ones stays what it was before there was a watch."""

from typing import Any

import pytest

from rglcd_pipelines.artifacts import digest_json
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.training.job import Job, antialiased
from rglcd_pipelines.training.settings import TrajectoriesConfig, VariantConfig, asked_for

CHOSEN: dict[str, dict[str, Any]] = {
    "plain": {},
    "direct": {"reward": {"hps": 1.0, "pick": 0.5}, "beta": 0.5, "batch_size": 2},
    "matched": {"reward": "hps", "lrm": True, "beta": 0.5, "tau_expert": 0.1},
}
MATCHING = {"optimizer": {"lr": 1e-2}, "batch_size": 2, "latent_blocks": 1, "text_blocks": 1}
LRM = {"folder": "f", "text": {"id": "c"}, "matching": MATCHING, "real_rewards": "r"}


def job(chosen: dict[str, Any], watch: dict[str, Any] | None = None) -> Job:
    """One whose parts need not be there."""
    settings: dict[str, Any] = {"steps": 6, "optimizer": {"lr": 1e-4}, "samples": {"prompts": ["a cat"]}}
    draws = {"steps": 6, "batch_size": 4, "seed": chosen.get("seed", 0)}
    return check(
        Job,
        {
            "variant": "v",
            "chosen": chosen,
            "settings": settings | ({"watch": watch} if watch else {}),
            "rewards": {
                "hps": {"kind": "tests.rewards.own_reward:Brightness"},
                "pick": {"kind": "compression"},
                "clip": {"kind": "clip", "id": "folder"},
            },
            "teacher": {"source": "folder", "id": "t", "latent_factor": 2},
            "vae": {"source": "folder", "id": "v"},
            "asked": {"draws": draws},
            "latents": "l",
            "answers": "a",
            "place": "p",
            "lrm": LRM if chosen.get("lrm") else None,
        },
    )


MADE_FROM = {
    # computed by the last commit without a watch, seeds of variants and their antialiasing
    "plain": (
        "0e70fe9752b834b2709f7d97231655306d743f65c26903d18e7ddc83af19889f",
        "230956ab78838e24bbe3610d2c1debdc521804ee1839239d1304cbd6b49b1306",
    ),
    "direct": (
        "460d14045280de54d0a033587c31900af40c073d0add282648db7f701b7b4ebd",
        "d3cc29dd2886e56e758da7b251bc32efd83012853c7f11c86b01e7214b7a645a",
    ),
    "matched": (
        "f6d8a8e8e48ad3d22460a8fb658c809b9cee3c652044e1a48733702a3a923f69",
        "fd2e565e990c6f184750923a9d15f80a2623ada5cb6e31c35a6d6f6fc035b2a2",
    ),
}


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("watch", [None, {"every": 2, "rewards": ["clip"], "steps": 2}])
def test_finished_students_stay_what_they_are(name: str, watch: dict[str, Any] | None) -> None:
    found = job(CHOSEN[name], watch)
    told = digest_json(found.made_from("L", "A", {"teacher": "T"})), found.expert_digest("L", "V")
    assert told == MADE_FROM[name]


def test_a_seed_of_its_own() -> None:
    asked = check(TrajectoriesConfig, {"draws": {"steps": 6, "batch_size": 4, "seed": 3}})
    assert asked_for(VariantConfig(), asked) == asked
    other = asked_for(VariantConfig(seed=5), asked)
    assert other.draws.seed == 5
    assert other == asked.model_copy(update={"draws": asked.draws.model_copy(update={"seed": 5})})
    first, second = (job({"seed": seed}).made_from("L", "A", {}) for seed in (1, 2))
    assert first != second
    told = job({"seed": 1}).model_dump()
    with pytest.raises(ConfigError, match=r"seed and asked\.draws\.seed do not agree"):
        check(Job, told | {"asked": told["asked"] | {"draws": told["asked"]["draws"] | {"seed": 9}}})


def test_a_bonus_of_its_own() -> None:
    """It is what the model learns by, and part of what the student is; unsaid, it is the stage's."""
    of_all, own = job(CHOSEN["matched"]), job(CHOSEN["matched"] | {"real_bonus": 2.0})
    assert (of_all.real_bonus, own.real_bonus, job(CHOSEN["direct"]).real_bonus) == (0.0, 2.0, 0.0)
    assert of_all.made_from("L", "A", {}) != own.made_from("L", "A", {})
    with pytest.raises(ConfigError, match="real_bonus means nothing without lrm"):
        check(VariantConfig, CHOSEN["direct"] | {"real_bonus": 2.0})


def test_antialiasing_of_its_own() -> None:
    chosen = {"reward": {"clip": 1.0, "pick": 0.1}, "beta": 1.0, "antialias": False}
    found = job(chosen)
    assert found.guiding["clip"].antialias is False
    assert found.guiding["pick"] == found.rewards["pick"]
    assert found.rewards["clip"].antialias is None  # whoever judges it sees as before
    plain = job({name: chosen[name] for name in ("reward", "beta")})
    assert found.made_from("L", "A", {}) != plain.made_from("L", "A", {})
    assert found.expert_digest("L", "V") != plain.expert_digest("L", "V")
    with pytest.raises(ConfigError, match=r"antialias means nothing for a variant whose reward \(pick\)"):
        antialiased(VariantConfig(reward="pick", beta=1.0, antialias=True), found.rewards)
    with pytest.raises(ConfigError, match="antialias means nothing without a reward"):
        check(VariantConfig, {"antialias": True})
