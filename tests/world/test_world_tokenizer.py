"""The world's tokenizer: whole words, any text, and the same again from its folder."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from rglcd_pipelines.world.scenes import draw_scenes
from rglcd_pipelines.world.tokenizer import BEGIN, CONTEXT, END, build_tokenizer, sorted_words

TOKENIZER = build_tokenizer()


def test_every_word_of_the_world_is_one_token() -> None:
    words = sorted_words()
    assert {"airplane", "two", "tone", "striped"} <= set(words)
    assert [TOKENIZER.tokenize(word) for word in words] == [[f"{word}</w>"] for word in words]


def test_the_worlds_captions_fit_into_the_context() -> None:
    lengths = [len(TOKENIZER(scene.caption).input_ids) for scene in draw_scenes(0, 0, 2_000)]
    assert max(lengths) <= 20 < CONTEXT


@given(st.text(max_size=200))
def test_any_text_becomes_tokens_between_the_two_marks(text: str) -> None:
    ids: Any = TOKENIZER(text, padding="max_length", truncation=True).input_ids
    assert len(ids) == CONTEXT
    begin, end = (TOKENIZER.convert_tokens_to_ids(mark) for mark in (BEGIN, END))
    assert ids[0] == begin
    assert end in ids[1:]
    assert TOKENIZER.unk_token_id == end  # what no byte pair covers would end the text: see below


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), max_size=9)
)
def test_no_text_is_cut_off_in_the_middle(text: str) -> None:
    ids = TOKENIZER(text).input_ids
    assert TOKENIZER.eos_token_id not in ids[1:-1]


def test_it_is_the_same_when_it_is_loaded_and_built_again(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    captions = [scene.caption for scene in draw_scenes(0, 1, 300)]
    assert (
        loaded(captions).input_ids == TOKENIZER(captions).input_ids == build_tokenizer()(captions).input_ids
    )
    assert loaded.model_max_length == CONTEXT


@pytest.mark.parametrize("caption", ["A RED Cat", "  a red   cat "])
def test_case_and_spaces_do_not_matter(caption: str) -> None:
    assert TOKENIZER(caption).input_ids == TOKENIZER("a red cat").input_ids
