"""Tells DVC what a `kedro run` has made, so that `dvc repro` has nothing to do after it."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import MANIFEST

logger = logging.getLogger(__name__)

FILE = "dvc.yaml"
LOCK = "dvc.lock"
STAGE_BY_DVC = "DVC_STAGE"
"""DVC sets this variable in the commands that it runs."""


def record(ran: Iterable[str], parameters: Mapping[str, Any]) -> None:
    """Write into dvc.lock that the stages `ran` left what now stands, made with these `parameters`.

    So did the frozen stages that they build on, which come with the project. Nothing happens inside a run of
    DVC's own, where DVC is not set up, or where it knows all of it.
    """
    if STAGE_BY_DVC in os.environ or not Path(".dvc").is_dir() or not Path(FILE).is_file():
        return
    stages = _wanted(_stages(FILE), set(ran))
    edited = [name for name, stage in stages.items() if not _ran_with(stage, parameters)]
    if edited:
        logger.warning("DVC does not record this run: the parameters of %s were edited while it ran", edited)
        return
    new = [name for name, stage in stages.items() if _is_complete(stage) and not _is_known(name, stage)]
    if new:
        _commit(new)


def _wanted(stages: Mapping[str, Any], ran: set[str]) -> dict[str, Any]:
    """The stages that ran, and the frozen ones whose outputs they read."""
    read = {Path(dep) for name in ran & set(stages) for dep in stages[name].get("deps", [])}
    return {
        name: stage
        for name, stage in stages.items()
        if name in ran
        or (stage.get("frozen") and any(path.is_relative_to(out) for path in read for out in _outs(stage)))
    }


def _outs(stage: Mapping[str, Any]) -> list[str]:
    """The paths of a stage's outputs, of which some carry settings."""
    return [out if isinstance(out, str) else next(iter(out)) for out in stage["outs"]]


def _ran_with(stage: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether the files, which DVC reads when it commits, still say what the run was started with."""
    return all(
        values == {key: value_of(parameters, key) for key in values} for values in _parameters(stage).values()
    )


def _is_known(name: str, stage: Mapping[str, Any]) -> bool:
    """Whether dvc.lock has the stage with its parameters, and nothing of it was put in place since then."""
    known = _stages(LOCK).get(name)
    if known is None or known.get("params", {}) != _parameters(stage):
        return False
    written = Path(LOCK).stat().st_mtime_ns
    return all(_mark(out).stat().st_mtime_ns <= written for out in _outs(stage))


def _is_complete(stage: Mapping[str, Any]) -> bool:
    return all(_mark(out).is_file() for out in _outs(stage))


def _mark(out: str) -> Path:
    """The file that an output is judged by: an artifact's manifest, or the output itself."""
    path = Path(out)
    return path / MANIFEST if path.is_dir() else path


def _parameters(stage: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A stage's parameters as their files have them now, in the form of dvc.lock: file, name, value."""
    found = {}
    for entry in stage.get("params", []):
        for file, keys in entry.items():
            values = _yaml(file)
            found[file] = {key: value_of(values, key) for key in keys}
    return found


def value_of(values: Mapping[str, Any], key: str) -> Any:
    """What stands at a key such as `variants.hps`, as DVC names it."""
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _stages(file: str) -> dict[str, Any]:
    return _yaml(file).get("stages", {}) if Path(file).is_file() else {}


def _yaml(file: str) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}


def _commit(names: list[str]) -> None:
    command = [sys.executable, "-m", "dvc", "commit", "--force", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        logger.info("recorded in %s: %s", LOCK, ", ".join(names))
    else:
        why = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        logger.warning("DVC did not record this run (%s). By hand: dvc commit %s", why, " ".join(names))
