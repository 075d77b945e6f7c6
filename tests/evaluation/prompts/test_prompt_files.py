"""Files with prompts: what is written into one is read from it, and every mistake is told by its line."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.prompts.settings import PromptSetConfig
from rglcd_pipelines.evaluation.prompts.sources import files_of, read_entries

VISIBLE = st.characters(exclude_categories=("Cc", "Cs"))
TEXTS = st.text(VISIBLE, min_size=1, max_size=40).map(str.strip).filter(bool)
LISTS = st.lists(TEXTS, min_size=1, max_size=8, unique=True)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8, unique=True)
ANY_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(file: Path) -> list[tuple[str, str]]:
    """Group and text of each prompt of a file of one's own."""
    config = PromptSetConfig(kind="file", path=str(file))
    entries = read_entries(config, files_of(config, "evaluate.sets.mine"))
    return [(entry.group, entry.text) for entry in entries]


def refused(file: Path, content: bytes) -> str:
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(file)
    assert str(file) in str(caught.value)
    return str(caught.value)


@given(texts=LISTS, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans(), mark=st.booleans())
@example(texts=["a\u2028b", "# no comment"], end="\n", last=False, mark=True)
@ANY_FILE
def test_lines(tmp_path: Path, texts: list[str], end: str, last: bool, mark: bool) -> None:
    content = end.join(texts) + (end if last else "")
    # A mark that the first prompt begins with is read as the file's own, as every reader does.
    if content.startswith("\ufeff") and not mark:
        mark = True
    (tmp_path / "a.txt").write_bytes(content.encode("utf-8-sig" if mark else "utf-8"))
    assert read(tmp_path / "a.txt") == [("", text) for text in texts]


@given(texts=LISTS, plain=st.booleans())
@ANY_FILE
def test_a_list(tmp_path: Path, texts: list[str], plain: bool) -> None:
    (tmp_path / "a.json").write_text(json.dumps(texts, ensure_ascii=plain), encoding="utf-8")
    assert read(tmp_path / "a.json") == [("", text) for text in texts]


@given(rows=ROWS, tabs=st.booleans(), grouped=st.booleans(), swapped=st.booleans())
@example(rows=[('"quoted" at first', "a,b"), ("x, y", "\u3000'")], tabs=True, grouped=True, swapped=True)
@ANY_FILE
def test_a_table(
    tmp_path: Path, rows: list[tuple[str, str]], tabs: bool, grouped: bool, swapped: bool
) -> None:
    file = tmp_path / ("a.tsv" if tabs else "a.csv")
    header, groups = ["Prompt", "note"], [""] * len(rows)
    if grouped:
        header, groups = ["Prompt", " GROUP "], [group for _, group in rows]
    written = io.StringIO(newline="")
    table = csv.writer(written, delimiter="\t" if tabs else ",")
    table.writerows([row[::-1] if swapped else row for row in [header, *map(list, rows)]])
    file.write_text(written.getvalue(), encoding="utf-8", newline="")
    texts = [text for text, _ in rows]
    if grouped or len(set(texts)) == len(texts):
        assert read(file) == [(group.strip(), text) for group, text in zip(groups, texts, strict=True)]
    else:
        with pytest.raises(DataError, match="is the same prompt as"):
            read(file)


@given(content=st.binary(max_size=60), ending=st.sampled_from([".txt", ".json", ".csv", ".tsv"]))
@example(content=b"\x00", ending=".csv")
@example(content=b'prompt\n"a', ending=".csv")
@example(content=b'"prompt', ending=".csv")
@example(content=b"[" * 60_000, ending=".json")
@example(content=b"[" + b"1" * 5_000 + b"]", ending=".json")
@example(content=b'["\\ud800"]', ending=".json")
@ANY_FILE
def test_whatever_it_holds_it_is_read_or_refused(tmp_path: Path, content: bytes, ending: str) -> None:
    file = tmp_path / f"a{ending}"
    file.write_bytes(content)
    try:
        found = read(file)
    except DataError:
        return
    assert found
    assert all(text and text == text.strip() for _, text in found)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a cat\n\na dog\n", ["line 2: is blank; remove it"]),
        (b"a cat\na dog\n\n\n", ["line 3: is blank", "line 4: is blank"]),
        (b"a cat\na dog\n a cat \n", ["line 3: is the same prompt as line 1; remove one"]),
        (b"a cat\na dog\ncaf\xe9\n", ["line 3 is not UTF-8", "0xE9", "Save the file as UTF-8"]),
        ("a cat\n".encode("utf-16"), ["line 1 is not UTF-8", "0xFF"]),
        (b"a\x07cat\n", ["line 1: has the control character U+0007"]),
        (b"a cat\rand a dog\n", ["line 1: has the control character U+000D"]),
        (b"x" * 2_001, ["line 1: has 2,001 characters, more than 2,000; shorten it"]),
        (b"", ["holds no prompts"]),
        (b"\xef\xbb\xbf", ["holds no prompts"]),
    ],
)
def test_bad_lines(tmp_path: Path, content: bytes, told: list[str]) -> None:
    message = refused(tmp_path / "mine.txt", content)
    assert all(words in message for words in told), message


