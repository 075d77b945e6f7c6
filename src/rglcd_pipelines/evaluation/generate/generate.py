"""All pictures of a model: the same prompts and the same noise for each of them, in shards."""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import Artifact, draft, publish, standing, write_json
from rglcd_pipelines.engines import Done, Engine, open_engine
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.evaluation.generate.machine import machine
from rglcd_pipelines.evaluation.generate.models import Drawer
from rglcd_pipelines.evaluation.generate.samples import PROMPTS
from rglcd_pipelines.evaluation.generate.settings import DrawConfig
from rglcd_pipelines.evaluation.generate.worker import DrawJob, Unit
from rglcd_pipelines.evaluation.prompts.lines import read_prompts
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.evaluation.prompts.settings import PromptSetConfig
from rglcd_pipelines.progress import progress_bar

FORMAT = 1
KIND = "samples"

logger = logging.getLogger(__name__)


def draw_samples(
    name: str,
    drawer: Drawer,
    prompts: Artifact,
    sets: Mapping[str, PromptSetConfig],
    config: DrawConfig,
    place: Path,
) -> Artifact:
    """The pictures of the model called `name`, at `place`; nothing is drawn twice."""
    drawn = columns_of_sets(sets, drawer, config)
    made_from = {
        "format": FORMAT,
        "model": drawer.identity(),
        "sets": drawn,
        "precision": config.precision,
        # Who shares a picture's batch decides its last bits.
        **config.model_dump(include={"batch_size", "shard_size"}),
        "inputs": {"prompts": prompts.digest},
    }
    if ready := standing(place, KIND, made_from):
        _remove_sidecars(place)
        logger.info("%s: the pictures are there already; nothing to do", place)
        return ready
    with draft(place, made_from) as work:
        asked = read_prompts(prompts)
        units = _units(asked, drawn, drawer, config.shard_size, work.path)
        with open_engine("evaluate.draw", config.engine, config.workers) as engine:
            job = _job(drawer, config, engine.gpus)
            missing = [unit for unit in units if not _is_finished(unit, job)]
            done = _draw(name, units, missing, job, engine, config.progress)
        write_json(work.path / PROMPTS, [asdict(prompt) for prompt in asked])
        told = {unit.target: _sidecar(unit) for unit in units}
        body = {
            "name": name,
            "columns": {column: asdict(way) for column, way in drawer.columns.items()},
            "sets": drawn,
            "samples": sum(len(unit.prompts) for unit in units),
            "shards": [_listed(unit, told[unit.target], work.path) for unit in units],
        }
        metrics = _metrics(units, told, job, done)
        made = publish(work, place, KIND, made_from, body, metrics)
    _remove_sidecars(place)
    logger.info("%s: %d pictures of %s", place, body["samples"], name)
    return made


def columns_of_sets(
    sets: Mapping[str, PromptSetConfig], drawer: Drawer, config: DrawConfig
) -> dict[str, list[str]]:
    """Which of the drawer's columns draw each set."""
    known = [*map(str, config.steps), *config.teacher]
    for name, asked in sets.items():
        unknown = [column for column in asked.steps or [] if column not in known]
        if unknown:
            raise ConfigError(
                f"evaluate.sets.{name}.steps: there is no column {unknown[0]!r}; there is {', '.join(known)}"
            )
    return {
        name: [column for column in drawer.columns if asked.steps is None or column in asked.steps]
        for name, asked in sets.items()
    }


def _units(
    prompts: Sequence[Prompt], drawn: Mapping[str, list[str]], drawer: Drawer, size: int, folder: Path
) -> list[Unit]:
    """The work of all columns, that of the slowest first, so that no lane waits for the last one."""
    units: list[Unit] = []
    for column in sorted(drawer.columns, key=lambda column: -drawer.columns[column].nfe):
        own = [prompt for prompt in prompts if column in drawn[prompt.set]]
        for index, start in enumerate(range(0, len(own), size)):
            target = (folder / column / f"{index:05d}.tar").absolute()
            units.append(Unit(column, tuple(own[start : start + size]), target))
    return units


def _job(drawer: Drawer, config: DrawConfig, gpus: int) -> DrawJob:
    """The settings, with every `auto` and null replaced by what the engine has."""
    device, workers = machine(config, gpus)
    bf16 = device == "cuda" if config.precision == "auto" else config.precision == "bf16"
    return DrawJob(drawer.absolute(), device, bf16, config.batch_size, workers, config.lanes)


def _is_finished(unit: Unit, job: DrawJob) -> bool:
    """Whether a killed run finished the unit, on such a machine as this."""
    try:
        told = _sidecar(unit)
        return (
            told["computed"] == job.computed()
            and told["samples"] == len(unit.prompts)
            and unit.target.is_file()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sidecar(unit: Unit) -> dict[str, Any]:
    return json.loads(unit.sidecar.read_text(encoding="utf-8"))


def _listed(unit: Unit, told: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {
        "name": unit.target.relative_to(folder.absolute()).as_posix(),
        "column": unit.column,
        "sets": list(dict.fromkeys(prompt.set for prompt in unit.prompts)),
        "samples": told["samples"],
        "sha256": told["sha256"],
    }


def _remove_sidecars(place: Path) -> None:
    """Only a draft needs them, and only until it is published, for a run could be killed just before."""
    for sidecar in place.glob("*/[0-9]*.json"):
        sidecar.unlink()


def _metrics(
    units: Sequence[Unit], told: Mapping[Path, Mapping[str, Any]], job: DrawJob, done: Sequence[Done]
) -> dict[str, float]:
    """What a picture of each column costs: the seconds of this machine with all that drew at once."""
    at_once = job.lanes * job.workers
    metrics: dict[str, float] = {}
    for column in dict.fromkeys(unit.column for unit in units):
        own = [told[unit.target] for unit in units if unit.column == column]
        count = sum(one["samples"] for one in own)
        # Of several lanes the last one is alone for a while; that is no part of what a picture takes.
        together = min(at_once, len(own))
        metrics[f"seconds_per_image/{column}"] = sum(one["seconds"] for one in own) / count / together
    if done:
        seconds = max(unit.ended for unit in done) - min(unit.began for unit in done)
        metrics["images_per_second"] = sum(unit.samples for unit in done) / max(seconds, 1e-9)
    return {name: round(value, 5) for name, value in metrics.items()}


def _draw(
    name: str, units: Sequence[Unit], missing: Sequence[Unit], job: DrawJob, engine: Engine, shown: bool
) -> list[Done]:
    """Have the engine draw what is missing, and show how far it is."""
    if not missing:
        return []
    total, left = (sum(len(unit.prompts) for unit in part) for part in (units, missing))
    started = f"; {total - left} were drawn by a run that was stopped" if left < total else ""
    logger.info("%s: drawing %d pictures on %s%s", name, left, job.device, started)
    lock = threading.Lock()
    with progress_bar(f"draw {name}", total, total - left, shown) as bar:

        def report(pictures: int) -> None:
            with lock:
                if bar.n == total - left:
                    bar.unpause()  # what workers take to start says nothing about the time that is left
                bar.update(pictures)

        return engine.run(missing, job, report)
