"""A finished folder is complete or absent; a killed run's draft is found again by the same settings only."""

import json
import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from rglcd_pipelines.artifacts import (
    MANIFEST,
    Artifact,
    atomic_file,
    digest_file,
    digest_files,
    draft,
    open_artifact,
    publish,
    standing,
)
from rglcd_pipelines.errors import DataError

MADE_FROM = {"format": 1, "settings": {"b": 2, "a": [1, 2]}}


def make(place: Path, made_from: dict[str, object] = MADE_FROM, content: str = "x") -> Artifact:
    with draft(place, made_from) as work:
        (work.path / "data.txt").write_text(content)
        return publish(work, place, "pairs", made_from, {"counts": {"kept": 1}}, {"kept": 1.0})


def test_published_is_found_by_what_it_was_made_from(tmp_path: Path) -> None:
    place = tmp_path / "pairs"
    made = make(place)
    again = standing(place, "pairs", {"settings": {"a": [1, 2], "b": 2}, "format": 1})
    assert again is not None
    assert again.reused
    assert again.digest == made.digest
    assert again.metrics == {"kept": 1.0}
    assert standing(place, "pairs", {**MADE_FROM, "format": 2}) is None
    assert standing(place, "latents", MADE_FROM) is None


def test_the_digest_names_the_content_not_the_moment(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a" / "pairs"), make(tmp_path / "b" / "pairs")
    assert first.digest == second.digest
    assert make(tmp_path / "c" / "pairs", {"format": 3}).digest == first.digest
    body = {**first.manifest, "counts": {"kept": 2}}
    assert Artifact(first.path, body).digest != first.digest


def test_a_new_one_replaces_the_old_whole(tmp_path: Path) -> None:
    place = tmp_path / "pairs"
    make(place)
    (place / "stray.txt").write_text("of the old one")
    make(place, {"format": 2}, "y")
    assert sorted(file.name for file in place.iterdir()) == ["data.txt", MANIFEST]
    assert (place / "data.txt").read_text() == "y"
    assert not [entry for entry in (tmp_path / ".partial").iterdir() if entry.is_dir()]


def test_a_failure_leaves_the_old_one_and_the_draft(tmp_path: Path) -> None:
    place = tmp_path / "pairs"
    make(place)
    with pytest.raises(RuntimeError), draft(place, {"format": 2}) as work:
        assert not list(work.path.iterdir())
        (work.path / "half").write_text("done")
        raise RuntimeError("killed")
    assert standing(place, "pairs", MADE_FROM) is not None
    with draft(place, {"format": 2}) as work:
        assert (work.path / "half").read_text() == "done"
    with draft(place, {"format": 3}) as work:
        assert not list(work.path.iterdir())


@pytest.mark.parametrize("before", [None, {"format": 0}])
@pytest.mark.parametrize("kept", [True, False])
def test_one_that_was_killed_before_it_was_in_its_place_is_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: dict[str, object] | None, kept: bool
) -> None:
    place = tmp_path / "pairs"
    if before:
        make(place, before, "old")
    rename, calls = Path.rename, []

    def dies(self: Path, target: Path) -> Path:
        calls.append(self)
        if self.parent.name == ".partial" or (before and not kept):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", dies)
    with pytest.raises(KeyboardInterrupt):
        make(place)
    monkeypatch.undo()
    found = standing(place, "pairs", MADE_FROM)
    assert found is not None
    assert found.metrics == {"kept": 1.0}
    assert (place / "data.txt").read_text() == "x"
    assert not [entry for entry in (tmp_path / ".partial").iterdir() if entry.is_dir()]


def test_files_are_digested_less_the_manifest_and_what_was_being_written(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", MANIFEST, ".b.txt.tmp", "a/manifest.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(digest_files(tmp_path)) == ["a/c.txt", "a/manifest.json", "b.txt"]
    assert digest_files(tmp_path)["b.txt"] == digest_file(tmp_path / "b.txt")


def _hold(place: Path, ready: Event, leave: Event) -> None:
    with draft(place, MADE_FROM):
        ready.set()
        leave.wait(20)


def test_two_runs_never_write_one_draft(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "pairs", ready, leave))
    other.start()
    try:
        assert ready.wait(20)
        with pytest.raises(DataError, match="another run"), draft(tmp_path / "pairs", MADE_FROM):
            pass
    finally:
        leave.set()
        other.join(20)
    with draft(tmp_path / "pairs", MADE_FROM):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"no": "kind"}', "\0"])
def test_a_damaged_manifest_is_told(tmp_path: Path, text: str) -> None:
    place = tmp_path / "pairs"
    make(place)
    (place / MANIFEST).write_text(text)
    with pytest.raises(DataError, match=MANIFEST):
        open_artifact(place, "pairs")
    assert standing(place, "pairs", MADE_FROM) is None


def test_absent_and_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kedro run --pipeline=ingest"):
        open_artifact(tmp_path / "pairs", "pairs")
    make(tmp_path / "pairs")
    with pytest.raises(DataError, match="holds pairs, not latents"):
        open_artifact(tmp_path / "pairs", "latents")


def test_an_atomic_file_is_whole_or_absent(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(KeyError), atomic_file(file) as out:
        out.write(b"half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with atomic_file(file) as out:
        out.write(b"whole")
    assert file.read_bytes() == b"whole"


def test_a_full_disk_is_told_by_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"table: the disk is full.*same command again"),
        atomic_file(tmp_path / "table"),
    ):
        raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


def test_manifests_are_plain_json(tmp_path: Path) -> None:
    make(tmp_path / "pairs")
    manifest = json.loads((tmp_path / "pairs" / MANIFEST).read_text())
    assert manifest["kind"] == "pairs"
    assert manifest["made_from"] == MADE_FROM
    assert manifest["counts"] == {"kept": 1}


def test_equal_settings_give_equal_folders_and_metrics_stand_beside(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a" / "pairs"), make(tmp_path / "b" / "pairs")
    assert [file.read_bytes() for file in sorted(first.path.iterdir())] == [
        file.read_bytes() for file in sorted(second.path.iterdir())
    ]
    beside = first.path.with_name("pairs.metrics.json")
    assert json.loads(beside.read_text())["metrics"] == {"kept": 1.0}
    other = {**json.loads(beside.read_text()), "artifact": "of another"}
    beside.write_text(json.dumps(other))
    assert first.metrics == {}
    beside.unlink()
    assert first.metrics == {}


def test_figures_in_the_manifest_serve_where_only_the_folder_came(tmp_path: Path) -> None:
    told = Artifact(tmp_path / "world", {"kind": "world", "figures": {"psnr": 28.9}})
    assert told.metrics == {"psnr": 28.9}
