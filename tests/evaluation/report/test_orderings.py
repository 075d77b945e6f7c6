"""The paper's orderings, on scores whose orderings are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.evaluation.intervals import Interval
from rglcd_pipelines.evaluation.report.blocks import Section, Table, Words
from rglcd_pipelines.evaluation.report.compare import Comparer
from rglcd_pipelines.evaluation.report.context import Context
from rglcd_pipelines.evaluation.report.models import Model, Models
from rglcd_pipelines.evaluation.report.orderings import CLAIMS, Ordering, Relation, judge, orderings
from rglcd_pipelines.evaluation.report.sections.orderings import orderings_section
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from tests.evaluation.report.report_models import make_models


@pytest.mark.parametrize(
    ("relation", "low", "high", "holds"),
    [
        ("above", 0.1, 0.3, "yes"),
        ("above", -0.1, 0.3, "open"),
        ("above", 0.0, 0.3, "open"),
        ("above", -0.3, -0.1, "no"),
        ("below", -0.3, -0.1, "yes"),
        ("below", -0.3, 0.1, "open"),
        ("below", 0.1, 0.3, "no"),
        ("within", -0.9, 1.0, "yes"),
        ("within", -0.9, 1.1, "open"),
        ("within", -1.2, 1.1, "open"),
        ("within", 1.1, 1.3, "no"),
        ("within", -1.3, -1.1, "no"),
    ],
)
def test_an_interval_decides_only_what_all_of_it_says(
    relation: Relation, low: float, high: float, holds: str
) -> None:
    assert judge(relation, Interval((low + high) / 2, low, high, 1), margin=1.0) == holds


@given(st.floats(-5, 5), st.floats(0, 5))
def test_above_and_below_are_each_others_mirror(low: float, width: float) -> None:
    high = low + width
    above = judge("above", Interval(low, low, high, 1), 0)
    below = judge("below", Interval(-low, -high, -low, 1), 0)
    assert above == below


@pytest.fixture(scope="module")
def found(config: ReportConfig, models: list[Model]) -> dict[str, Ordering]:
    return orderings(config, Models(models), Comparer(config))


def test_every_ordering_of_table_1_is_asked(found: dict[str, Ordering]) -> None:
    asked = {claim: sum(name.startswith(f"{claim}/") for name in found) for claim in CLAIMS}
    assert asked == {
        "reward-above-lcm": 14,
        "distance-above-lcm": 6,
        "distance-near-lcm": 2,
        "distance-below-lcm": 6,
        "reward-below-direct": 6,
        "noise-above-lcm": 2,
        "noise-below-lcm": 2,
        "few-beat-teacher": 1,
        "four-beat-two": 7,
    }


def test_those_that_were_made_to_hold_hold_and_those_that_were_not_are_open(
    found: dict[str, Ordering],
) -> None:
    answers = {name: one.holds for name, one in found.items() if one.holds != "yes"}
    assert answers == {"distance-below-lcm/pick_lrm/2": "open", "distance-below-lcm/pick_lrm/4": "open"}


def test_a_difference_is_that_of_the_means_and_lies_in_its_interval(
    found: dict[str, Ordering], models: list[Model]
) -> None:
    one = found["reward-above-lcm/hps/2"].difference
    scores = {model.name: model.scores for model in models}
    expected = np.mean(scores["hps"].values("2", "hpsv2", "hps")) - np.mean(
        scores["lcm"].values("4", "hpsv2", "hps")
    )
    assert one.value == pytest.approx(expected)
    assert one.low < one.value < one.high


def test_every_other_beta_of_the_family_is_told(found: dict[str, Ordering]) -> None:
    tried = found["reward-above-lcm/hps/2"].tried
    assert [(one.beta, one.how) for one in tried] == [(0.1, ""), (1.0, "no antialiasing"), (10.0, "")]
    assert all(one.holds == "yes" for one in tried)
    assert found["reward-above-lcm/clip/2"].tried == []


def test_students_of_another_bonus_are_another_setting(config: ReportConfig, models: list[Model]) -> None:
    usual = [one if one.name != "hps_lrm" else replace(one, real_bonus=2.0) for one in models]
    other = next(replace(one, name="hps_lrm-real_bonus0") for one in models if one.name == "hps_lrm")
    found = orderings(config, Models([*usual, other]), Comparer(config))
    (tried,) = found["reward-above-lcm/hps_lrm/2"].tried
    assert (tried.model, tried.beta, tried.how) == ("hps_lrm-real_bonus0", 0.5, "")
    main = Models([*usual, other]).main("hps_lrm")
    assert main is not None
    assert main.way == "β 0.5, real bonus 2"


def test_a_model_is_compared_with_itself_at_each_beta(found: dict[str, Ordering]) -> None:
    """4 steps against 2 of the same student, not against 2 of the family's usual one."""
    one = found["four-beat-two/hps/4"]
    assert [trial.holds for trial in one.tried] == ["yes"] * 3
    assert all(abs(trial.difference.value - one.difference.value) < 0.005 for trial in one.tried)


