"""The page: one file that needs nothing else, and in which nothing tells whose picture is whose."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from rglcd_pipelines.artifacts import open_artifact
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.arena import make
from rglcd_pipelines.evaluation.arena.key import KEY_FILE, read_key
from rglcd_pipelines.evaluation.arena.make import PAGE_FILE, make_arena
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from tests.evaluation.arena.make_drawn import (
    TINTS,
    all_samples,
    arena_config,
    make_prompts,
    make_samples,
    picture,
)

HOSTILE = '</script><script>alert(1)</script><!--<script> [[STYLE]] \u2028 & "it\'s"'


class Scripts(HTMLParser):
    """What a browser takes for scripts and their contents."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.found.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.found[-1] = (self.found[-1][0], self.found[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", {}))

    @property
    def told(self) -> dict[str, list[dict[str, str]]]:
        return json.loads(next(text for attributes, text in self.found if attributes.get("id") == "arena"))

    @property
    def pictures(self) -> dict[str, bytes]:
        return {
            attributes["id"] or "": base64.b64decode(text)
            for attributes, text in self.found
            if attributes.get("type") == "text/plain"
        }


def test_the_page_shows_the_right_pictures_on_the_sides_of_the_key(tmp_path: Path) -> None:
    arena = make_arena(arena_config(prompts=6), all_samples(tmp_path), tmp_path / "arena")
    key, page = read_key(arena), Scripts((arena.path / PAGE_FILE).read_text())
    prompts = {prompt.key: prompt for prompt in make_prompts()}
    assert [one["id"] for one in page.told["comparisons"]] == [one.id for one in key.comparisons]
    for one, told in zip(key.comparisons, page.told["comparisons"], strict=True):
        assert told["text"] == one.text == prompts[one.prompt].text
        pairing = key.pairings[one.pairing]
        sides = (pairing.ours, pairing.theirs) if one.a == "ours" else (pairing.theirs, pairing.ours)
        for side, entrant in zip("ab", sides, strict=True):
            shown = Image.open(io.BytesIO(page.pictures[f"{one.id}-{side}"]))
            drawn = Image.open(io.BytesIO(picture(entrant.model, prompts[one.prompt])))
            assert shown.tobytes() == drawn.convert("RGB").tobytes()


def test_nothing_in_the_page_tells_the_models_apart(tmp_path: Path) -> None:
    arena = make_arena(arena_config(prompts=8), all_samples(tmp_path), tmp_path / "arena")
    page = Scripts(content := (arena.path / PAGE_FILE).read_text())
    words = re.sub(r'<script type="text/plain".*?</script>', "", content)
    for secret in (*TINTS, "ours", "theirs", "ddim", "ddim-50", "styles", "anime/", "parameters", "seed"):
        assert not re.search(rf"(?<![a-z]){re.escape(secret)}(?![a-z])", words, re.IGNORECASE), secret
    assert str(tmp_path) not in content
    assert set(page.told) == {"id", "questions", "comparisons"}
    assert all(set(one) == {"id", "text"} for one in page.told["comparisons"])
    for content in page.pictures.values():
        image = Image.open(io.BytesIO(content))
        image.load()
        assert (image.format, image.mode, image.info) == ("PNG", "RGB", {})
        assert [content[i : i + 4] for i in _chunks(content)] == [b"IHDR", b"IDAT", b"IEND"]


def _chunks(png: bytes) -> list[int]:
    """Where the name of each of a PNG's chunks is."""
    found, place = [], 8
    while place < len(png):
        found.append(place + 4)
        place += 12 + int.from_bytes(png[place : place + 4], "big")
    return found


