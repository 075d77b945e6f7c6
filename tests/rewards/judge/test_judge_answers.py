"""The judge's questions, and which of its answers are taken."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.rewards.judge.prompts import (
    CAPTION,
    QUESTIONS,
    VERSION,
    MalformedAnswerError,
    Marks,
    parse,
    question,
    verdict,
)

MARK = st.floats(0, 10) | st.integers(0, 10)
MARKS = st.builds(Marks, *[MARK.map(float)] * 4)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*Marks._fields, "picture"]), inner),
)


WRONG = ["gone", "twice", "number", "lacks", "high", "low", "words", "true", "bare"]


def written(marks: list[Marks]) -> list[dict[str, Any]]:
    return [{"picture": n, "reason": "so", **each._asdict()} for n, each in enumerate(marks, 1)]


@given(st.lists(MARKS, min_size=1), st.sampled_from(["{}", "\n{} ", "```json\n{}\n```", " ```\n{}```\n"]))
def test_what_was_asked_for_is_read(marks: list[Marks], around: str) -> None:
    assert parse(around.replace("{}", json.dumps(written(marks))), len(marks)) == marks


@given(st.text() | JSON.map(json.dumps) | st.text(alphabet='[]{}",:0123456789.eN-`\n'), st.integers(1, 4))
def test_anything_is_read_whole_or_refused(answer: str, count: int) -> None:
    try:
        marks = parse(answer, count)
    except MalformedAnswerError:
        return
    assert len(marks) == count
    assert all(0 <= mark <= 10 for each in marks for mark in each)


@given(st.lists(MARKS, min_size=1, max_size=4), st.data())
def test_an_answer_with_one_thing_wrong_is_refused(marks: list[Marks], data: st.DataObject) -> None:
    entries: list[Any] = written(marks)
    spot = data.draw(st.integers(0, len(entries) - 1))
    wrong = data.draw(st.sampled_from(WRONG))
    name = data.draw(st.sampled_from(Marks._fields))
    if wrong == "gone":
        del entries[spot]
    elif wrong == "twice":
        entries.insert(spot, entries[spot])
    elif wrong == "number":
        entries[spot]["picture"] = data.draw(
            st.none() | st.booleans() | st.integers().filter(lambda number: number != spot + 1)
        )
    elif wrong == "lacks":
        del entries[spot][name]
    elif wrong == "bare":
        entries[spot] = list(entries[spot].values())
    else:
        entries[spot][name] = {"high": 10.01, "low": -1, "words": "7", "true": True}[wrong]
    with pytest.raises(MalformedAnswerError):
        parse(json.dumps(entries), len(marks))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("", "no JSON"),
        ("The first picture is good.", "no JSON"),
        ('[{"picture": 1, "content": 7', "no JSON"),
        ("Here it is: []", "no JSON"),
        ("{}", "no JSON array"),
        ("[]", "0 entries for 1 pictures"),
        ("[1]", "entry 1 that is no object"),
        ('[{"picture": 2}]', "not about picture 1"),
        ('[{"picture": 1, "content": NaN, "detail": 1, "natural": 1, "clean": 1}]', "says NaN"),
        (
            '[{"picture": 1, "content": 1e999, "detail": 1, "natural": 1, "clean": 1}]',
            "no content from 0",
        ),
        ('[{"picture": 1, "content": 1, "content": 9}]', "twice"),
        ("[" * 100_000, "no JSON"),
        (f'[{{"picture": {"1" * 5000}}}]', "no JSON"),
    ],
)
def test_how_a_refusal_is_told(answer: str, told: str) -> None:
    with pytest.raises(MalformedAnswerError, match=told):
        parse(answer, 1)


@given(MARKS)
def test_the_worst_mark_counts(marks: Marks) -> None:
    semantic, quality, overall = verdict(marks)
    assert semantic == min(marks[:2])
    assert quality == min(marks[2:])
    assert math.isclose(overall**2, semantic * quality, abs_tol=1e-9)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_caption_stays_a_caption(captions: list[str]) -> None:
    parts = question([(caption, b"png") for caption in captions])
    assert len(parts) == 1 + 2 * len(captions)
    for number, caption in enumerate(captions, 1):
        text: str = parts[2 * number - 1]["text"]
        before, after = CAPTION.split("{caption}")
        assert text.startswith(start := before.format(number=number))
        assert json.loads(text[len(start) : -len(after)]) == caption


def test_other_words_are_other_questions() -> None:
    # Every verdict that anybody has paid for is of no use any more once this changes.
    assert VERSION == "e3061304be62", QUESTIONS
