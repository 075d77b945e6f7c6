"""The folder of a report: whole, the same again, made anew when its scores are others."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rglcd_pipelines.artifacts import open_artifact
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.report.make import make_report
from rglcd_pipelines.evaluation.report.models import Model, Models
from rglcd_pipelines.evaluation.report.settings import ReportConfig


@pytest.fixture
def few(models: list[Model]) -> list[Model]:
    """Enough for Table 1, and quick."""
    return [replace(one, samples=None, student=None) for one in models if one.name in ("lcm", "hps")]


def test_the_folder_holds_what_the_page_shows(report: Path) -> None:
    files = {file.name for file in report.iterdir()}
    assert files == {
        "manifest.json", "report.html", "table1.json", "table1.csv", "table1.md", "figures"
    }  # fmt: skip
    figures = {file.stem for file in (report / "figures").iterdir()}
    assert {
        "samples",
        "beta-hps",
        "beta-imgrwd",
        "spectrum-hps",
        "effect-imgrwd",
        "resizing",
        "training-hps",
    } < figures
    for file in (report / "figures").iterdir():
        with Image.open(file) as image:
            image.load()
            assert min(image.size) > 200
    manifest = open_artifact(report, "report").manifest
    assert manifest["rows"] == 16
    assert manifest["orderings"]["reward-above-lcm/hps/2"] == "yes"


def test_no_path_of_this_machine_is_in_it(report: Path, models: list[Model]) -> None:
    places = {str(one.scores.path.parent) for one in models}
    for name in ("report.html", "table1.json", "manifest.json"):
        text = (report / name).read_text(encoding="utf-8")
        assert not any(place in text for place in places)


def test_the_same_again_is_there_already(config: ReportConfig, few: list[Model], tmp_path: Path) -> None:
    first = make_report(config, few, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_bytes()
    again = make_report(config, few, tmp_path / "report")
    assert (first.reused, again.reused) == (False, True)
    elsewhere = make_report(config, few, tmp_path / "elsewhere")
    assert (elsewhere.path / "report.html").read_bytes() == page


def test_other_settings_or_scores_make_it_anew(
    config: ReportConfig, few: list[Model], tmp_path: Path
) -> None:
    place = tmp_path / "report"
    make_report(config, few, place)
    assert not make_report(config.model_copy(update={"title": "Other"}), few, place).reused
    assert not make_report(config, few, place).reused
    assert not make_report(config, few[:1], place).reused
    assert make_report(config, few[:1], place).reused


def test_sections_without_data_are_named_at_the_end(
    config: ReportConfig, few: list[Model], tmp_path: Path
) -> None:
    page = (make_report(config, few, tmp_path / "report").path / "report.html").read_text()
    footer = page[page.index("<footer>") :]
    for title in ("Samples", "Tables 3 and 4", "The effect of β", "The course of training", "Speed"):
        assert title in footer
        assert f'<h2 id="{title}' not in page


def test_nothing_to_report_is_told(config: ReportConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kedro run --pipeline=evaluate"):
        make_report(config, [], tmp_path / "report")


def test_models_that_drew_other_prompts_are_told_by_name(
    config: ReportConfig, few: list[Model], tmp_path: Path
) -> None:
    lcm, hps = sorted(few, key=lambda model: model.name, reverse=True)
    fewer = replace(hps.scores)
    fewer.__dict__["_rows"] = hps.scores._rows.slice(5)
    with pytest.raises(DataError, match=r"hps \(2\) has \d+ samples and lacks \d+ \(hpsv2/cartoon/00000"):
        make_report(config, [lcm, replace(hps, scores=fewer)], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_series_that_repeats_the_main_model_is_no_second_seed(few: list[Model]) -> None:
    hps = next(one for one in few if one.name == "hps")
    repeated = replace(hps, name="hps-antialiased")
    main = Models([repeated, hps]).main("hps")
    assert main is not None
    assert [model.name for model in main.models] == ["hps"]


def test_families_come_in_the_order_of_the_paper(models: list[Model]) -> None:
    own = replace(models[1], name="mine", family="mine", reward="aesthetic", beta=1.0)
    guided = Models([own, *reversed(models)]).guided
    assert [one.family for one in guided] == [
        "clip", "pick", "pick_lrm", "imgrwd", "imgrwd_lrm", "hps", "hps_lrm", "mine"
    ]  # fmt: skip
    assert guided[-1].label == "RG-LCM (aesthetic)"
