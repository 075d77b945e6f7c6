"""Scores of two models side by side: of the same prompts, or told who lacks what."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rglcd_pipelines.artifacts import draft, publish
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.generate.column import Column
from rglcd_pipelines.evaluation.scores.paired import Drawn, aligned, by_prompt, check_same
from rglcd_pipelines.evaluation.scores.table import Measure, Scores, write_scores


def side(place: Path, name: str, scores: dict[str, float | None]) -> Drawn:
    """A model with one column and one set, of these keys; "-r1" in a key is its second noise."""
    keys = list(scores)
    table = pa.table(
        {
            "column": ["4"] * len(keys),
            "set": ["s"] * len(keys),
            "group": ["g"] * len(keys),
            "key": keys,
            "repeat": [int(key.rpartition("-r")[2]) if "-r" in key else 0 for key in keys],
            "hps": pa.array(list(scores.values()), pa.float32()),
        }
    )
    measures = {"hps": Measure("hps", "high", "", "held_out")}
    with draft(place / name, {}) as work:
        write_scores(work.path, name, {"4": Column(4, 4, "lcm")}, measures, table, {}, [], {})
        return Drawn(Scores.open(publish(work, place / name, "scores", {}, {}, {})), "4")


def test_prompts_meet_whatever_their_order(tmp_path: Path) -> None:
    ours = side(tmp_path, "ours", {"a": 1.0, "b": 2.0, "c": 3.0})
    theirs = side(tmp_path, "theirs", {"c": 30.0, "a": 10.0, "b": 20.0})
    scores, groups = aligned([ours, theirs], "s", "hps")
    assert scores.tolist() == [[1, 2, 3], [10, 20, 30]]
    assert groups == ["g", "g", "g"]


def test_what_one_of_them_was_not_measured_on_counts_for_none(tmp_path: Path) -> None:
    ours = side(tmp_path, "ours", {"a": 1.0, "b": None, "c": 3.0})
    theirs = side(tmp_path, "theirs", {"a": 10.0, "b": 20.0, "c": 30.0})
    assert aligned([ours, theirs], "s", "hps")[0].tolist() == [[1, 3], [10, 30]]


def test_noises_of_one_prompt_count_once(tmp_path: Path) -> None:
    ours = side(tmp_path, "ours", {"a": 1.0, "a-r1": 2.0, "a-r2": 6.0, "b": 5.0})
    assert by_prompt(ours, "s", "hps") == {"a": 3.0, "b": 5.0}


def test_unequal_counts_are_told_by_name(tmp_path: Path) -> None:
    ours = side(tmp_path, "ours", {f"p{number}": 0.0 for number in range(6)})
    theirs = side(tmp_path, "theirs", {"p0": 0.0, "q": 0.0})
    with pytest.raises(DataError) as caught:
        check_same([ours, theirs], "s")
    message = str(caught.value)
    assert "ours (4) has 6 samples and lacks 1 (q)" in message
    assert "theirs (4) has 2 samples and lacks 5 (p1, p2, p3, …)" in message
    assert "kedro run --pipeline=evaluate" in message


def test_equal_sets_are_fine(tmp_path: Path) -> None:
    ours = side(tmp_path, "ours", {"a": 1.0, "b": 2.0})
    theirs = side(tmp_path, "theirs", {"b": 1.0, "a": 2.0})
    check_same([ours, theirs, ours], "s")
    assert np.isfinite(aligned([ours, theirs], "s", "hps")[0]).all()
