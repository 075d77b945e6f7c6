"""The page in a browser: people click and press keys, reload, go back and export, and are counted right."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.evaluation.arena.count import count_votes
from rglcd_pipelines.evaluation.arena.key import read_key
from rglcd_pipelines.evaluation.arena.make import PAGE_FILE, make_arena
from rglcd_pipelines.evaluation.arena.settings import VotesConfig
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from tests.evaluation.arena.browser import (
    chromium,
    downloaded,
    needs_chromium,
    one,
    open_page,
    set_screen,
    show_as,
)
from tests.evaluation.arena.make_drawn import all_samples, arena_config, make_samples

pytestmark = [pytest.mark.slow, needs_chromium]

TEXTS = ("a cat </script><b>bold</b>", "two cats\u2028& a dog", "a very long prompt " * 60, "猫")
PROMPTS = [Prompt(f"styles/s/{i}", "styles", "s", text, i) for i, text in enumerate(TEXTS)]

REDDER = """
const red = ["a", "b"].map((side) => {
  const image = document.getElementById(`picture-${side}`), canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const paper = canvas.getContext("2d");
  paper.drawImage(image, 0, 0, 1, 1);
  const [r, g, b] = paper.getImageData(0, 0, 1, 1).data;
  return r - g - b;
});
return red[0] > red[1] ? "a" : "b";
"""
CONTRASTS = """
const light = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => v / 255).map((v) =>
    v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (node) => {
  const colour = getComputedStyle(node).backgroundColor;
  return colour === "rgba(0, 0, 0, 0)" ? ground(node.parentElement) : colour;
};
const texts = document.querySelectorAll("h1, p, button, kbd, figcaption, #prompt, li, label, summary, small");
return [...texts].filter((node) => node.checkVisibility() && !node.disabled).map((node) => {
  const [x, y] = [light(getComputedStyle(node).color), light(ground(node))];
  return [(Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05), node.textContent.trim().slice(0, 30)];
});
"""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    home = tmp_path_factory.mktemp("arena")
    return make_arena(arena_config(), all_samples(home, PROMPTS), home / "arena")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def driver(browser: Chrome, tmp_path: Path, arena: Artifact) -> Chrome:
    """The arena's page, which nobody has voted on."""
    open_page(browser, arena.path / PAGE_FILE, tmp_path)
    return browser


def start(driver: Chrome, name: str) -> None:
    one(driver, "#name").send_keys(name)
    one(driver, "#enter button").click()


def press(driver: Chrome, key: str) -> None:
    ActionChains(driver).send_keys(key).perform()


def click(driver: Chrome, answer: str) -> None:
    one(driver, f"[data-answer={answer}]").click()


def where(driver: Chrome) -> tuple[str, str]:
    return one(driver, "#where").text, one(driver, "#question small").text


def exported(driver: Chrome, home: Path, name: str, section: str = "vote") -> dict[str, Any]:
    one(driver, f"#{section} [data-do=export]").click()
    return json.loads(downloaded(home, name).read_text())


def errors(driver: Chrome) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser")]


def test_votes_from_the_first_click_to_the_figures(tmp_path: Path, arena: Artifact, driver: Chrome) -> None:
    """A rater prefers red pictures, which are hps's, finds none appealing and A aligned, in three ways."""
    start(driver, " Ann  Ü. ")
    clicked: list[tuple[str, str]] = []
    ways = {"a": ("1", Keys.ARROW_LEFT), "b": ("2", Keys.ARROW_RIGHT), "tie": ("0", Keys.ARROW_DOWN)}
    for number in range(8):
        assert where(driver) == (f"Comparison {number + 1} of 8", "Question 1 of 3")
        assert one(driver, "#prompt").text.strip() in [" ".join(text.split()) for text in TEXTS]
        red = driver.execute_script(REDDER)
        for answer in (red, "tie", "a"):
            clicked.append((one(driver, "#question").text.splitlines()[1], answer))
            if number % 3 < 2:
                press(driver, ways[answer][number % 3])
            else:
                click(driver, answer)
            if len(clicked) == 11:
                driver.refresh()
                assert where(driver) == ("Comparison 4 of 8", "Question 3 of 3")
    assert one(driver, "#thanks").text == "Thank you, Ann Ü.: everything is judged."
    name = f"votes-{arena.manifest['arena']}-Ann_Ü_.json"
    told = exported(driver, tmp_path, name, "end")
    assert json.loads(one(driver, "#copy").get_property("value")) == told  # pyright: ignore[reportArgumentType]
    assert errors(driver) == []
    assert {k: told[k] for k in ("version", "arena", "rater")} == {
        "version": 1, "arena": arena.manifest["arena"], "rater": "Ann Ü.",
    }  # fmt: skip
    texts = {question.id: question.text for question in read_key(arena).questions}
    assert [(texts[vote["question"]], vote["answer"]) for vote in told["votes"]] == clicked
    votes = count_votes(VotesConfig(files=str(tmp_path / "downloads")), arena, tmp_path / "counted")
    for pairing in ("hps-2/teacher-ddim-50", "hps-4/lcm-4"):
        assert votes.metrics[f"preference/{pairing}"] == 1
        assert votes.metrics[f"appeal/{pairing}"] == 0
        assert votes.metrics[f"appeal/{pairing}/lead"] == 0
        assert votes.metrics[f"alignment/{pairing}"] == 0.5


def test_what_was_answered_can_be_taken_back(tmp_path: Path, arena: Artifact, driver: Chrome) -> None:
    start(driver, "bob")
    assert not one(driver, "#vote [data-do=back]").is_enabled()
    for key in ("1", "1", "1", "2"):
        press(driver, key)
    assert where(driver) == ("Comparison 2 of 8", "Question 2 of 3")
    press(driver, "u")
    press(driver, Keys.BACKSPACE)
    one(driver, "#vote [data-do=back]").click()
    assert where(driver) == ("Comparison 1 of 8", "Question 2 of 3")
    click(driver, "tie")
    told = exported(driver, tmp_path, f"votes-{arena.manifest['arena']}-bob.json")
    assert [vote["answer"] for vote in told["votes"]] == ["a", "tie"]
    assert "holds your 2 answers so far" in one(driver, "#said").text


def test_slips_answer_nothing(driver: Chrome) -> None:
    """A double click answers once, keys with modifiers and a held key nothing, nor does typing a name."""
    assert not one(driver, "#vote").is_displayed()
    press(driver, "1")
    assert one(driver, "#name").get_property("value") == "1"
    one(driver, "#name").clear()
    start(driver, "   ")
    assert "give a name" in one(driver, "#refused").text
    start(driver, "cem")
    ActionChains(driver).double_click(one(driver, "[data-answer=a]")).perform()
    assert where(driver)[1] == "Question 2 of 3"
    ActionChains(driver).key_down(Keys.CONTROL).send_keys("1").key_up(Keys.CONTROL).perform()
    assert where(driver)[1] == "Question 2 of 3"
    driver.execute_script(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '1', repeat: true, bubbles: true}))"
    )
    assert where(driver)[1] == "Question 2 of 3"


