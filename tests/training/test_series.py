"""Students that are derived from others: their names, and what is refused."""

import re
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.training.series import SeriesConfig, derived_name, expand
from rglcd_pipelines.training.settings import VariantConfig

VARIANTS = {
    "lcm": VariantConfig(),
    "hps": VariantConfig(reward="hps", beta=1.0),
    "imgrwd_lrm": VariantConfig(reward="imgrwd", beta=0.5, lrm=True, tau_expert=0.2),
}


def expanded(
    variants: dict[str, VariantConfig] = VARIANTS, **series: dict[str, Any]
) -> dict[str, VariantConfig]:
    return expand(
        variants, {name: check(SeriesConfig, told, f"series.{name}") for name, told in series.items()}
    )


def test_names_and_settings() -> None:
    found = expanded(
        sweep={"of": ["hps"], "beta": [10, 0.3]},
        seeds={"of": ["lcm", "hps"], "seed": [1]},
        alias={"of": ["imgrwd_lrm"], "antialias": [False, True]},
        bonus={"of": ["imgrwd_lrm"], "real_bonus": [0.0, 2.5]},
    )
    assert list(found) == [
        *VARIANTS,
        *("hps-beta10", "hps-beta0_3", "lcm-seed1", "hps-seed1"),
        *("imgrwd_lrm-aliased", "imgrwd_lrm-antialiased"),
        *("imgrwd_lrm-real_bonus0", "imgrwd_lrm-real_bonus2_5"),
    ]
    assert found["hps-beta0_3"] == VariantConfig(reward="hps", beta=0.3)
    assert found["lcm-seed1"] == VariantConfig(seed=1)
    assert found["imgrwd_lrm-real_bonus0"].real_bonus == 0.0
    aliased = found["imgrwd_lrm-aliased"]
    assert (aliased.antialias, aliased.lrm, aliased.tau_expert) == (False, True, 0.2)


def test_several_settings_are_a_grid() -> None:
    found = expanded(grid={"of": ["hps"], "seed": [1, 2], "antialias": [False], "beta": [0.1, 30.0]})
    assert set(found) - set(VARIANTS) == {
        f"hps-beta{beta}-aliased-seed{seed}" for beta, seed in product(["0_1", "30"], [1, 2])
    }
    assert found["hps-beta30-aliased-seed2"] == VariantConfig(
        reward="hps", beta=30.0, antialias=False, seed=2
    )


def test_series_may_have_students_in_common() -> None:
    found = expanded(a={"of": ["hps"], "beta": [1, 3]}, b={"of": ["hps"], "beta": [3.0, 10.0]})
    assert len(found) == len(VARIANTS) + 3


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"of": ["hsp"], "seed": [1]}, "series.x.of: there is no variant 'hsp'; did you mean hps?"),
        ({"of": ["lcm"], "beta": [1.0]}, "series.x.of: lcm-beta1: beta is 1, but there is no reward"),
        ({"of": ["hps"], "beta": [0.0]}, "series.x.of: hps-beta0: beta is 0, so the reward counts nothing"),
        (
            {"of": ["hps"], "beta": [-1.0]},
            "series.x.of: hps-beta-1.beta: should be greater",
        ),
        ({"of": ["lcm"], "antialias": [True]}, "series.x.of: lcm-antialiased: antialias means nothing"),
        ({"of": ["hps"], "real_bonus": [1.0]}, "series.x.of: hps-real_bonus1: real_bonus means nothing"),
        ({"of": ["hps"]}, "series.x: says nothing to vary; give beta, antialias, real_bonus or seed, a list"),
        ({"of": ["hps"], "seed": [1, 2, 1]}, "series.x: seed holds 1 twice"),
        ({"of": ["hps", "hps"], "seed": [1]}, "series.x: of holds hps twice"),
        ({"of": [], "seed": [1]}, "series.x.of: "),
        ({"of": ["hps"], "seed": []}, "series.x.seed: "),
        ({"of": ["hps"], "seeds": [1]}, "series.x.seeds: there is no such parameter"),
        ({"of": ["hps"], "seed": [0.5]}, "series.x.seed.0: "),
    ],
)
def test_what_is_refused(told: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        expanded(x=told)


def test_a_name_of_the_users_own_stays_theirs() -> None:
    own = VARIANTS | {"hps-seed1": VariantConfig(reward="hps", beta=1.0, seed=1)}
    with pytest.raises(ConfigError, match=r"series.x.of: hps would make hps-seed1, a name .* Rename that."):
        expanded(own, x={"of": ["hps"], "seed": [1]})
    other = VARIANTS | {"hps-beta2": VariantConfig(reward="hps", beta=5.0)}
    with pytest.raises(ConfigError, match="hps would make hps-beta2-seed1"):
        expanded(other, x={"of": ["hps-beta2"], "seed": [1]}, y={"of": ["hps"], "beta": [2.0], "seed": [1]})


@given(st.floats(1e-9, 1000), st.floats(1e-9, 1000), st.integers(0, 2**63))
def test_names_tell_settings_apart(beta: float, other: float, seed: int) -> None:
    name = derived_name("hps", {"beta": beta, "seed": seed})
    assert re.fullmatch(r"hps-beta[0-9_]+-seed[0-9]+", name)
    assert (name == derived_name("hps", {"beta": other, "seed": seed})) == (beta == other)
