"""Table 1 as rows, and as the files that hold them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest

from rglcd_pipelines.evaluation.benchmark import PROTOCOL
from rglcd_pipelines.evaluation.report.compare import Comparer, Number
from rglcd_pipelines.evaluation.report.models import Model, Models
from rglcd_pipelines.evaluation.report.numbers import best_of, cell, head_of, in_words, ranged, shown
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from rglcd_pipelines.evaluation.report.table1 import as_block, as_csv, as_json, as_markdown, make_table1
from rglcd_pipelines.evaluation.scores.table import Figure, Measure
from tests.evaluation.report.report_models import make_models

PERCENT = Measure("p", "high", "", "held_out", 100.0, 1)
LOW = Measure("d", "low", "", "distance")


def test_the_rows_are_those_of_the_paper(report: Path) -> None:
    told = json.loads((report / "table1.json").read_text())
    rows = [(row["label"], row["column"]) for row in told["rows"]]
    students = ["CLIP", "Pick", "Pick + LRM", "ImgRwd", "ImgRwd + LRM", "HPS", "HPS + LRM"]
    labels = [f"RG-LCM ({name.split(' ')[0]}){' + LRM' if 'LRM' in name else ''}" for name in students]
    expected = [("LCM", "4"), ("Teacher", "ddim-50")]
    assert rows == expected + [(label, column) for label in labels for column in ("2", "4")]
    assert told["rows"][1]["nfe"] == 100


def test_the_columns_are_the_styles_their_mean_and_the_others(report: Path) -> None:
    told = json.loads((report / "table1.json").read_text())
    names = list(told["rows"][0]["figures"])
    assert names == ["cartoon", "solid", "thin", "two-tone", "hps", "fid", "high_frequency", "gold"]
    assert told["units"]["hps"] == {"label": "hps-mini", "times": 100.0, "better": "high"}


def test_numbers_are_those_of_the_scores(report: Path, models: list[Model]) -> None:
    told = json.loads((report / "table1.json").read_text())
    scores = next(model.scores for model in models if model.name == "hps")
    row = next(row for row in told["rows"] if row["label"] == "RG-LCM (HPS)" and row["column"] == "2")
    figure = scores.figure("2", "hpsv2", "hps", "solid")
    assert figure is not None
    assert row["figures"]["solid"]["value"] == pytest.approx(100 * figure.value)
    assert row["figures"]["solid"]["deviation"] == pytest.approx(100 * (figure.deviation or 0))
    assert row["figures"]["solid"]["count"] == 20


def test_the_files_agree(report: Path) -> None:
    told = json.loads((report / "table1.json").read_text())
    with (report / "table1.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = (report / "table1.md").read_text().splitlines()
    for number, row in enumerate(told["rows"]):
        assert rows[number]["label"] == row["label"]
        for name, figure in row["figures"].items():
            assert float(rows[number][name]) == pytest.approx(figure["value"], rel=1e-5)
            assert float(rows[number][f"{name}_low"]) == pytest.approx(figure["low"], rel=1e-5)
        cells = lines[number + 2].strip("| ").split(" | ")
        assert cells[0].split(", β")[0] == row["label"]
        assert cells[2].strip("*").startswith(f"{row['figures']['cartoon']['value']:.2f}")


def test_orderings_are_told_in_full(report: Path) -> None:
    one = json.loads((report / "table1.json").read_text())["orderings"]["reward-above-lcm/hps/2"]
    assert one["says"] == "RG-LCM (HPS) in 2 steps: hps-mini above that of LCM in 4 steps"
    assert (one["holds"], one["answer"], one["beta"], one["seeds"]) == (True, "yes", 1.0, 1)
    low, high = one["interval"]
    assert low < one["figure"] < high
    assert 9 < one["figure"] < 14
    assert [trial["model"] for trial in one["tried"]] == ["hps-beta0_1", "hps-aliased", "hps-beta10"]


def test_a_measure_that_nobody_has_is_no_column(config: ReportConfig, models: list[Model]) -> None:
    table = make_table1(config.model_copy(update={"gold": "nobody"}), Models(models), Comparer(config))
    assert [field.key for field in table.fields][-1] == "high_frequency"


def test_models_without_such_samples_are_no_rows(config: ReportConfig, models: list[Model]) -> None:
    table = make_table1(config.model_copy(update={"columns": ["1", "4"]}), Models(models), Comparer(config))
    assert {row.side.column for row in table.rows} == {"4", "ddim-50"}
    assert len(table.rows) == 9


def test_several_seeds_are_one_row(config: ReportConfig, tmp_path: Path) -> None:
    table = make_table1(config, Models(make_models(tmp_path, seeds=2, sweep=False)), Comparer(config))
    assert len(table.rows) == 16
    lines = as_csv(table).splitlines()
    assert lines[1].split(",")[5] == "2"
    assert "| LCM, 2 seeds | 4 |" in as_markdown(config, table)
    block = as_block(config, table)
    assert "\nsd " in block.rows[0][2].small
    assert "sd: the deviation of the chunks' means (the mean of the seeds)." in block.note


def test_what_sd_is_is_told_only_where_it_stands(config: ReportConfig, models: list[Model]) -> None:
    table = make_table1(config, Models(models), Comparer(config))
    assert "sd: the deviation of the chunks' means." in as_block(config, table).note
    bare = [
        replace(model, scores=replace(model.scores, figures=_without_deviations(model))) for model in models
    ]
    block = as_block(config, make_table1(config, Models(bare), Comparer(config)))
    assert "sd" not in "".join(cell.small for row in block.rows for cell in row)
    assert "sd:" not in block.note


def _without_deviations(model: Model) -> list[Figure]:
    return [replace(figure, deviation=None) for figure in model.scores.figures]


def test_a_row_is_of_the_seeds_that_were_scored_in_its_steps(
    config: ReportConfig, models: list[Model]
) -> None:
    by_name = {model.name: model for model in models}
    first = by_name["hps"].scores
    few = replace(first, columns={"4": first.columns["4"]},
                  figures=[one for one in first.figures if one.column == "4"])  # fmt: skip
    few.__dict__["_rows"] = first._rows.filter(pc.field("column") == "4")
    seeds = [replace(by_name["hps"], scores=few), replace(by_name["hps"], name="hps-seed1", seed=1)]
    table = make_table1(config, Models([by_name["lcm"], *seeds]), Comparer(config))
    told = {row["column"]: row for row in as_json(config, table, {})["rows"] if row["model"] != "lcm"}
    assert (told["2"]["seeds"], told["4"]["seeds"]) == ([1], [0, 1])
    assert told["2"]["figures"]["hps"]["seeds"] == 1


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [(0.1234, False, "12.3"), (-0.1234, False, "−12.3"), (0.1234, True, "+12.3"), (-0.0001, True, "0.0")],
)
def test_numbers_are_written_with_a_true_minus(value: float, signed: bool, text: str) -> None:
    assert shown(value, PERCENT, signed) == text


def test_the_protocol_is_the_benchmarks_own() -> None:
    assert ReportConfig().protocol == PROTOCOL


def test_a_cell_holds_interval_and_deviation() -> None:
    number = Number(0.5, 0.4, 0.6, 80, 1, 0.02)
    assert cell(number, PERCENT, None).small == "40.0 to 60.0\nsd 2.0"
    assert cell(Number(0.5, None, None, 80, 1, 0.02), PERCENT, None).small == "sd 2.0"
    assert cell(None, PERCENT, "http://x").text == "–"
    assert in_words(number, PERCENT) == "50.0 (40.0 to 60.0)"


def test_the_best_are_those_that_read_the_same() -> None:
    numbers = [Number(value, None, None, 1, 1) for value in (0.1231, 0.1233, 0.05)]
    assert best_of([*numbers, None], PERCENT) == {0, 1}
    assert best_of([*numbers], LOW) == {2}
    assert best_of([*numbers], Measure("n", "reference", "", "watch")) == set()
    assert best_of([numbers[0]], PERCENT) == set()


def test_a_head_says_units_and_the_better_way() -> None:
    assert head_of(PERCENT) == "p ×100 ↑"
    assert head_of(LOW) == "d ↓"


def test_an_interval_that_is_decided_says_on_which_side_of_zero_it_lies() -> None:
    measure = Measure("energy", "reference", "", "watch", scale=1e3)
    assert ranged(-0.00017, -0.0000028, measure, signed=True) == "−0.1700 to −0.0028"
    assert ranged(-0.00017, 0.0000028, measure, signed=True) == "−0.17 to 0.00"
    assert ranged(0.0, 0.00017, measure, signed=True) == "0.00 to +0.17"
