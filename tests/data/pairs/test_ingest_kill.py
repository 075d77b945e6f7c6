"""Killed at any moment, the same command again ends with the bytes of a run that was never killed."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.data.pairs.clean import CleanConfig, clean
from rglcd_pipelines.data.pairs.folder import Pairs
from rglcd_pipelines.data.pairs.rules import Rules
from rglcd_pipelines.data.sources.shards import ShardsConfig, ShardsSource
from tests.data.make_shards import pair, write_good_shards, write_tar
from tests.killing import killed

pytestmark = pytest.mark.slow


def work(source: str, settings: str, place: Path) -> None:
    """What is killed."""
    shards = ShardsSource(ShardsConfig(path=source), place)
    clean(shards, CleanConfig.model_validate_json(settings), place / "pairs")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good pairs, and now and then a duplicate or a broken image."""
    folder = write_good_shards(tmp_path_factory.mktemp("in"), shards=3, samples=11)
    for n in range(3, 6):
        broken = [(f"broken{n}.png", b"?"), (f"broken{n}.txt", b"a caption")]
        new = [member for k in range(5) for member in pair(f"new{n}{k}", 100 * n + k)]
        write_tar(folder / f"{n:05d}.tar", [*pair(f"again{n}", n), *broken, *new, *pair("new30", n + 1000)])
    return folder


def config(**values: Any) -> CleanConfig:
    return CleanConfig(samples_per_shard=5, rules=Rules(min_side=8), progress=False, **values)


def run(shards: Path, config: CleanConfig, jobs: list[tuple[Path, int]]) -> list[tuple[int, str]]:
    return killed("tests.data.pairs.test_ingest_kill:work", [str(shards), config.model_dump_json()], jobs)


def finish(shards: Path, out: Path, config: CleanConfig) -> dict[str, bytes]:
    """Run again, in this process, and read every file that there is then."""
    artifact = clean(ShardsSource(ShardsConfig(path=str(shards)), out), config, out / "pairs")
    Pairs(artifact).verify()
    content = {path.name: path.read_bytes() for path in artifact.path.iterdir()}
    manifest = json.loads(content["manifest.json"])
    content["manifest.json"] = json.dumps(
        {key: value for key, value in manifest.items() if key not in ("made", "metrics")}
    ).encode()
    return content


@pytest.mark.parametrize("samples", [None, 22])
def test_killed_wherever_it_touches_the_disk(shards: Path, tmp_path: Path, samples: int | None) -> None:
    settings = config(samples=samples)
    unbroken = finish(shards, tmp_path / "unbroken", settings)
    ((status, count),) = run(shards, settings, [(tmp_path / "counted", 0)])
    assert status == 0
    moments = int(count)
    assert moments > 40
    chosen = random.Random(samples).sample(range(1, moments - 6), 8) + list(range(moments - 6, moments + 1))
    jobs = [(tmp_path / f"killed-{moment}", moment) for moment in chosen]
    assert {status for status, _ in run(shards, settings, jobs)} == {-signal.SIGKILL}
    for place, moment in jobs:
        assert finish(shards, place, settings) == unbroken, f"killed at {moment} of {moments}"


def test_killed_again_and_again(shards: Path, tmp_path: Path) -> None:
    """Each run gets a little further; what was finished stays as it is."""
    place = tmp_path / "place"
    unbroken = finish(shards, tmp_path / "unbroken", config())
    standing: dict[str, int] = {}
    for last in (25, 20, 30, 20, 25):
        assert run(shards, config(), [(place, last)])[0][0] == -signal.SIGKILL
        for name, changed in standing.items():
            assert next(place.rglob(name)).stat().st_mtime_ns == changed
        states = [json.loads(path.read_text()) for path in place.rglob("state.json")]
        names = [shard["name"] for state in states for shard in state["shards"]]
        assert len(names) >= len(standing)
        standing = {name: next(place.rglob(name)).stat().st_mtime_ns for name in names}
    assert len(standing) > 2
    assert finish(shards, place, config()) == unbroken


WITH_WORKERS = """
    import sys
    from pathlib import Path
    from rglcd_pipelines.data.pairs.clean import CleanConfig, clean
    from rglcd_pipelines.data.sources.shards import ShardsConfig, ShardsSource

    if __name__ == "__main__":
        source, config, place = sys.argv[1:]
        shards = ShardsSource(ShardsConfig(path=source), Path(place))
        clean(shards, CleanConfig.model_validate_json(config), Path(place) / "pairs")
"""


def test_workers_go_with_the_run_that_is_killed(shards: Path, tmp_path: Path) -> None:
    program, place, settings = tmp_path / "program.py", tmp_path / "place", config(workers=2)
    program.write_text(textwrap.dedent(WITH_WORKERS))
    arguments = [sys.executable, str(program), str(shards), settings.model_dump_json(), str(place)]
    process = subprocess.Popen(arguments)
    workers: set[int] = set()
    while process.poll() is None:
        workers |= children(process.pid)
        if list(place.rglob("pairs-00000.tar")):
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(workers) >= 2
    while any(is_alive(worker) for worker in workers):  # should one stay, this never ends
        time.sleep(0.02)
    assert finish(shards, place, settings) == finish(shards, tmp_path / "unbroken", config())


def children(pid: int) -> set[int]:
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except (FileNotFoundError, ProcessLookupError):
        return set()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_finished_shard_that_was_tampered_with_is_made_again(shards: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    unbroken = finish(shards, tmp_path / "unbroken", config())
    run(shards, config(), [(place, 30)])
    os.truncate(next(place.rglob("pairs-00000.tar")), 1000)
    assert finish(shards, place, config()) == unbroken
