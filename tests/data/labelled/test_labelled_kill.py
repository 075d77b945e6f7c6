"""Killed at any moment, the same command again ends with the bytes of a run that was never killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rglcd_pipelines.data.labelled import make
from rglcd_pipelines.data.labelled.make import make_labelled
from tests.data.labelled.labelled_sets import files, folder_of, tars_of, write_folder, write_tars

pytestmark = pytest.mark.slow

# For each place, a child is forked off that kills itself at the n-th time that it opens, renames, makes or
# removes anything there; or never, for 0. It prints how each child ended.
PROGRAM = """
    import json, os, signal, sys
    from pathlib import Path
    from rglcd_pipelines.data.labelled import make
    from tests.data.labelled.labelled_sets import folder_of, tars_of

    EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}

    def run(kind, source, place, last):
        count = 0

        def hook(event, values):
            nonlocal count
            if event in EVENTS and str(values[0]).startswith(place):
                count += 1
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        make.PER_SHARD = 4
        opened = {"folder": folder_of, "tars": tars_of}[kind](Path(source))
        make.make_labelled(opened, 3, Path(place) / "labelled", progress=False)
        return count

    kind, source, jobs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    ends = []
    for place, last in jobs:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, str(run(kind, source, place, last)).encode())
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        os.close(writing)
        ends.append([os.waitstatus_to_exitcode(status), os.read(reading, 99).decode()])
        os.close(reading)
    print(json.dumps(ends))
"""


def run(kind: str, source: Path, jobs: list[tuple[Path, int]]) -> list[tuple[int, str]]:
    """Exit status and count of each job: a place, and the moment at which to die there."""
    told = json.dumps([[str(place), last] for place, last in jobs])
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), kind, str(source), told]
    env = {**os.environ, "PYTHONPATH": "."}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    return [(status, count) for status, count in json.loads(done.stdout)]


@pytest.fixture(params=["folder", "tars"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def source(kind: str, tmp_path: Path) -> Path:
    return write_folder(tmp_path / "set", per_class=5) if kind == "folder" else write_tars(tmp_path / "set")


def finish(kind: str, source: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    monkeypatch.setattr(make, "PER_SHARD", 4)
    opened = {"folder": folder_of, "tars": tars_of}[kind](source)
    return files(make_labelled(opened, 3, place / "labelled", progress=False))


def test_killed_wherever_it_touches_the_disk(
    kind: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = finish(kind, source, tmp_path / "unbroken", monkeypatch)
    ((status, count),) = run(kind, source, [(tmp_path / "counted", 0)])
    assert status == 0
    jobs = [(tmp_path / f"killed-{moment}", moment) for moment in range(1, int(count) + 1)]
    assert len(jobs) > 15
    assert {status for status, _ in run(kind, source, jobs)} == {-signal.SIGKILL}
    for place, moment in jobs:
        assert finish(kind, source, place, monkeypatch) == unbroken, f"killed at {moment} of {count}"


def test_what_was_finished_stays_as_it_is(
    kind: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((_, count),) = run(kind, source, [(tmp_path / "counted", 0)])
    place = tmp_path / "place"
    assert run(kind, source, [(place, int(count) * 3 // 4)])[0][0] == -signal.SIGKILL
    (draft,) = (place / ".partial").glob("labelled-*/")
    before = {path.name: path.stat().st_mtime_ns for path in draft.glob("labelled-*.tar")}
    assert len(before) >= 2
    assert not (place / "labelled").exists()
    finish(kind, source, place, monkeypatch)
    after = {name: (place / "labelled" / name).stat().st_mtime_ns for name in before}
    assert after == before


def test_a_finished_shard_that_was_tampered_with_is_made_again(
    kind: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = finish(kind, source, tmp_path / "unbroken", monkeypatch)
    ((_, count),) = run(kind, source, [(tmp_path / "counted", 0)])
    run(kind, source, [(tmp_path / "place", int(count) * 3 // 4)])
    os.truncate(next((tmp_path / "place").rglob("labelled-00000.tar")), 1000)
    assert finish(kind, source, tmp_path / "place", monkeypatch) == unbroken
