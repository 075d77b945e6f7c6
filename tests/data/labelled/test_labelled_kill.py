"""Killed at any moment, the same command again ends with the bytes of a run that was never killed."""

import os
import signal
from pathlib import Path

import pytest

from rglcd_pipelines.data.labelled import make
from rglcd_pipelines.data.labelled.make import make_labelled
from tests.data.labelled.labelled_sets import files, folder_of, tars_of, write_folder, write_tars
from tests.killing import killed

pytestmark = pytest.mark.slow

SOURCES = {"folder": folder_of, "tars": tars_of}


def work(kind: str, source: str, place: Path) -> None:
    """What is killed."""
    make.PER_SHARD = 4
    make_labelled(SOURCES[kind](Path(source)), 3, place / "labelled", progress=False)


def run(kind: str, source: Path, jobs: list[tuple[Path, int]]) -> list[tuple[int, str]]:
    return killed("tests.data.labelled.test_labelled_kill:work", [kind, str(source)], jobs)


@pytest.fixture(params=["folder", "tars"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def source(kind: str, tmp_path: Path) -> Path:
    return write_folder(tmp_path / "set", per_class=5) if kind == "folder" else write_tars(tmp_path / "set")


def finish(kind: str, source: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    monkeypatch.setattr(make, "PER_SHARD", 4)
    return files(make_labelled(SOURCES[kind](source), 3, place / "labelled", progress=False))


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
