"""The tokenizers of published models, made from lists that are at hand."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards import vocabularies
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.rewards.vocabularies import bert_tokenizer, clean_caption, clip_tokenizer
from scripts.golden import recipe

ODD = [
    "",
    "it's  the dog's ball,\tisn't it?",
    "A&amp;amp;B &lt;PERSON&gt; <br>",
    "ÐšÐ¾Ñˆka â€œquotedâ€\x9d text",
    "日本語の猫 🐱👍🏽 E=mc² ½ Ⅷ",
    "naïve café İstanbul ß ﬁ ΣΑΣ ς e\u0301",
    "nbsp\u00a0wide\u3000zero\u200bwidth",
    "many words " * 60,
]


@pytest.mark.slow
def test_ids_are_open_clip_s() -> None:
    from open_clip.tokenizer import SimpleTokenizer  # takes seconds

    theirs = SimpleTokenizer()
    ours = Texts("clip", clip_tokenizer(77), 77, clean_caption)
    captions = [*ODD, *recipe.CAPTIONS]
    ids, mask = ours.ids(captions)
    for expected, row, kept in zip(
        theirs(captions, 77).tolist(), ids.tolist(), mask.sum(1).tolist(), strict=True
    ):
        assert row[:kept] == expected[:kept]
        assert not any(expected[kept:])


def test_without_open_clip_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        vocabularies, "find_spec", lambda name: None if name == "open_clip" else find_spec(name)
    )
    with pytest.raises(ConfigError, match="open_clip is not installed; pip install open_clip_torch"):
        clip_tokenizer(77)


def test_bert_s_tokens_and_two_marks_more(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(recipe.bert_tokens()) + "\n", encoding="utf-8")
    tokenizer = bert_tokenizer(tmp_path, "rewards.imgrwd")
    assert len(tokenizer) == 30524
    assert tokenizer.convert_tokens_to_ids(["[PAD]", "[CLS]", "[SEP]", "[DEC]", "[ENC]"]) == [
        0, 101, 102, 30522, 30523,
    ]  # fmt: skip
    ids = tokenizer("Red  CATS, ßé")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "red", "cat", "##s", ",", "ß", "##e", "[SEP]"]


def test_no_tokens_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no vocab\.txt.*Set rewards\.imgrwd\.tokenizer"):
        bert_tokenizer(tmp_path, "rewards.imgrwd")
