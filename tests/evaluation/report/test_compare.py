"""Intervals over prompts and seeds, against what is known of normal numbers."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rglcd_pipelines.evaluation.report.compare import Comparer, Side, paired, seeds_of
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
        ((0,), (0, 1, 2), 1),
        ((0, 1, 2), (5,), 1),
        ((3,), (0, 1), 1),
        ((0, 1), (2, 3), 1),
    ],
)
def test_students_of_the_same_seed_are_compared(
    comparer: Comparer, models: list[Model], ours: tuple[int, ...], theirs: tuple[int, ...], pairs: int
) -> None:
    sides = _of_seeds(models, "hps", ours), _of_seeds(models, "lcm", theirs)
    assert seeds_of(sides[0].setting, sides[1].setting) == pairs
    assert comparer.difference(*sides, "hpsv2", "hps") is not None
    assert comparer.difference(*sides[::-1], "hpsv2", "hps") is not None


def test_models_are_paired_by_seed_and_a_teacher_with_all(models: list[Model]) -> None:
    def setting(family: str, *seeds: int) -> Setting:
        return _of_seeds(models, family, seeds).setting

    def seeds_of_pairs(*settings: Setting) -> list[tuple[int, ...]]:
        return [tuple(model.seed for model in pair) for pair in paired(*settings)]

    assert seeds_of_pairs(setting("hps", 0, 1, 2), setting("lcm", 2, 1)) == [(1, 1), (2, 2)]
    assert seeds_of_pairs(setting("hps", 0, 1, 2), setting("lcm", 2, 1), setting("clip", 2)) == [(2, 2, 2)]
    assert seeds_of_pairs(setting("hps", 4, 5), setting("lcm", 0, 1)) == [(4, 0)]
    teacher = Models(models).teacher
    assert teacher is not None
    own = teacher.first.seed
    assert seeds_of_pairs(setting("hps", 3, 4), teacher) == [(3, own), (4, own)]
    assert seeds_of_pairs(teacher, setting("hps", 3, 4)) == [(own, 3), (own, 4)]
    assert seeds_of_pairs(teacher, teacher) == [(own, own)]


def test_one_student_against_several_seeds_is_one_against_one(
    comparer: Comparer, models: list[Model]
) -> None:
    """Its own training was done once, so that other seeds of the other side say nothing of it."""
    by_name = {model.name: model for model in models}
    ours = Side(Setting((by_name["hps-beta10"],)), "4")
    three = [replace(by_name[name], seed=seed) for seed, name in enumerate(("lcm", "clip", "pick"))]
    found = comparer.difference(ours, Side(Setting(tuple(three)), "4"), "hpsv2", "hps")
    assert found == comparer.difference(ours, _side(models, "lcm"), "hpsv2", "hps")


def test_of_figures_alone_seeds_do_not_narrow_what_prompts_are(
    comparer: Comparer, models: list[Model]
) -> None:
    """Equal seeds have drawn the same prompts, and the teacher is one however many students it meets."""
    student, teacher = without_rows(_side(models, "hps").setting.first, "hps"), Models(models).teacher
    assert teacher is not None
    bare = Side(Setting((without_rows(teacher.first, "hps"),)), "ddim-50")
    widths = []
    for seeds in (1, 3):
        ours = Side(Setting(tuple(replace(student, seed=seed) for seed in range(seeds))), "4")
        found = comparer.difference(ours, bare, "hpsv2", "hps")
        assert found is not None
        widths.append(found.high - found.low)
    assert widths[1] == pytest.approx(widths[0])


def _noise(name: str, models: list[Model]) -> NDArray[np.float64]:
    scores = next(model.scores for model in models if model.name == name)
    return scores.values("4", "hpsv2", "high_frequency")


def test_a_share_is_the_ratio_of_two_differences(comparer: Comparer, models: list[Model]) -> None:
    """Its interval is that of a ratio: by the delta method, 1.96 standard errors of its linear part."""
    by_name = {model.name: model for model in models}
    most, some, least = (Side(Setting((by_name[name],)), "4") for name in ("imgrwd-aliased", "imgrwd", "lcm"))
    found = comparer.share(most, some, least, "hpsv2", "high_frequency")
    assert found is not None
    values = [_noise(name, models) for name in ("imgrwd-aliased", "imgrwd", "lcm")]
    part, whole = values[0] - values[1], values[0] - values[2]
    assert found.value == pytest.approx(part.mean() / whole.mean())
    groups = (part - found.value * whole).reshape(4, -1)  # styles are drawn apart
    error = (groups.var(1).sum() * groups.shape[1]) ** 0.5 / len(part) / whole.mean()
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.25)
    none = comparer.share(some, some, least, "hpsv2", "high_frequency")
    assert none is not None
    assert (none.value, none.low, none.high) == (0, 0, 0)


def test_seeds_that_disagree_widen_a_share(comparer: Comparer, models: list[Model]) -> None:
    by_name = {model.name: model for model in models}

    def side(*names: str) -> Side:
        return Side(Setting(tuple(replace(by_name[one], seed=at) for at, one in enumerate(names))), "4")

    most, least = side("imgrwd-aliased", "imgrwd-aliased"), side("lcm", "lcm")
    agreed = comparer.share(most, side("imgrwd", "imgrwd"), least, "hpsv2", "high_frequency")
    apart = comparer.share(most, side("imgrwd", "hps"), least, "hpsv2", "high_frequency")
    assert agreed is not None
    assert apart is not None
    assert apart.high - apart.low > 5 * (agreed.high - agreed.low)
    aliased, imgrwd, hps, lcm = (
        _noise(one, models).mean() for one in ("imgrwd-aliased", "imgrwd", "hps", "lcm")
    )
    assert apart.value == pytest.approx((aliased - (imgrwd + hps) / 2) / (aliased - lcm))


def test_of_nothing_there_is_no_share(comparer: Comparer, models: list[Model]) -> None:
    hps, lcm = _side(models, "hps"), _side(models, "lcm")
    assert comparer.share(lcm, hps, lcm, "hpsv2", "high_frequency") is None
    assert comparer.share(lcm, lcm, hps, "hpsv2", "high_frequency") is None


def test_samples_that_were_not_measured_have_no_share(comparer: Comparer, models: list[Model]) -> None:
    by_name = {model.name: model for model in models}
    sides = [Side(Setting((without_rows(by_name[name], "high_frequency"),)), "4")
             for name in ("imgrwd-aliased", "imgrwd", "lcm")]  # fmt: skip
    assert comparer.share(sides[0], sides[1], sides[2], "hpsv2", "high_frequency") is None


def test_seeds_deviations_are_averaged(comparer: Comparer, models: list[Model]) -> None:
    by_name = {model.name: model for model in models}
    pair = tuple(replace(by_name[name], seed=seed) for seed, name in enumerate(("lcm", "hps")))
    own = [one.deviation for model in pair if (one := model.scores.figure("4", "hpsv2", "hps", "solid"))]
    assert None not in own
    number = comparer.number(Setting(pair), "4", "hpsv2", "hps", "solid")
    assert number is not None
    assert number.deviation == pytest.approx(sum(one for one in own if one) / 2)
    whole = comparer.number(Setting(pair), "4", "hpsv2", "hps")
    assert whole is not None
    assert whole.deviation is None