def test_case_and_space_within_are_differences(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a cat\nA cat\na  cat\n", encoding="utf-8")
    assert len(read(tmp_path / "a.txt")) == 3


def test_many_mistakes_are_told_in_their_order_and_not_all(tmp_path: Path) -> None:
    message = refused(tmp_path / "mine.txt", b"a\na\n\n" * 10).splitlines()
    assert message[1:4] == [
        "  line 2: is the same prompt as line 1; remove one of them",
        "  line 3: is blank; remove it",
        "  line 4: is the same prompt as line 1; remove one of them",
    ]
    assert len(message) == 12
    assert message[-1] == "  and 19 more"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"a": 1}', ["holds an object, not a list"]),
        (b'"a cat"', ['holds "a cat", not a list']),
        (b'["a", 2, null, ["b"]]', ["entry 2: is 2", "entry 3: is null", "entry 4: is a list"]),
        (b'["a",\n"b"\n"c"]', ["line 3 is no JSON", "column 1"]),
        (b'["a", " ", "a"]', ["entry 2: is blank", "entry 3: is the same prompt as entry 1"]),
        (b'["a\\nb"]', ["entry 1: has the control character U+000A"]),
        (b'["\\ud800"]', ["entry 1: has the control character U+D800"]),
        (b"[]", ["holds no prompts"]),
    ],
)
def test_bad_lists(tmp_path: Path, content: bytes, told: list[str]) -> None:
    message = refused(tmp_path / "mine.json", content)
    assert all(words in message for words in told), message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a cat\na dog\n", ["line 1 names no column prompt; there is a cat."]),
        (b"\na cat\n", ["line 1 names no column prompt; there is nothing."]),
        (b"promt,group\na,b\n", ["line 1 names no column prompt; did you mean promt?"]),
        (b"prompt,Prompt\na,b\n", ["line 1 has the column prompt 2 times"]),
        (b"prompt,group\na cat, a dog,b\n", ["line 2: has 3 fields, and the header has 2", "in quotes"]),
        (b"prompt,group\na,b\n\nc,d\n", ["line 3: is blank"]),
        (b"prompt,group\na,\n", ["line 2: names no group"]),
        (b"prompt,group\n,b\n", ["line 2: is blank"]),
        (b'prompt,group\n"a\nb",c\nd,e\nd,e\n', ["line 2: has the control character", "line 5: is the same"]),
        (b'prompt,group\na,b\n"c" d,e\n', ["line 3: cannot be read", "double those in it"]),
        (b'prompt,group\na,b\n"c,d\ne,f\n', ["line 3: cannot be read"]),
        (b"prompt,group\na," + b"x" * 101, ["line 2: group has 101 characters"]),
        (b"prompt,group\n", ["holds no prompts"]),
        (b"", ["holds no prompts"]),
    ],
)
def test_bad_tables(tmp_path: Path, content: bytes, told: list[str]) -> None:
    message = refused(tmp_path / "mine.csv", content)
    assert all(words in message for words in told), message


def test_the_same_prompt_in_two_groups_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt,group\na cat,x\na cat,y\n", encoding="utf-8")
    assert read(tmp_path / "a.csv") == [("x", "a cat"), ("y", "a cat")]


def test_a_file_that_is_not_there_or_of_no_known_form(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no such file.*Check evaluate\.sets\.mine\.path"):
        read(tmp_path / "none.txt")
    with pytest.raises(DataError, match="there is no such file"):
        read(tmp_path)
    assert "is of no known form" in refused(tmp_path / "mine.docx", b"a cat\n")
