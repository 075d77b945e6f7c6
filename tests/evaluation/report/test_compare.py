"""Intervals over prompts and seeds, against what is known of normal numbers."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rglcd_pipelines.evaluation.report.compare import Comparer, Side, seeds_of
from rglcd_pipelines.evaluation.report.models import Model, Models, Setting
from rglcd_pipelines.evaluation.report.settings import ReportConfig


@pytest.fixture(scope="module")
def comparer(config: ReportConfig) -> Comparer:
    return Comparer(config)


def _side(models: list[Model], family: str, column: str = "4") -> Side:
    setting = Models(models).main(family)
    assert setting is not None
    return Side(setting, column)


def test_a_paired_interval_is_as_narrow_as_the_differences_are(
    comparer: Comparer, models: list[Model]
) -> None:
    """Prompts that are hard for both models do not widen it: theory says 1.96 standard errors."""
    ours, theirs = _side(models, "hps"), _side(models, "lcm")
    found = comparer.difference(ours, theirs, "hpsv2", "hps")
    assert found is not None
    values: list[NDArray[np.float64]] = [
        side.setting.first.scores.values("4", "hpsv2", "hps") for side in (ours, theirs)
    ]
    apart = values[0] - values[1]
    expected = 2 * 1.96 * apart.std() / len(apart) ** 0.5
    assert found.high - found.low == pytest.approx(expected, rel=0.25)
    unpaired = 2 * 1.96 * (values[0].var() + values[1].var()) ** 0.5 / len(apart) ** 0.5
    assert found.high - found.low < unpaired / 3


def test_a_model_does_not_differ_from_itself(comparer: Comparer, models: list[Model]) -> None:
    side = _side(models, "hps")
    for place in (("hpsv2", "hps"), ("coco", "fid")):
        found = comparer.difference(side, side, *place)
        assert found is not None
        assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-12)


def without_rows(model: Model, measure: str) -> Model:
    """The same model, whose samples were not measured one by one."""
    rows = model.scores._rows
    scores = replace(model.scores)
    scores.__dict__["_rows"] = rows.drop_columns([measure])
    return replace(model, scores=scores)


def test_of_figures_alone_an_interval_is_wider(comparer: Comparer, models: list[Model]) -> None:
    """As it is of two independent figures: the root of the sum of their errors' squares."""
    ours, theirs = _side(models, "hps"), _side(models, "lcm")
    bare = [without_rows(side.setting.first, "hps") for side in (ours, theirs)]
    found = comparer.difference(
        Side(Setting((bare[0],)), "4"), Side(Setting((bare[1],)), "4"), "hpsv2", "hps"
    )
    paired = comparer.difference(ours, theirs, "hpsv2", "hps")
    assert found is not None
    assert paired is not None
    assert found.value == pytest.approx(paired.value)
    figures = [model.scores.figure("4", "hpsv2", "hps") for model in bare]
    halves = [(one.high - one.value) ** 2 for one in figures if one and one.high is not None]
    assert (found.high - found.low) / 2 == pytest.approx(sum(halves) ** 0.5, rel=0.15)
    assert found.high - found.low > paired.high - paired.low


def test_figures_without_intervals_have_no_difference(comparer: Comparer, models: list[Model]) -> None:
    assert comparer.difference(_side(models, "hps"), _side(models, "lcm"), "coco", "recall") is None
    assert comparer.number(_side(models, "hps").setting, "4", "coco", "recall") is not None


def test_the_mean_over_seeds_has_an_interval_of_its_own(comparer: Comparer, models: list[Model]) -> None:
    """Two seeds that are far apart say little: the interval is wider than from one to the other."""
    by_name = {model.name: model for model in models}
    for pair in (
        (by_name["lcm"], by_name["hps"]),
        tuple(without_rows(by_name[n], "hps") for n in ("lcm", "hps")),
    ):
        number = comparer.number(Setting(pair), "4", "hpsv2", "hps")
        assert number is not None
        means = [one.value for model in pair if (one := model.scores.figure("4", "hpsv2", "hps"))]
        assert (number.seeds, number.value) == (2, pytest.approx(np.mean(means)))
        assert number.low is not None
        assert number.high is not None
        assert number.low < means[0]
        assert number.high > means[1]


def _of_seeds(models: list[Model], family: str, seeds: tuple[int, ...]) -> Side:
    """The family's model as if it had been trained with each of these seeds."""
    main = Models(models).main(family)
    assert main is not None
    return Side(Setting(tuple(replace(main.first, seed=seed) for seed in seeds)), "4")


@pytest.mark.parametrize(
    ("ours", "theirs", "pairs"),
    [
        ((0, 1, 2), (0, 1, 2), 3),
        ((0, 1, 2), (2, 1), 2),
        ((0, 1, 2), (5,), 3),
        ((3,), (0, 1), 2),
        ((0, 1), (2, 3), 0),
    ],
)
def test_students_of_the_same_seed_are_compared(
    comparer: Comparer, models: list[Model], ours: tuple[int, ...], theirs: tuple[int, ...], pairs: int
) -> None:
    sides = _of_seeds(models, "hps", ours), _of_seeds(models, "lcm", theirs)
    assert seeds_of(sides[0].setting, sides[1].setting) == pairs
    assert (comparer.difference(*sides, "hpsv2", "hps") is None) == (pairs == 0)
