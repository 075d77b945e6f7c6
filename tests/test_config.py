"""Mistakes in parameters are told by name, with the nearest right one."""

from typing import Literal

import pytest
from pydantic import model_validator

from rglcd_pipelines.config import Config, check
from rglcd_pipelines.errors import ConfigError


class Inner(Config):
    resolution: int
    """Pixels."""
    kind: Literal["mean", "moments"] = "mean"
    """What is kept."""


class Outer(Config):
    seed: int
    """Where randomness starts."""
    inner: Inner | None = None
    """A part."""
    share: float = 0.5
    """Of one."""

    @model_validator(mode="after")
    def _possible(self) -> "Outer":
        if self.seed == 13:
            raise ValueError("seed is 13, which is impossible beside share; choose another seed")
        return self


def refusal(values: object) -> str:
    with pytest.raises(ConfigError) as caught:
        check(Outer, values, "outer")
    return str(caught.value)


def test_what_is_right_is_taken() -> None:
    assert check(Outer, {"seed": 1, "inner": {"resolution": 8}}).inner == Inner(resolution=8)


def test_a_typo_names_the_parameter_and_the_nearest() -> None:
    text = refusal({"seed": 1, "inner": {"resolution": 8, "resoluton": 9}})
    assert "outer.inner.resoluton: there is no such parameter; did you mean outer.inner.resolution?" in text


def test_an_unknown_name_with_nothing_near_lists_what_there_is() -> None:
    assert "outer.zzz: there is no such parameter; there is seed, inner, share" in refusal(
        {"seed": 1, "zzz": 1}
    )


@pytest.mark.parametrize("value", ["many", 1.5, True, None, "7"])
def test_a_wrong_type_is_refused_and_shown(value: object) -> None:
    text = refusal({"seed": value})
    assert "outer.seed: should be a valid integer" in text
    assert repr(value) in text


def test_a_wrong_choice_offers_the_nearest() -> None:
    assert "did you mean moments?" in refusal({"seed": 1, "inner": {"resolution": 8, "kind": "moment"}})


def test_a_missing_value_and_an_impossible_combination() -> None:
    assert "outer.seed: is missing" in refusal({})
    assert "outer: seed is 13, which is impossible beside share" in refusal({"seed": 13})


def test_every_mistake_is_told_at_once() -> None:
    text = refusal({"sed": 1, "share": "x", "inner": {"kind": "mean"}})
    assert all(
        name in text for name in ("outer.sed:", "outer.seed:", "outer.share:", "outer.inner.resolution:")
    )


def test_an_integer_may_stand_for_a_real_number() -> None:
    assert check(Outer, {"seed": 1, "share": 1}).share == 1.0