def test_the_page_needs_no_other_file_and_no_network(tmp_path: Path) -> None:
    arena = make_arena(arena_config(), all_samples(tmp_path), tmp_path / "arena")
    content = (arena.path / PAGE_FILE).read_text()
    page = Scripts(content)
    assert not re.search(r"https?:|//[a-z]+\.[a-z]|@import|url\(", content)
    linked = [
        value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert linked == ["data:,"]
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")


def test_a_prompt_that_looks_like_code_stays_text(tmp_path: Path) -> None:
    prompts = [Prompt("styles/odd/00000", "styles", "odd", HOSTILE, 0)]
    arena = make_arena(
        arena_config(prompts=1, title=f"Hm {HOSTILE}"), all_samples(tmp_path, prompts), tmp_path / "arena"
    )
    page = Scripts((arena.path / PAGE_FILE).read_text())
    assert [one["text"] for one in page.told["comparisons"]] == [HOSTILE] * 2
    assert len([attributes for attributes, _ in page.found if "type" not in attributes]) == 1


def test_nothing_is_made_twice_and_the_same_arena_has_the_same_id(tmp_path: Path) -> None:
    samples = all_samples(tmp_path)
    made = make_arena(arena_config(), samples, tmp_path / "arena")
    assert make_arena(arena_config(), samples, tmp_path / "arena").reused
    assert open_artifact(tmp_path / "arena", "arena").manifest["arena"] == read_key(made).id
    again = make_arena(arena_config(), samples, tmp_path / "again")
    assert (again.path / PAGE_FILE).read_bytes() == (made.path / PAGE_FILE).read_bytes()


def test_other_pictures_questions_or_sides_are_another_arena(tmp_path: Path) -> None:
    samples = all_samples(tmp_path)
    asked = [{"id": "preference", "title": "Q", "text": "Which?"}]
    others = all_samples(tmp_path / "larger", side=20)
    ids = [
        make_arena(config, drawn, tmp_path / f"arena{number}").manifest["arena"]
        for number, (config, drawn) in enumerate(
            [
                (arena_config(), samples),
                (arena_config(seed=1), samples),
                (arena_config(questions=asked), samples),
                (arena_config(), others),
            ]
        )
    ]
    assert len(set(ids)) == 4


def test_an_earlier_arena_keeps_its_key(tmp_path: Path) -> None:
    samples = all_samples(tmp_path)
    first = read_key(make_arena(arena_config(), samples, tmp_path / "arena"))
    second = read_key(make_arena(arena_config(seed=1), samples, tmp_path / "arena"))
    assert second.id != first.id
    assert read_key(open_artifact(tmp_path / f"arena-{first.id}", "arena")) == first
    make_arena(arena_config(), samples, tmp_path / "arena")
    make_arena(arena_config(seed=1), samples, tmp_path / "arena")
    assert sorted(path.name for path in tmp_path.glob("arena*") if path.is_dir()) == sorted(
        ["arena", f"arena-{first.id}", f"arena-{second.id}"]
    )
    assert read_key(open_artifact(tmp_path / "arena", "arena")) == second


def test_pictures_of_other_sizes_would_tell_and_are_refused(tmp_path: Path) -> None:
    samples = all_samples(tmp_path)
    samples["teacher"] = make_samples(tmp_path / "larger", "teacher", make_prompts(), side=20)
    with pytest.raises(
        DataError, match=r"styles/.* differ in size.*hps at 2 16 × 16 .* teacher at ddim-50 20 × 20"
    ):
        make_arena(arena_config(), samples, tmp_path / "arena")
    assert not (tmp_path / "arena").exists()


def test_a_picture_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    samples = all_samples(tmp_path)
    samples["lcm"] = make_samples(tmp_path / "bad", "lcm", make_prompts(), content=b"no picture")
    with pytest.raises(DataError, match=r"The picture of styles/.* by lcm at 4 cannot be read"):
        make_arena(arena_config(), samples, tmp_path / "arena")


def test_a_page_that_no_browser_opens_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "MOST_BYTES", 10_000)
    with pytest.raises(DataError, match=r"arena\.prompts: .* more than 0 MB"):
        make_arena(arena_config(prompts=8), all_samples(tmp_path), tmp_path / "arena")


def test_a_key_that_is_gone_or_damaged_is_told(tmp_path: Path) -> None:
    arena = make_arena(arena_config(), all_samples(tmp_path), tmp_path / "arena")
    (arena.path / KEY_FILE).write_text('{"version": 1}')
    with pytest.raises(DataError, match=r"arena\.json: the arena's key cannot be read"):
        read_key(arena)
    (arena.path / KEY_FILE).unlink()
    with pytest.raises(DataError, match=r"arena\.json: the arena's key cannot be read"):
        read_key(arena)
