import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world.scenes import (
    MOST_RIVALS,
    PHRASINGS,
    SHIFTS,
    Scene,
    draw_rivals,
    draw_scenes,
    is_held_out,
)
from rglcd_pipelines.world.vocabulary import BACKGROUNDS, COLOURS, CONTRASTING, NOUNS, SIZES, STYLES


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    colour = draw(st.sampled_from(list(COLOURS)))
    shifts = st.sampled_from(SHIFTS)
    return Scene(
        style=draw(st.sampled_from(list(STYLES))),
        noun=draw(st.sampled_from(list(NOUNS))),
        colour=colour,
        size=draw(st.sampled_from(list(SIZES))),
        background=draw(st.sampled_from(BACKGROUNDS)),
        background_colour=draw(st.sampled_from(CONTRASTING[colour])),
        shift_x=draw(shifts),
        shift_y=draw(shifts),
        phrasing=draw(st.integers(0, len(PHRASINGS) - 1)),
    )


@given(scenes())
def test_json_round_trip(scene: Scene) -> None:
    assert Scene.from_json(json.loads(json.dumps(scene.as_json()))) == scene


@given(scenes())
def test_caption_says_every_attribute(scene: Scene) -> None:
    words = scene.caption.replace(",", "").split(" ")
    for value in (scene.style, scene.size, scene.colour, scene.background, scene.background_colour):
        assert value in words
    assert f" {scene.noun}" in scene.caption
    # The two colours can be told apart: the background's stands right before its noun.
    assert f"{scene.background} {scene.background_colour} background" in scene.caption


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"noun": "unicorn"}, "noun"),
        ({"colour": "beige"}, "colour"),
        ({"shift_x": 1}, "shift_x"),
        ({"shift_y": 1.0}, "shift_y"),
        ({"phrasing": True}, "phrasing"),
        ({"style": ["thin"]}, "style"),
        ({"background_colour": "red"}, "background_colour"),
        ({"artist": "me"}, "artist"),
    ],
)
def test_from_json_names_what_is_wrong(change: dict[str, object], named: str) -> None:
    good = Scene("thin", "fish", "red", "small", "plain", "white")
    with pytest.raises(DataError, match=f"^{named}:"):
        Scene.from_json(good.as_json() | change)


def test_from_json_misses_an_attribute() -> None:
    values = Scene("thin", "fish", "red", "small", "plain", "white").as_json()
    del values["size"]
    with pytest.raises(DataError, match=r"^size:"):
        Scene.from_json(values)


def test_draws_repeat_and_differ() -> None:
    assert draw_scenes(3, 5, 50) == draw_scenes(3, 5, 50)
    others = [draw_scenes(4, 5, 50), draw_scenes(3, 6, 50), draw_scenes(5, 3, 50)]
    assert all(draw_scenes(3, 5, 50) != other for other in others)
    assert draw_scenes(3, 5, 80)[:50] == draw_scenes(3, 5, 50)


def test_draws_are_spread_evenly() -> None:
    drawn = draw_scenes(0, 0, 20_000)
    assert {(s.noun, s.style) for s in drawn} == {(n, s) for n in NOUNS for s in STYLES}
    for attribute, choices in (("style", STYLES), ("size", SIZES), ("background", BACKGROUNDS)):
        counts = Counter(getattr(scene, attribute) for scene in drawn)
        assert set(counts) == set(choices)
        assert max(counts.values()) < 1.1 * min(counts.values())
    assert {s.shift_x for s in drawn} == {s.shift_y for s in drawn} == set(SHIFTS)
    assert {s.phrasing for s in drawn} == set(range(len(PHRASINGS)))
    assert all(s.background_colour in CONTRASTING[s.colour] for s in drawn)


def test_held_out_pairs_are_a_tenth_and_touch_every_noun_and_colour() -> None:
    held_out = [(n, c) for n in NOUNS for c in COLOURS if is_held_out(n, c)]
    assert 0.08 <= len(held_out) / (len(NOUNS) * len(COLOURS)) <= 0.12
    assert {noun for noun, _ in held_out} == set(NOUNS)
    assert min(Counter(colour for _, colour in held_out)[c] for c in COLOURS) >= 3


@given(st.integers(0, 2**40), st.integers(0, 1000))
def test_held_out_pairs_never_leak(seed: int, block: int) -> None:
    assert not any(is_held_out(s.noun, s.colour) for s in draw_scenes(seed, block, 100))
    assert all(is_held_out(s.noun, s.colour) for s in draw_scenes(seed, block, 100, held_out=True))


def test_held_out_draws_cover_their_pairs() -> None:
    drawn = {(s.noun, s.colour) for s in draw_scenes(0, 0, 5_000, held_out=True)}
    assert drawn == {(n, c) for n in NOUNS for c in COLOURS if is_held_out(n, c)}


@given(st.integers(0, 10_000), st.integers(1, MOST_RIVALS), st.integers(1, 100))
def test_rivals_differ_in_the_noun_and_in_what_captions_leave_open(
    block: int, rivals: int, count: int
) -> None:
    scenes = draw_rivals(7, block, count, rivals)
    assert len(scenes) == count
    assert scenes == draw_rivals(7, block, count, rivals)
    assert not any(is_held_out(scene.noun, scene.colour) for scene in scenes)
    for start in range(0, count, rivals):
        group = scenes[start : start + rivals]
        assert len({scene.noun for scene in group}) == len(group)
        same = {replace(scene, noun="cat", shift_x=0, shift_y=0, phrasing=0) for scene in group}
        assert len(same) == 1
