"""Verdicts on disk: asked for once, whatever is killed, shared by processes, and missed when damaged."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.rewards.judge import store
from rglcd_pipelines.rewards.judge.cache import FILE, Cache, key_of
from rglcd_pipelines.rewards.judge.prompts import Marks
from tests.rewards.judge.conftest import MakeJudge
from tests.rewards.judge_server import Endpoint, Fault
from tests.rewards.judging import all_right, captions, expected, pictures, settings

ASKS = """
    import json, sys
    from rglcd_pipelines.rewards.judge.judge import JudgeReward
    from rglcd_pipelines.rewards.judge.settings import JudgeConfig
    from tests.rewards.judging import captions, pictures
    values, first, count = json.loads(sys.argv[1])
    judge = JudgeReward("eye", JudgeConfig.model_validate(values))
    sys.stdin.readline()
    print(json.dumps(judge.judge(pictures(count, first), captions(count, first))))
"""


def process(endpoint: Endpoint, cache: Path, first: int, count: int, **changes: Any) -> subprocess.Popen[str]:
    """Another run, which begins to judge when it is told to."""
    values = settings(endpoint, cache) | {"per_request": 1} | changes
    code = [sys.executable, "-c", textwrap.dedent(ASKS), json.dumps([values, first, count])]
    env = os.environ | {"PYTHONPATH": ".", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        code, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def begin(run: subprocess.Popen[str]) -> None:
    assert run.stdin is not None
    run.stdin.write("\n")
    run.stdin.flush()


def test_no_run_asks_again(make: MakeJudge, endpoint: Endpoint) -> None:
    assert all_right(make())
    assert all_right(make(per_request=1, at_once=3))
    assert endpoint.sizes == [3]
    assert all_right(make(), 3, first=1)
    assert endpoint.sizes == [3, 1]


def test_the_same_picture_twice_is_asked_about_once(make: MakeJudge, endpoint: Endpoint) -> None:
    images = pictures(2)[[0, 1, 0, 0]]
    told = [captions(2)[index] for index in (0, 1, 0, 1)]
    assert make().judge(images, told) == expected(images)
    assert endpoint.sizes == [3]


def test_what_makes_another_question() -> None:
    picture = np.zeros((2, 3, 3), np.uint8)
    judge = {"model": "a", "questions": "b"}
    keys = {
        key_of(judge, "cat", picture),
        key_of(judge, "", picture),
        key_of({**judge, "model": "b"}, "cat", picture),
        key_of({**judge, "questions": "c"}, "cat", picture),
        key_of(judge, "cat", picture.reshape(3, 2, 3)),
        key_of(judge, "cat", picture + np.uint8(1)),
        key_of(judge, "\ud800", picture),
    }
    assert len(keys) == 7
    # Were it another one, all that was ever paid for would be asked again.
    assert key_of(judge, "cat", picture) == "2708da789fbb6a0559978bb4e3ee3c7d2cfbb6288d3287b36ef2d36a05c3a3aa"


@pytest.mark.slow
def test_processes_share_it(endpoint: Endpoint, make: MakeJudge, tmp_path: Path) -> None:
    runs = [process(endpoint, tmp_path / "judge", first, 40) for first in (0, 40)]
    for run in runs:
        begin(run)
    for first, run in zip((0, 40), runs, strict=True):
        out, told = run.communicate(timeout=300)
        assert run.returncode == 0, told
        assert [tuple(each) for each in json.loads(out)] == expected(pictures(40, first))
    assert len(endpoint.requests) == 80
    assert all_right(make(), 80)
    assert len(endpoint.requests) == 80
    assert make().spent().answered == 80


@pytest.mark.slow
def test_what_a_killed_run_was_told_is_kept(endpoint: Endpoint, make: MakeJudge, tmp_path: Path) -> None:
    endpoint.faults = [None, None, Fault(hang=True)]
    run = process(endpoint, tmp_path / "judge", 0, 5)
    begin(run)
    assert endpoint.hanging.wait(300)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    endpoint.release.set()
    judge = make(per_request=1)
    assert (judge.spent().begun, judge.spent().answered) == (3, 2)
    assert all_right(judge, 5)
    assert [endpoint.asked[caption] for caption in captions(5)] == [1, 1, 2, 1, 1]
    assert (judge.spent().begun, judge.spent().answered) == (6, 5)


@pytest.mark.slow
def test_whoever_stops_it_need_not_wait(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.always = Fault(status=503)
    run = process(endpoint, tmp_path / "judge", 0, 5, backoff=80_000.0, longest_wait=80_000.0)
    begin(run)
    assert run.stderr is not None
    assert "attempt 2 of 4 comes in" in run.stderr.readline()
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=300)
    assert told.strip().endswith("KeyboardInterrupt")
    assert len(endpoint.requests) == 1


def garbage(file: Path) -> None:
    file.write_bytes(b"\xff" * file.stat().st_size)


def middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    file.write_bytes(content)


def half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 // 4096 * 4096)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def mark(file: Path) -> None:
    with sqlite3.connect(file) as base:
        base.execute("UPDATE verdicts SET marks = replace(marks, '10.0', '9.0')")
    base.close()


def words(file: Path) -> None:
    with sqlite3.connect(file) as base:
        base.execute("UPDATE verdicts SET marks = 'none'")
    base.close()


def other(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as base:
        base.execute("CREATE TABLE verdicts (something TEXT)")
    base.close()


@pytest.mark.parametrize("damage", [garbage, middle, half, empty, mark, words, other])
def test_damage_is_told(
    damage: Callable[[Path], None], endpoint: Endpoint, make: MakeJudge, tmp_path: Path
) -> None:
    assert all_right(make(), 60)
    file = tmp_path / "judge" / FILE
    damage(file)
    left, asked = file.read_bytes(), len(endpoint.requests)
    told = r"verdicts\.sqlite: is damaged .*move it away: then every picture is paid for again"
    with pytest.raises(DataError, match=told):
        make().score(pictures(60), captions(60))
    assert file.read_bytes() == left
    assert len(endpoint.requests) == asked


def test_one_that_vanishes_is_missed(endpoint: Endpoint, make: MakeJudge, tmp_path: Path) -> None:
    judge = make()
    (tmp_path / "judge" / FILE).unlink()
    with pytest.raises(DataError, match=r"verdicts\.sqlite: cannot be .*rewards\.eye\.judge\.cache"):
        judge.score(pictures(1), captions(1))
    assert endpoint.requests == []


def test_a_place_that_is_none(make: MakeJudge, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written .*Check rewards\.eye\.judge\.cache"):
        make(cache=str(tmp_path / "file"))


def test_one_that_somebody_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path, "rewards.eye.judge.cache")
    monkeypatch.setattr(store, "PATIENCE", 0.01)
    holder = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match="another process has held it"):
            cache.read(["a"])
    finally:
        holder.close()


def test_many_at_a_time(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "rewards.eye.judge.cache")
    found = {f"{number}": Marks(number % 11, 0.1, 1 / 3, 10) for number in range(3000)}
    cache.write("eye-1", found)
    cache.write("eye-1", {"7": Marks(0, 0, 0, 0)})  # what is there stays
    assert cache.read([*found, "none", "1"]) == found
