"""report.html: one file that needs nothing else, and says what the scores say."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from rglcd_pipelines.evaluation.report.blocks import Cell, Grid, Head, LeftOut, Section, Shown, Table, Words
from rglcd_pipelines.evaluation.report.models import Model, Setting
from rglcd_pipelines.evaluation.report.page import render_page
from tests.evaluation.report.report_page import Page


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page((report / "report.html").read_text(encoding="utf-8"))


def test_nothing_is_fetched(page: Page, report: Path) -> None:
    html = (report / "report.html").read_text(encoding="utf-8")
    for element in page.elements:
        for name in ("src", "srcset"):
            assert element.attributes.get(name, "data:").startswith("data:")
    assert {one.tag for one in page.elements}.isdisjoint({"script", "link", "iframe", "object"})
    assert "@import" not in html
    assert "url(" not in html


def test_every_picture_is_told_in_words_and_has_its_size(page: Page) -> None:
    images = page.all("img")
    assert len(images) > 30
    for image in images:
        assert image.attributes["alt"].strip()
        assert int(image.attributes["width"]) > 0
        assert int(image.attributes["height"]) > 0


def test_small_pictures_are_enlarged_by_whole_factors(page: Page) -> None:
    sizes = {(one.attributes["width"], one.attributes["height"]) for one in page.all("img")
             if one.attributes.get("class") == "pixels"}  # fmt: skip
    assert sizes == {("160", "160"), ("224", "224")}


def test_the_contents_lead_to_every_section(page: Page) -> None:
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    leads = [one.attributes["href"][1:] for one in page.all("a") if one.attributes["href"].startswith("#")]
    assert set(leads) <= set(ids)
    assert leads == [one.attributes["aria-labelledby"] for one in page.all("section")]
    assert leads == [
        "table-1", "orderings", "samples", "tables-3-4", "beta", "iterations", "latent-reward", "resizing",
        "training", "distances", "watch", "speed",
    ]  # fmt: skip


def test_headings_do_not_skip_a_level(page: Page) -> None:
    levels = [int(one.tag[1]) for one in page.elements if re.fullmatch(r"h[1-6]", one.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_rows_are_as_long_as_their_heads(page: Page) -> None:
    """Each column of a table has a head; grids have one for every picture."""
    rows: list[list[int]] = []
    for element in page.elements:
        if element.tag == "table":
            rows.append([])
        if element.tag in ("td", "th") and "tbody" in element.above and rows:
            rows[-1].append(int(element.attributes.get("colspan", "1")))
    assert len(rows) > 15
    assert all(rows)


def test_every_number_of_a_student_leads_to_its_run(page: Page, models: list[Model]) -> None:
    runs = {model.run_url for model in models if model.run_url}
    numbers = [one for one in page.all("a") if "td" in one.above]
    assert {one.attributes["href"] for one in numbers} <= runs
    assert len(numbers) > 150
    assert all(re.search(r"\d", one.text) for one in numbers)


def test_nothing_is_left_out_of_a_whole_report(page: Page) -> None:
    assert not page.all("footer")


def _render(*blocks: Table | Words | Grid, left_out: tuple[LeftOut, ...] = ()) -> str:
    return render_page("A & B", ["one"], [Section("s", "S", list(blocks))], left_out)


def test_markup_in_prompts_and_names_is_text() -> None:
    nasty = '<script>alert("x")</script> & "quotes"'
    shown = Shown(b"png", "image/png", nasty, 10, 10, True)
    grid = Grid("g", nasty, [nasty], [nasty], [[shown]])
    table = Table(nasty, [[Head(nasty)]], [[Cell(nasty, nasty)]], nasty)
    page = Page(_render(grid, table, Words([nasty]), left_out=(LeftOut(nasty, nasty, nasty),)))
    assert not page.all("script")
    assert page.all("img")[0].attributes["alt"] == nasty
    assert page.all("li")[-1].text == nasty
    assert nasty in page.all("footer")[0].text
    assert page.all("title")[0].text == "A & B"


def test_what_is_left_out_is_one_line_with_its_commands() -> None:
    left_out = (LeftOut("Speed", "no seconds", "kedro run"), LeftOut("Samples", "none", "kedro run --x"))
    footer = Page(_render(Words(["one"]), left_out=left_out)).all("footer")[0]
    first, second = "Speed (no seconds; make it with kedro run)", "Samples (none; make it with kedro run --x)"
    assert footer.text.strip() == f"Left out: {first}; {second}."


def test_a_picture_that_is_missing_is_said_to_be() -> None:
    page = Page(_render(Grid("g", "c", ["one"], ["prompt"], [[None]])))
    assert page.all("td")[0].text == "no picture"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://127.0.0.1:5000/#/experiments/1/runs/2", True),
        ("https://mlflow.example/#/runs/2", True),
        ("javascript:alert(1)", False),
        ("sqlite:///mlflow.db", False),
        (None, False),
    ],
)
def test_only_what_a_browser_may_open_is_a_link(models: list[Model], url: str | None, kept: bool) -> None:
    setting = Setting((replace(models[0], run_url=url),))
    assert setting.url == (url if kept else None)