def test_what_is_the_other_way_round_is_said_to_be(config: ReportConfig, tmp_path: Path) -> None:
    models = make_models(tmp_path, sweep=False, imgrwd=(0.15, 0.5, 0.0010))
    found = orderings(config, Models(models), Comparer(config))
    names = ("reward-above-lcm/imgrwd/4", "distance-above-lcm/imgrwd/4", "noise-above-lcm/imgrwd/4")
    assert [found[name].holds for name in names] == ["no", "no", "no"]


def test_models_that_are_not_there_are_not_asked_about(config: ReportConfig, models: list[Model]) -> None:
    few = [model for model in models if model.name in ("hps", "hps_lrm")]
    found = orderings(config, Models(few), Comparer(config))
    assert {name.split("/")[0] for name in found} == {"reward-below-direct", "four-beat-two"}


def test_seeds_are_averaged(config: ReportConfig, tmp_path: Path) -> None:
    models = make_models(tmp_path, seeds=3, sweep=False)
    scores = {model.name: model.scores.values("4", "hpsv2", "hps") for model in models}
    all_found = orderings(config, Models(models), Comparer(config))
    one = all_found["reward-above-lcm/hps/4"]
    assert one.seeds == 3
    ours = np.mean([scores[name].mean() for name in ("hps", "hps-seed1", "hps-seed2")])
    theirs = np.mean([scores[name].mean() for name in ("lcm", "lcm-seed1", "lcm-seed2")])
    assert one.difference.value == pytest.approx(ours - theirs)
    assert all_found["few-beat-teacher/hps/2"].seeds == 3


def test_a_sweep_of_one_seed_is_told_as_one(config: ReportConfig, models: list[Model]) -> None:
    """Table 1's models have three seeds here, a sweep's have one."""
    more = [replace(model, name=f"{model.name}-seed{seed}", seed=seed)
            for model in models if model.name in ("lcm", "hps") for seed in (1, 2)]  # fmt: skip
    found = orderings(config, Models([*models, *more]), Comparer(config))
    one = found["reward-above-lcm/hps/4"]
    assert (one.seeds, [trial.seeds for trial in one.tried]) == (3, [1, 1, 1])
    assert found["reward-above-lcm/clip/4"].seeds == 1
    section = orderings_section(Context(config, Models([*models, *more]), Comparer(config)), found)
    assert isinstance(section, Section)
    said = " ".join(one for block in section.blocks if isinstance(block, Words) for one in block.sentences)
    several = sum(one.seeds == 3 for one in found.values())
    assert f"In {several} of them, which compare 3 seeds of training" in said
    assert f"the other {len(found) - several} compare one" in said
    rows = [row for block in section.blocks if isinstance(block, Table) for row in block.rows]
    row = next(row for row in rows if row[0].text == "RG-LCM (HPS) in 4 steps")
    assert row[0].small == "against LCM in 4 steps, 3 seeds"
    assert "yes (1 seed)" in row[-1].text
