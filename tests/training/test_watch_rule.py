"""When a student has gone too far: hand-worked numbers, and what must hold of any."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rglcd_pipelines.training.watch_rule import Look, fall, held_out_scores, judge
from rglcd_pipelines.training.watch_settings import StopConfig


def look(step: int, proxy: float, **held_out: Sequence[float]) -> Look:
    return Look(step, {"proxy": proxy}, [proxy, proxy], {name: list(row) for name, row in held_out.items()})


def test_held_out_scores_are_in_deviations_of_the_first_look() -> None:
    looks = [look(1, 0, a=[1, 3], b=[10, 10]), look(2, 0, a=[2, 4], b=[11, 10])]
    # a: mean 2, deviation sqrt(2); b is the same for all at first, so it counts as it is.
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(held_out_scores(looks), [[-half / 2, half / 2], [0.5, half]])


def test_a_fall_is_counted_in_standard_errors_of_the_differences() -> None:
    # d = 1, 2, 3: mean 2, deviation 1, error 1 / sqrt(3)
    assert fall(np.array([1.0, 2.0, 3.0]), np.zeros(3)) == pytest.approx(2 * 3**0.5)
    assert fall(np.zeros(2), np.zeros(2)) == 0
    assert fall(np.ones(2), np.zeros(2)) == np.inf
    assert fall(np.zeros(2), np.ones(2)) == -np.inf


def run(*looks: tuple[float, list[float]], patience: int = 2, tolerance: float = 1.0) -> list[Look]:
    """The looks up to the one that ends it."""
    stop, seen = StopConfig(patience=patience, tolerance=tolerance), []
    for step, (proxy, scores) in enumerate(looks, 1):
        seen.append(look(step, proxy, gold=scores))
        if judge(seen, stop).ended:
            break
    return seen


FIRST, BEST, LOW = [0.0, 1.0, 2.0, 3.0], [1.0, 2.1, 3.0, 4.1], [0.0, 0.9, 2.1, 3.0]


def test_it_ends_when_the_proxy_is_up_and_the_others_are_down_often_enough() -> None:
    seen = run((0.1, FIRST), (0.2, BEST), (0.3, LOW), (0.4, LOW), (0.5, LOW))
    assert [each.step for each in seen] == [1, 2, 3, 4]
    verdict = judge(seen, StopConfig(patience=2, tolerance=1.0))
    assert (verdict.best.step, verdict.over, verdict.ended, verdict.returns) == (2, 2, True, True)


@pytest.mark.parametrize(
    ("third", "why"),
    [
        ((0.15, LOW), "a proxy that falls as well is no hacking"),
        ((0.3, [0.9, 2.2, 2.9, 4.2]), "by chance alone"),
        ((0.3, [1.1, 2.2, 3.1, 4.2]), "a new best look"),
    ],
)
def test_it_goes_on(third: tuple[float, list[float]], why: str) -> None:
    seen = run((0.1, FIRST), (0.2, BEST), third, (0.4, LOW), third, (0.5, LOW))
    assert len(seen) == 6, why
    assert judge(seen, StopConfig(patience=2, tolerance=1.0)).returns
    assert not judge(seen[:-1], StopConfig(patience=2, tolerance=1.0)).returns


NUMBERS = st.floats(-1e3, 1e3)
LOOKS = st.integers(2, 6).flatmap(
    lambda count: st.lists(
        st.tuples(NUMBERS, st.lists(NUMBERS, min_size=count, max_size=count)), min_size=1, max_size=8
    )
)


@given(LOOKS, st.integers(1, 3), st.floats(0, 5))
@settings(deadline=None)
def test_of_any_course(course: list[tuple[float, list[float]]], patience: int, tolerance: float) -> None:
    seen = run(*course, patience=patience, tolerance=tolerance)
    stop = StopConfig(patience=patience, tolerance=tolerance)
    verdict = judge(seen, stop)
    assert verdict.ended or len(seen) == len(course)
    means = held_out_scores(seen).mean(1)
    assert means[seen.index(verdict.best)] == means.max()
    assert verdict.over <= len(seen) - 1 - seen.index(verdict.best)
    if verdict.returns:
        assert np.mean(seen[-1].proxy) > np.mean(verdict.best.proxy)
        assert verdict.fell > tolerance
    # What a checkpoint keeps decides the same.
    again = [Look.read(json.loads(json.dumps(each.told()))) for each in seen]
    assert judge(again, stop) == verdict
