"""From a model's pictures to its scores."""

import logging
import shutil
import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rglcd_pipelines.artifacts import Artifact, digest_files, draft, publish, standing
from rglcd_pipelines.diffusion.vae import VaeConfig, identity
from rglcd_pipelines.engines import Engine, open_engine
from rglcd_pipelines.evaluation.distances.identity import features_identity
from rglcd_pipelines.evaluation.distances.reference import Reference
from rglcd_pipelines.evaluation.generate.absolute import absolute, absolute_reward
from rglcd_pipelines.evaluation.generate.machine import machine
from rglcd_pipelines.evaluation.generate.samples import Samples
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.evaluation.prompts.settings import PromptSetConfig
from rglcd_pipelines.evaluation.scores.about import measures_of
from rglcd_pipelines.evaluation.scores.distances import with_distances
from rglcd_pipelines.evaluation.scores.figures import figures_of, flat
from rglcd_pipelines.evaluation.scores.table import write_scores
from rglcd_pipelines.evaluation.scores.worker import (
    COMPUTED,
    FEATURES,
    KEYS,
    ScoreJob,
    ScoreUnit,
    Wanted,
    is_measure,
)
from rglcd_pipelines.evaluation.settings import EvaluateConfig, judges_of
from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.rewards.identity import reward_identity
from rglcd_pipelines.rewards.settings import RewardConfig

FORMAT = 2
KIND = "scores"

logger = logging.getLogger(__name__)

Part = Mapping[str, NDArray[Any]]


def score_samples(
    drawn: Artifact,
    config: EvaluateConfig,
    rewards: Mapping[str, RewardConfig],
    vae: VaeConfig,
    facts: Mapping[str, Any],
    reference: Artifact | None,
    place: Path,
) -> Artifact:
    """The scores of a model's pictures at `place`; `facts` are what is known of the model."""
    judges = judges_of(config.judges, rewards)
    made_from = {
        "format": FORMAT,
        "judges": {name: reward_identity(judge) for name, judge in judges.items()},
        "vae": identity(vae),
        "features": features_identity(config.features),
        "sets": {name: asked.use for name, asked in config.sets.items()},
        **config.model_dump(include={"gold", "suffix", "resamples", "batch_size"}),
        "facts": dict(facts),
        "inputs": {"samples": drawn.digest, "reference": reference and reference.digest},
    }
    if ready := standing(place, KIND, made_from):
        logger.info("%s: the scores are there already; nothing to do", place)
        return ready
    samples = Samples(drawn)
    with draft(place, made_from) as work:
        parts_folder = work.path / "parts"
        units = _units(drawn, samples, parts_folder)
        with open_engine("evaluate.draw", config.draw.engine, config.draw.workers) as engine:
            job = _job(config, judges, vae, engine.gpus)
            _measure(samples.name, units, job, engine, config.draw.progress)
        rows, features = _joined(units)
        real = Reference.open(reference) if reference else None
        if real is not None:
            compared = [key for key in features if "fid" in config.sets[key[1]].use]
            rows = with_distances(rows, {key: features[key] for key in compared}, real)
        measures = measures_of(config, judges, rows.column_names, list(facts.get("rewards", [])))
        figures = figures_of(rows, features, config.sets, measures, real, config.resamples)
        write_scores(work.path, samples.name, samples.columns, measures, rows, features, figures, facts)
        shutil.rmtree(parts_folder)
        metrics = flat(figures)
        body = {"name": samples.name, "figures": metrics, "files": digest_files(work.path)}
        made = publish(work, place, KIND, made_from, body, metrics)
    logger.info("%s: the scores of %d pictures of %s", place, rows.num_rows, samples.name)
    return made


def _units(drawn: Artifact, samples: Samples, folder: Path) -> list[ScoreUnit]:
    units: list[ScoreUnit] = []
    at = dict.fromkeys(samples.columns, 0)
    for shard in drawn.manifest["shards"]:
        column, count = shard["column"], shard["samples"]
        own = samples.prompts(column)[at[column] : at[column] + count]
        at[column] += count
        source = (drawn.path / shard["name"]).absolute()
        target = (folder / shard["name"]).with_suffix(".npz").absolute()
        units.append(ScoreUnit(source, shard["sha256"], tuple(own), target))
    return units


def _job(config: EvaluateConfig, judges: Mapping[str, RewardConfig], vae: VaeConfig, gpus: int) -> ScoreJob:
    device, workers = machine(config.draw, gpus)
    wanted = {
        name: Wanted(
            judged=not featured(asked) or "benchmark" in asked.use,
            watched="benchmark" in asked.use,
            featured=featured(asked),
        )
        for name, asked in config.sets.items()
    }
    return ScoreJob(
        judges={name: absolute_reward(judge) for name, judge in judges.items()},
        vae=absolute(vae),
        features=absolute(config.features) if config.features else None,
        wanted=wanted,
        batch_size=config.batch_size,
        device=device,
        workers=workers,
        lanes=config.lanes,
    )


def featured(asked: PromptSetConfig) -> bool:
    """Whether a set is there for what its features tell; then judges need not look at all of it."""
    return bool({"fid", "diversity"} & {*asked.use})


def _measure(name: str, units: Sequence[ScoreUnit], job: ScoreJob, engine: Engine, shown: bool) -> None:
    missing = [unit for unit in units if not _is_whole(unit, job)]
    if not missing:
        return
    total, left = (sum(unit.samples for unit in part) for part in (units, missing))
    started = f"; {total - left} were scored by a run that was stopped" if left < total else ""
    logger.info("%s: scoring %d pictures on %s%s", name, left, job.device, started)
    lock = threading.Lock()
    with progress_bar(f"score {name}", total, total - left, shown) as bar:

        def report(pictures: int) -> None:
            with lock:
                if bar.n == total - left:
                    bar.unpause()
                bar.update(pictures)

        engine.run(missing, job, report)


def _is_whole(unit: ScoreUnit, job: ScoreJob) -> bool:
    """Whether a killed run finished the part, on such a machine as this."""
    try:
        part = _part(unit)
        return len(part[KEYS]) == unit.samples and str(part[COMPUTED]) == job.computed()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


def _part(unit: ScoreUnit) -> Part:
    with np.load(unit.target, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _joined(
    units: Sequence[ScoreUnit],
) -> tuple[pa.Table, dict[tuple[str, str], NDArray[np.float32]]]:
    """All parts as one table, and features by column and set."""
    parts = [(unit, _part(unit)) for unit in units]
    names = list(dict.fromkeys(name for _, part in parts for name in part if is_measure(name)))
    tables: list[pa.Table] = []
    features: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    for unit, part in parts:
        column = unit.target.parent.name
        tables.append(_rows(column, unit.prompts, part, names))
        for name in part:
            if name.startswith(FEATURES):
                features.setdefault((column, name.removeprefix(FEATURES)), []).append(part[name])
    return pa.concat_tables(tables), {name: np.concatenate(own) for name, own in features.items()}


def _rows(column: str, prompts: Sequence[Prompt], part: Part, names: Sequence[str]) -> pa.Table:
    keys = {
        "column": pa.array([column] * len(prompts)),
        "set": pa.array([prompt.set for prompt in prompts]),
        "group": pa.array([prompt.group for prompt in prompts]),
        "key": pa.array([prompt.key for prompt in prompts]),
        "repeat": pa.array([prompt.repeat for prompt in prompts], pa.int32()),
    }
    nothing = np.full(len(prompts), np.nan, np.float32)
    scores = {name: pa.array(part.get(name, nothing), pa.float32(), from_pandas=True) for name in names}
    return pa.table(keys | scores)