def test_raters_have_orders_and_answers_of_their_own(tmp_path: Path, arena: Artifact, driver: Chrome) -> None:
    orders: dict[str, list[str]] = {}
    for rater in ("dee", "eve"):
        start(driver, rater)
        for _ in range(24):
            press(driver, "1")
        told = exported(driver, tmp_path, f"votes-{arena.manifest['arena']}-{rater}.json", "end")
        orders[rater] = [vote["comparison"] for vote in told["votes"]]
        one(driver, "#end [data-do=leave]").click()
    assert orders["dee"] != orders["eve"]
    assert sorted(orders["dee"]) == sorted(orders["eve"])
    start(driver, "DEE")
    assert one(driver, "#thanks").is_displayed()


def test_a_browser_that_keeps_nothing_says_so_and_still_exports(
    tmp_path: Path, arena: Artifact, driver: Chrome
) -> None:
    refuse = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no') }})"
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refuse})
    driver.refresh()
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    start(driver, "flo")
    assert "keeps no answers" in one(driver, "#said").text
    press(driver, "2")
    assert "keeps no answers" in one(driver, "#said").text
    told = exported(driver, tmp_path, f"votes-{arena.manifest['arena']}-flo.json")
    assert [vote["answer"] for vote in told["votes"]] == ["b"]
    assert errors(driver) == []


def test_damaged_memory_is_begun_anew(arena: Artifact, driver: Chrome) -> None:
    place = f"arena-{arena.manifest['arena']}-votes-gus"
    for kept in ("{", "5", '[{"comparison": "999", "question": "appeal", "answer": "a"}, {}]'):
        driver.execute_script("localStorage.setItem(arguments[0], arguments[1])", place, kept)
        start(driver, "gus")
        assert where(driver) == ("Comparison 1 of 8", "Question 1 of 3")
        assert errors(driver) == []
        one(driver, "#vote [data-do=leave]").click()


@pytest.mark.parametrize(
    ("width", "height", "phone", "stacked"),
    [(1280, 800, False, False), (390, 844, True, True), (844, 390, True, False), (320, 568, True, True)],
)
def test_pictures_are_whole_alike_and_pixelated(
    driver: Chrome, width: int, height: int, phone: bool, stacked: bool
) -> None:
    set_screen(driver, width, height, phone)
    driver.refresh()
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    start(driver, "hal")
    while "long" in one(driver, "#prompt").text:
        press(driver, "0")
    a, b = (one(driver, f"#picture-{side}").rect for side in "ab")
    assert (a["width"], a["height"]) == (b["width"], b["height"])
    dots = a["width"] * (3 if phone else 1) / 16
    assert dots == pytest.approx(round(dots), abs=0.01)
    assert a["width"] >= 160 - 16
    assert one(driver, "#picture-a").value_of_css_property("image-rendering") == "pixelated"
    assert (a["x"] == b["x"]) == stacked
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_is_named(driver: Chrome, scheme: str) -> None:
    show_as(driver, scheme)
    ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(22, 22, 22)") == (scheme == "dark")
    pages: list[list[tuple[float, str]]] = [driver.execute_script(CONTRASTS)]
    assert driver.switch_to.active_element.accessible_name == "Your name or initials"
    start(driver, f"ivy {scheme}")
    press(driver, "1")
    pages.append(driver.execute_script(CONTRASTS))
    assert one(driver, "#picture-a").accessible_name == "Image A"
    assert one(driver, "[data-answer=tie]").accessible_name.startswith("Can’t say")
    assert one(driver, "#done").accessible_name == "Comparisons judged"
    for _ in range(23):
        press(driver, "1")
    pages.append(driver.execute_script(CONTRASTS))
    assert driver.switch_to.active_element == one(driver, "#thanks")
    found = [item for page in pages for item in page]
    assert len(found) > 20
    assert [item for item in found if item[0] < 4.5] == []


def test_large_pictures_are_not_pixelated(browser: Chrome, tmp_path: Path) -> None:
    large = {m: make_samples(tmp_path, m, PROMPTS[:1], side=300) for m in ("hps", "lcm", "teacher")}
    arena = make_arena(arena_config(prompts=1), large, tmp_path / "arena")
    open_page(browser, arena.path / PAGE_FILE, tmp_path)
    start(browser, "jon")
    image = one(browser, "#picture-b")
    assert image.value_of_css_property("image-rendering") == "auto"
    assert 300 < image.rect["width"] <= 512
