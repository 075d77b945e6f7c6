"""Vote files: read strictly, every bad one named at once, and counted for models and not for sides."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.arena.key import read_key
from rglcd_pipelines.evaluation.arena.make import make_arena
from rglcd_pipelines.evaluation.arena.votes import find_files, read_votes
from tests.evaluation.arena.make_drawn import all_samples, arena_config, write_votes

ANSWERS = {("001", "preference"): "a", ("001", "appeal"): "tie", ("002", "preference"): "b"}


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    home = tmp_path_factory.mktemp("arena")
    return make_arena(arena_config(), all_samples(home), home / "arena")


def refused(arena: Artifact, *files: Path) -> str:
    with pytest.raises(DataError, match="These votes cannot be counted") as told:
        read_votes(files, read_key(arena))
    return str(told.value)


def test_votes_for_sides_become_votes_for_models(tmp_path: Path, arena: Artifact) -> None:
    key = read_key(arena)
    answers = {(one.id, "preference"): "a" for one in key.comparisons}
    answers |= {(one.id, "appeal"): "b" for one in key.comparisons}
    answers |= {(one.id, "alignment"): "tie" for one in key.comparisons}
    votes = read_votes([write_votes(tmp_path / "ann.json", arena, "Ann", answers)], key)
    assert len(votes) == len(answers)
    other = {"ours": "theirs", "theirs": "ours"}
    for vote in votes:
        expected = {"preference": vote.comparison.a, "appeal": other[vote.comparison.a], "alignment": "tie"}
        assert vote.choice == expected[vote.question]


def test_every_bad_file_is_told_at_once(tmp_path: Path, arena: Artifact) -> None:
    good = write_votes(tmp_path / "good.json", arena, "Ann", ANSWERS)
    cut = tmp_path / "cut.json"
    cut.write_text(good.read_text()[:-30])
    other = write_votes(tmp_path / "other.json", arena, "Bob", ANSWERS, {"arena": "0123456789ab"})
    newer = write_votes(tmp_path / "newer.json", arena, "Cem", ANSWERS, {"version": 2})
    empty = write_votes(tmp_path / "empty.json", arena, "Dee", {})
    told = refused(arena, good, cut, other, newer, empty)
    assert str(good) not in told
    lines = told.splitlines()[1:]
    assert [line.split(": ")[0].strip() for line in lines] == [str(f) for f in (cut, other, newer, empty)]
    for line, expected in zip(
        lines,
        (
            "is damaged (Invalid JSON: EOF",
            f"is of another arena (0123456789ab, not {arena.manifest['arena']})",
            "is of version 2, but this program reads version 1",
            "holds no votes. Remove it.",
        ),
        strict=True,
    ):
        assert expected in line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rater": "  "}, "rater string should match"),
        ({"rater": 5}, "rater should be a valid string"),
        ({"votes": {}}, "votes should be a valid"),
        ({"votes": [{"comparison": "001", "question": "appeal", "answer": "left"}]}, "votes.0.answer should"),
        ({"votes": [{"comparison": "001", "question": "appeal"}]}, "votes.0.answer field required"),
        ({"votes": [{"comparison": "999", "question": "appeal", "answer": "a"}]}, "comparison '999'"),
        ({"votes": [{"comparison": "001", "question": "taste", "answer": "a"}]}, "question 'taste'"),
        ({"votes": [{"comparison": "001", "question": "appeal", "answer": a} for a in "ab"]},
         "answers twice: 001/appeal"),
        ({"more": 1}, "more extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_a_changed_file_is_told(tmp_path: Path, arena: Artifact, changes: dict[str, Any], told: str) -> None:
    file = write_votes(tmp_path / "ann.json", arena, "Ann", ANSWERS, changes)
    assert told in refused(arena, file)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"null", b"{}", b"\x89PNG\r\n"])
def test_what_is_no_vote_file_is_told(tmp_path: Path, arena: Artifact, content: bytes) -> None:
    file = tmp_path / "ann.json"
    file.write_bytes(content)
    assert f"{file}: is " in refused(arena, file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(value=JSON, name=st.sampled_from(["version", "arena", "rater", "votes"]))
def test_whatever_a_file_holds_is_counted_or_told(
    tmp_path: Path, arena: Artifact, value: Any, name: str
) -> None:
    file = write_votes(tmp_path / "any.json", arena, "Ann", ANSWERS, {name: value})
    fits = (name, value) == ("version", 1) or (name == "rater" and isinstance(value, str) and value.strip())
    if fits:
        assert len(read_votes([file], read_key(arena))) == len(ANSWERS)
    else:
        assert f"{file}: " in refused(arena, file)


@pytest.mark.parametrize(
    ("second", "rater", "told"),
    [
        (ANSWERS, "Ann", "with the same votes. Remove one of them."),
        (ANSWERS, " ANN ", "with the same votes. Remove one of them."),
        ({**ANSWERS, ("002", "appeal"): "a"}, "ann", "whose votes are all in this one too. Remove {first}."),
        (dict(list(ANSWERS.items())[:1]), "ann", "which has all these votes and more. Remove this one."),
        ({**ANSWERS, ("001", "preference"): "b"}, "ann", "with other answers to 001/preference."),
        ({("003", "appeal"): "b"}, "ann", "with other votes. If they are two people, change \"rater\""),
    ],
)  # fmt: skip
def test_a_rater_votes_once(
    tmp_path: Path, arena: Artifact, second: dict[tuple[str, str], str], rater: str, told: str
) -> None:
    first = write_votes(tmp_path / "1.json", arena, "Ann", ANSWERS)
    again = write_votes(tmp_path / "2.json", arena, rater, second)
    found = refused(arena, first, again)
    assert f"{again}: is by {rater!r}, as is {first}" in found
    assert told.format(first=first) in found


def test_files_are_found_in_a_folder_or_by_a_pattern(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", ".hidden.json", "notes.txt", "more/c.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({}))
    a, b, c = (tmp_path / name for name in ("a.json", "b.json", "more/c.json"))
    assert find_files(str(tmp_path)) == [a, b]
    assert find_files(str(tmp_path / "**" / "*.json")) == [a, b, c]
    assert find_files(str(b)) == [b]
    with pytest.raises(DataError, match=r"votes\.files: there are no votes at .*\.csv"):
        find_files(str(tmp_path / "*.csv"))
    with pytest.raises(DataError, match=r"votes\.files: there are no votes at"):
        find_files(str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match=r"votes\.files: .* is no pattern"):
        find_files(str(tmp_path / "**.json"))
