"""The sets that later stages are measured on: balanced, unseen, and the same every time."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.world.captions import parse_caption
from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import is_held_out
from rglcd_pipelines.world.sets import (
    CAPTIONS,
    CLASSES,
    PROMPTS,
    REFERENCE,
    TEMPLATES,
    ZERO_SHOT,
    SetsConfig,
    make_sets,
    prompts,
    read_reference,
    read_strings,
    read_zero_shot,
)
from rglcd_pipelines.world.vocabulary import NOUNS, STYLES

CONFIG = SetsConfig(zero_shot_per_class=2, prompts_per_style=20, captions=50, reference=30)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_sets(CONFIG, 32, tmp_path_factory.mktemp("sets") / "sets")


def test_every_class_has_as_many_pictures_and_they_show_it(sets: Artifact) -> None:
    pixels, scenes = read_zero_shot(sets.path)
    assert Counter(scene.noun for scene in scenes) == dict.fromkeys(NOUNS, 2)
    assert all(is_held_out(scene.noun, scene.colour) for scene in scenes)
    assert np.array_equal(pixels, render_batch(scenes, 32))


def test_classes_are_all_nouns(sets: Artifact) -> None:
    assert read_strings(sets.path / CLASSES) == list(NOUNS)


def test_a_template_with_a_noun_is_a_caption(sets: Artifact) -> None:
    templates = read_strings(sets.path / TEMPLATES)
    assert len(set(templates)) == 80
    for template in templates:
        assert parse_caption(template.format("cat")).noun == "cat"
    assert Counter(parse_caption(text.format("cat")).style for text in templates) == dict.fromkeys(STYLES, 20)


@pytest.mark.parametrize("style", STYLES)
def test_prompts_of_a_style_are_of_it_and_of_unseen_combinations(sets: Artifact, style: str) -> None:
    found = read_strings(sets.path / PROMPTS / f"{style}.json")
    assert len(set(found)) == len(found) == 20
    scenes = [parse_caption(caption) for caption in found]
    assert {scene.style for scene in scenes} == {style}
    assert all(is_held_out(scene.noun, scene.colour) for scene in scenes)


def test_captions_are_of_all_styles(sets: Artifact) -> None:
    found = read_strings(sets.path / CAPTIONS)
    assert len(set(found)) == len(found) == 50
    assert {parse_caption(caption).style for caption in found} == set(STYLES)


def test_more_prompts_begin_with_the_fewer() -> None:
    assert prompts(200, "thin")[:30] == prompts(30, "thin")


@pytest.mark.parametrize(("file", "read"), [(REFERENCE, read_reference), (ZERO_SHOT, read_zero_shot)])
def test_pictures_are_rendered_again_to_the_pixel_or_refused(
    sets: Artifact, tmp_path: Path, file: str, read: Callable[[Path], object]
) -> None:
    assert read_reference(sets.path).shape == (30, 32, 32, 3)
    told = json.loads((sets.path / file).read_text())
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(json.dumps(told | {"sha256": "0" * 64}))
    with pytest.raises(DataError, match=r"\.json: the renderer draws other pixels.*make setup"):
        read(tmp_path)


def test_equal_settings_give_equal_files_and_are_not_made_again(sets: Artifact, tmp_path: Path) -> None:
    again = make_sets(CONFIG, 32, tmp_path / "sets")
    assert again.manifest["files"] == sets.manifest["files"]
    assert make_sets(CONFIG, 32, sets.path).reused
    assert not make_sets(CONFIG.model_copy(update={"captions": 51}), 32, tmp_path / "sets").reused


def test_chunks_must_be_equal() -> None:
    with pytest.raises(ConfigError, match=r"sets\.prompts_per_style: should be a multiple of 10, not 25"):
        check(SetsConfig, {"prompts_per_style": 25}, "sets")


@pytest.mark.parametrize("change", [{"captions": 30_000}, {"prompts_per_style": 10_000}])
def test_more_than_can_be_drawn_is_refused(change: dict[str, int]) -> None:
    name, asked = next(iter(change.items()))
    with pytest.raises(ConfigError, match=rf"{name} is {asked}, more than the \d+ that can be drawn"):
        check(SetsConfig, change)
