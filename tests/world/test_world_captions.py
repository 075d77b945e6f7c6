from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world.captions import parse_caption
from rglcd_pipelines.world.scenes import PHRASINGS, Scene, draw_scenes

SCENE = Scene("thin", "lightning bolt", "red", "small", "plain", "white")


@given(st.integers(0, 2**32), st.booleans())
def test_drawn_captions_come_back(block: int, held_out: bool) -> None:
    for scene in draw_scenes(11, block, 20, held_out):
        assert parse_caption(scene.caption) == replace(scene, shift_x=0, shift_y=0)


@pytest.mark.parametrize("phrasing", range(len(PHRASINGS)))
def test_only_the_grammar_is_understood(phrasing: int) -> None:
    caption = replace(SCENE, phrasing=phrasing).caption
    assert parse_caption(caption).phrasing == phrasing
    changes = [
        caption.upper(),
        caption + " ",
        caption + "\n",
        " " + caption,
        caption.replace(",", ""),
        caption.replace(" red", "  red"),
        caption.replace("red", "crimson"),
        caption.replace("lightning bolt", "unicorn"),
        caption.replace("lightning bolt", "bolt"),
        caption.replace("small", ""),
        caption + ", high quality",
    ]
    for changed in changes:
        with pytest.raises(DataError) as error:
            parse_caption(changed)
        assert repr(changed) in str(error.value)
        assert PHRASINGS[0] in str(error.value)


@given(st.text(max_size=200))
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="no caption of the miniature world"):
        parse_caption(text)


def test_colours_that_hide_the_object_are_refused() -> None:
    with pytest.raises(DataError, match="red does not stand out on blue"):
        parse_caption(replace(SCENE, background_colour="blue").caption)
