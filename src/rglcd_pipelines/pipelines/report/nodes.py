"""The report's node; it imports what it calls when it runs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rglcd_pipelines.artifacts import Artifact, open_artifact
from rglcd_pipelines.evaluation.settings import TEACHER
from rglcd_pipelines.pipelines.report.config import ReportStageConfig
from rglcd_pipelines.pipelines.report.runs import run_urls

if TYPE_CHECKING:
    from rglcd_pipelines.evaluation.report.models import Model

logger = logging.getLogger(__name__)


def write_report(
    config: ReportStageConfig, variants: dict[str, Any], places: dict[str, str], *folders: Artifact
) -> Artifact:
    """The report of all models whose samples and scores are given, one after the other."""
    from rglcd_pipelines.evaluation.report.make import make_report

    pairs = list(zip(folders[::2], folders[1::2], strict=True))
    students = {
        samples.path.name: open_artifact(Path(places["students"], samples.path.name), "student")
        for samples, _ in pairs
        if samples.path.name != TEACHER
    }
    urls = run_urls({name: student.digest for name, student in students.items()})
    models = [
        _model(samples, scores, variants, students.get(samples.path.name), urls.get(samples.path.name))
        for samples, scores in pairs
    ]
    made = make_report(config, models, Path(places["report"]))
    logger.info("%s: open it in a browser", made.path / "report.html")
    return made


def _model(
    samples: Artifact,
    scores: Artifact,
    variants: Mapping[str, Any],
    student: Artifact | None,
    url: str | None,
) -> "Model":
    from rglcd_pipelines.evaluation.generate.samples import Samples
    from rglcd_pipelines.evaluation.report.models import Model
    from rglcd_pipelines.evaluation.scores.table import Scores

    opened = Scores.open(scores)
    told: dict[str, Any] = dict(opened.facts)
    start = "seconds_per_image/"
    seconds = {
        key.removeprefix(start): value for key, value in samples.metrics.items() if key.startswith(start)
    }
    return Model(
        name=opened.name,
        kind="teacher" if student is None else "student",
        family=_family(opened.name, variants),
        seed=int(told.get("seed", 0)),
        beta=float(told.get("beta", 0.0)),
        reward=" + ".join(told.get("rewards", [])),
        lrm=told.get("lrm", "none") != "none",
        scores=replace(opened, facts=told | {"seconds_per_image": seconds}),
        samples=Samples(samples),
        student=None if student is None else student.path,
        run_url=url,
        antialias=bool(told.get("antialias", True)),
        real_bonus=told.get("real_bonus"),
    )


def _family(name: str, variants: Mapping[str, Any]) -> str:
    """The variant that a series began with: hps of hps-beta10."""
    if name in variants:
        return name
    return max((known for known in variants if name.startswith(f"{known}-")), key=len, default=name)


def names(models: Sequence[str]) -> list[str]:
    """What the report reads, in the order in which `write_report` takes it."""
    return [f"{name}/{part}" for name in models for part in ("samples", "scores")]
