"""Whoever does the work, and however often it is stopped, the bytes are the same."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.latents.encode import encode
from rglcd_pipelines.engines import _error_of, open_engine
from rglcd_pipelines.errors import ConfigError, DataError, RglcdError
from tests.data import encode_pairs
from tests.data.encode_pairs import config, contents, make_pairs

pytestmark = pytest.mark.slow

SIZES = [10] * 12
SLOW = {
    "vae": {"source": "untrained", "untrained": {"block_out_channels": [32, 32], "layers_per_block": 2}},
    "resolution": 64,
    "batch_size": 2,
}
"""Slow enough that a run of it can be caught in the middle."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Artifact:
    return make_pairs(tmp_path_factory.mktemp("engines") / "pairs", SIZES)


@pytest.fixture(scope="module")
def whole(pairs: Artifact, tmp_path_factory) -> Artifact:
    return encode(pairs, config(), tmp_path_factory.mktemp("whole") / "latents")


@pytest.fixture(scope="module")
def unbroken(pairs: Artifact, tmp_path_factory) -> Artifact:
    return encode(pairs, config(**SLOW), tmp_path_factory.mktemp("unbroken") / "latents")


def test_two_processes_give_the_same_bytes(pairs: Artifact, whole: Artifact, tmp_path: Path):
    made = encode(pairs, config(workers=2), tmp_path / "latents")
    assert contents(made) == contents(whole)
    assert not multiprocessing.active_children()


def test_ray_gives_the_same_bytes_and_the_same_errors(pairs: Artifact, whole: Artifact, tmp_path: Path):
    pytest.importorskip("ray")
    made = encode(pairs, config(engine="ray", workers=2), tmp_path / "latents")
    assert contents(made) == contents(whole)
    damaged = make_pairs(tmp_path / "pairs", [4, 4])
    (damaged.path / "pairs-00001.tar").write_bytes(b"no tar")
    with pytest.raises(DataError, match=r"pairs-00001\.tar: is damaged"):
        encode(damaged, config(engine="ray"), tmp_path / "other")


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(ConfigError, match=r"pip install rglcd-pipelines\[ray\]"),
        open_engine("encode", "ray", None),
    ):
        pass


def test_the_error_of_a_process_ends_the_run(tmp_path: Path):
    pairs = make_pairs(tmp_path / "pairs", [4, 4, 4])
    (pairs.path / "pairs-00001.tar").write_bytes(b"no tar")
    with pytest.raises(DataError, match=r"pairs-00001\.tar: is damaged"):
        encode(pairs, config(workers=2), tmp_path / "latents")
    assert not multiprocessing.active_children()


def test_a_process_that_dies_ends_the_run(pairs: Artifact, tmp_path: Path):
    def kill_one() -> None:
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        children[0].kill()

    threading.Thread(target=kill_one, daemon=True).start()
    with pytest.raises(RglcdError, match=r"worker \d of 2 was ended by SIGKILL"):
        encode(pairs, config(workers=2), tmp_path / "latents")
    assert not multiprocessing.active_children()
    assert not (tmp_path / "latents").exists()


@dataclass(frozen=True)
class Deadly:
    """A job whose workers die, of a stage whose workers are another's parameter."""

    stage: str = "evaluate"
    workers: int = 2
    lanes: int = 1
    device: str = "cpu"

    def worker(self, index: int) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(index)


def test_what_is_to_be_lowered_is_called_by_its_name():
    with (
        open_engine("evaluate.draw", "local", 2) as engine,
        pytest.raises(RglcdError, match=r"lower evaluate\.batch_size or evaluate\.draw\.workers\. Run"),
    ):
        engine.run([1, 2], Deadly(), lambda _: None)


def test_errors_of_actors_are_told_also_when_their_kind_is_unknown():
    told = _error_of({"error": "DataError", "answer": "it is damaged"})
    assert (type(told), str(told)) == (DataError, "it is damaged")
    told = _error_of({"error": "SomebodysError", "answer": "it is damaged"})
    assert (type(told), str(told)) == (RglcdError, "it is damaged")


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """The latent files in the drafts that a sidecar calls done, and which file each is on the disk."""
    sidecars = folder.glob(".partial/*/latents-*.json")
    stats = {file.stem: file.with_suffix(".arrow").stat() for file in sidecars}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


@contextmanager
def held_back(shard: Path) -> Iterator[Callable[[], None]]:
    """A pipe in the shard's place: a run waits for it, however fast the machine is, until it is let go."""
    content = shard.read_bytes()
    shard.unlink()
    os.mkfifo(shard)

    def let_go() -> None:
        with suppress(OSError):  # nobody waits
            os.close(os.open(shard, os.O_WRONLY | os.O_NONBLOCK))

    try:
        yield let_go
    finally:
        shard.unlink()
        shard.write_bytes(content)


@pytest.mark.parametrize(("stop", "workers"), [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGINT, 1)])
def test_a_run_that_is_stopped_goes_on_where_it_was(
    pairs: Artifact, unbroken: Artifact, tmp_path: Path, stop: signal.Signals, workers: int
):
    place = tmp_path / "latents"
    changes = json.dumps(SLOW | {"workers": workers})
    program = [sys.executable, encode_pairs.__file__, str(pairs.path), str(place), changes]
    with held_back(pairs.path / "pairs-00011.tar") as let_go, subprocess.Popen(program) as run:
        while len(finished(tmp_path)) < 2:
            assert run.poll() is None, "the run ended before it could be stopped"
            time.sleep(0.002)
        run.send_signal(stop)
        while run.poll() is None:
            let_go()
            time.sleep(0.05)
    assert run.returncode != 0
    time.sleep(0.5)  # workers of a killed parent end by themselves
    before = finished(tmp_path)
    assert 2 <= len(before) < len(SIZES)

    made = encode(pairs, config(**SLOW), place)
    after = {p.stem: (p.stat().st_ino, p.stat().st_mtime_ns) for p in place.glob("*.arrow")}
    assert {name: after[name] for name in before} == before
    assert not (tmp_path / ".partial").exists() or not list((tmp_path / ".partial").glob("latents-*/"))
    assert contents(made) == contents(unbroken)


def test_what_another_machine_computed_is_not_mixed_in(pairs: Artifact, tmp_path: Path):
    """A draft of a GPU is no draft of this CPU: its finished units are encoded anew."""
    last = pairs.path / "pairs-00011.tar"
    content = last.read_bytes()
    last.unlink()
    with pytest.raises(DataError):
        encode(pairs, config(), tmp_path / "latents")
    last.write_bytes(content)
    sidecars = sorted(tmp_path.glob(".partial/*/latents-*.json"))
    assert len(sidecars) > 1
    foreign = json.loads(sidecars[0].read_text())
    foreign["computed"]["device"] = "cuda"
    sidecars[0].write_text(json.dumps(foreign))
    before = finished(tmp_path)
    made = encode(pairs, config(), tmp_path / "latents")
    stats = {p.stem: (p.stat().st_ino, p.stat().st_mtime_ns) for p in made.path.glob("*.arrow")}
    assert {name for name in before if stats[name] != before[name]} == {sidecars[0].stem}
