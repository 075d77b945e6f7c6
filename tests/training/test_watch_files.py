"""The watch's files: the prompts that it reads, and the rows that it writes."""

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.training.sheets import copy_sheets
from rglcd_pipelines.training.watch_csv import last_row, write_looks
from rglcd_pipelines.training.watch_look import OWN, column
from rglcd_pipelines.training.watch_prompts import prompts_identity, read_prompts, watch_prompts
from rglcd_pipelines.training.watch_rule import Look
from rglcd_pipelines.training.watch_settings import WatchConfig


def test_prompts_are_evenly_spaced(tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps([f"prompt {number}" for number in range(10)]))
    assert read_prompts(file, 4) == ["prompt 0", "prompt 2", "prompt 5", "prompt 7"]
    assert len(read_prompts(file, 10)) == 10
    before = prompts_identity(WatchConfig(path=str(file), prompts=4))
    moved = tmp_path / "moved.json"
    moved.write_text(file.read_text())
    assert prompts_identity(WatchConfig(path=str(moved), prompts=4)) == before
    moved.write_text(file.read_text().replace("prompt 5", "another"))
    assert prompts_identity(WatchConfig(path=str(moved), prompts=4)) != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("[", "is no JSON"),
        ("{}", "holds no list, or an empty one"),
        ("[]", "holds no list, or an empty one"),
        ('["a", " "]', 'has " " as prompt 2, no string with words'),
        ('["a", 3]', "has 3 as prompt 2, no string with words"),
        ('["a", "b"]', "holds 2 prompts, and distill.watch.prompts asks for 3"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_files_that_hold_no_prompts(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "prompts.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError, match=f"distill.watch.path: .*{words}"):
        read_prompts(file, 3)


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=3), st.lists, max_leaves=6))
def test_any_json_is_prompts_or_told(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    file = tmp_path_factory.mktemp("json") / "prompts.json"
    file.write_text(json.dumps(value))
    try:
        found = read_prompts(file, 2)
    except DataError:
        return
    assert len(found) == 2
    assert isinstance(value, list)
    assert set(found) <= set(value)


def test_captions_of_steps_that_nobody_learns_from() -> None:
    def captions(step: int) -> list[str]:
        return [f"{step} {row}" for row in range(3)]

    assert watch_prompts(WatchConfig(prompts=4), captions, 10) == ["10 0", "10 1", "10 2", "11 0"]


def test_the_last_row(tmp_path: Path) -> None:
    file = tmp_path / "watch.csv"
    looks = [Look(step, {"gold": step / 3, "odd": float("inf")}, [], {}) for step in (60, 120)]
    write_looks(file, looks)
    assert file.read_text() == "step,gold,odd\n60,20,inf\n120,40,inf\n"
    assert last_row(file) == {"gold": 40.0}
    write_looks(file, [])
    assert last_row(file) == {}
    assert last_row(tmp_path / "nowhere") == {}


@given(st.binary(max_size=60) | st.text(alphabet='step,gold\n"1.x', max_size=60).map(str.encode))
def test_a_damaged_reference_is_no_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("csv") / "watch.csv"
    file.write_bytes(content)
    logging.disable()
    try:
        assert isinstance(last_row(file), dict)
    finally:
        logging.disable(logging.NOTSET)


@given(st.text(min_size=1))
def test_columns_can_be_told_to_anybody(name: str) -> None:
    found = column(name)
    assert found not in OWN
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


def test_sheets_of_a_run_that_came_further(tmp_path: Path) -> None:
    (tmp_path / "progress").mkdir()
    for step in (60, 120, 180):
        (tmp_path / "progress" / f"{step:07d}.png").write_bytes(b"png")
    student = tmp_path / "student"
    copy_sheets(tmp_path, 120, student)
    assert sorted(file.name for file in student.rglob("*.png")) == ["0000060.png", "0000120.png"]
    copy_sheets(tmp_path, 60, student)  # into a draft that a killed run left
    assert [file.name for file in student.rglob("*.png")] == ["0000060.png"]
