"""A project of its own for tests that run the real commands: a copy of the configuration, and this code."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.project import TELEMETRY_OFF, Project

ROOT = Path(__file__).resolve().parent.parent
KEPT_BY_GIT = ("data/06_models/base/world", "data/08_reporting/base/world.png")
os.environ.update(TELEMETRY_OFF)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # commands that tests run would compile all again, each time
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: two workers share the cores
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts its background jobs deaf to Ctrl-C, and what tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project's own configuration and code in a fresh git and DVC repository, its world made small."""
    home = tmp_path / "project"
    home.mkdir()
    for name in ("pyproject.toml", "dvc.yaml", "conf", ".dvc/config", ".gitignore", ".telemetry"):
        source, target = ROOT / name, home / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    package = Path("src/rglcd_pipelines")  # a link, so that it is compiled once for all tests
    (home / package).parent.mkdir()
    (home / package).symlink_to(ROOT / package, target_is_directory=True)
    for place in KEPT_BY_GIT:
        _link(ROOT / place, home / place)
    subprocess.run(["git", "init", "--quiet"], cwd=home, check=True)
    small = Project(home)
    small.set("base/parameters_ingest.yml", _small_world)
    return small


def _link(source: Path, target: Path) -> None:
    """The same files once more without taking their space. Who damages one must unlink it first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if file.is_file():
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, place)
            except OSError:  # another disk
                shutil.copy(file, place)


def _small_world(content: dict[str, Any]) -> None:
    content["ingest"]["world"] |= {"samples": 96, "samples_per_shard": 32}
    content["ingest"]["clean"]["samples_per_shard"] = 40
