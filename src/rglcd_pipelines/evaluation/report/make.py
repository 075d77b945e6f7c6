"""From the scores of many models to Table 1, figures and one page."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import (
    Artifact,
    atomic_file,
    digest_file,
    draft,
    publish,
    standing,
    write_json,
)
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.report.blocks import Charts, Grid, LeftOut, Section
from rglcd_pipelines.evaluation.report.compare import Comparer
from rglcd_pipelines.evaluation.report.context import Context
from rglcd_pipelines.evaluation.report.models import Model, Models
from rglcd_pipelines.evaluation.report.orderings import Ordering, orderings
from rglcd_pipelines.evaluation.report.page import render_page
from rglcd_pipelines.evaluation.report.pictures import draw_grid
from rglcd_pipelines.evaluation.report.sections.beta import beta_section
from rglcd_pipelines.evaluation.report.sections.distances import distances_section
from rglcd_pipelines.evaluation.report.sections.effect import effect_section
from rglcd_pipelines.evaluation.report.sections.fast import fast_section
from rglcd_pipelines.evaluation.report.sections.iterations import iterations_section, progress
from rglcd_pipelines.evaluation.report.sections.orderings import orderings_section
from rglcd_pipelines.evaluation.report.sections.resizing import resizing_section
from rglcd_pipelines.evaluation.report.sections.samples import samples_section
from rglcd_pipelines.evaluation.report.sections.speed import speed_section
from rglcd_pipelines.evaluation.report.sections.table1 import table1_section
from rglcd_pipelines.evaluation.report.sections.training import WATCH, training_section
from rglcd_pipelines.evaluation.report.sections.watch import watch_section
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from rglcd_pipelines.evaluation.report.table1 import Table1, as_csv, as_json, as_markdown, make_table1
from rglcd_pipelines.evaluation.scores.table import BODY, ROWS

FORMAT = 2
"""Counts up whenever a report of the same models would be another one."""
PAGE, FIGURES = "report.html", "figures"

logger = logging.getLogger(__name__)


def make_report(config: ReportConfig, models: Sequence[Model], place: Path) -> Artifact:
    """The report of these models at `place`."""
    if not models:
        raise DataError("there are no scores to report. Make some with: kedro run --pipeline=evaluate")
    made_from = _made_from(config, models)
    if artifact := standing(place, "report", made_from):
        logger.info("%s: already there; nothing to do", place)
        return artifact
    context = Context(config, Models(models), Comparer(config))
    with draft(place, made_from) as work:
        table = make_table1(config, context.models, context.comparer)
        found = orderings(config, context.models, context.comparer)
        parts = _parts(context, table, found)
        sections = [one for one in parts if isinstance(one, Section)]
        left_out = [one for one in parts if isinstance(one, LeftOut)]
        _write_tables(config, table, found, work.path)
        _write_figures(sections, work.path / FIGURES)
        page = render_page(config.title, _about(models), sections, left_out)
        _write_text(work.path / PAGE, page)
        body = {"rows": len(table.rows), "orderings": {name: one.holds for name, one in found.items()}}
        artifact = publish(work, place, "report", made_from, body, _metrics(found))
    logger.info("%s: %d models, %d sections", place / PAGE, len(models), len(sections))
    return artifact


def _parts(context: Context, table: Table1, found: Mapping[str, Ordering]) -> list[Section | LeftOut]:
    return [
        table1_section(context, table),
        orderings_section(context, found),
        samples_section(context),
        fast_section(context),
        beta_section(context),
        iterations_section(context),
        effect_section(context),
        resizing_section(context),
        training_section(context),
        distances_section(context),
        watch_section(context),
        speed_section(context),
    ]


def _about(models: Sequence[Model]) -> list[str]:
    students = [model for model in models if model.kind == "student"]
    facts = [model.scores.facts for model in models if model.kind == "teacher"]
    teachers = [str(told["teacher"]) for told in facts if told.get("teacher")]
    seeds = len({model.seed for model in students})
    lines = [f"{len(students)} students, trained with {seeds} seed{'s' * (seeds != 1)}."]
    if teachers:
        lines.append(f"Teacher: {', '.join(teachers)}.")
    labels = {one.label for model in models for one in model.scores.measures.values()}
    if any("-mini" in label for label in labels):
        lines.append(
            "What is called -mini stands in for an original in the miniature world: it compares methods "
            "there, and is no HPSv2.1, PickScore, ImageReward, CLIPScore or FID."
        )
    if any(measure.role == "gold" for model in models for measure in model.scores.measures.values()):
        lines.append(
            "Gold is that world's documented rule of taste, which no model learns from: who scores higher by "
            "a reward and lower by gold has learnt to please the reward."
        )
    if any(model.run_url for model in models):
        lines.append("A number leads to its run in MLflow.")
    return lines


def _write_tables(config: ReportConfig, table: Table1, found: Mapping[str, Ordering], folder: Path) -> None:
    write_json(folder / "table1.json", as_json(config, table, found))
    _write_text(folder / "table1.csv", as_csv(table))
    _write_text(folder / "table1.md", as_markdown(config, table))


def _write_figures(sections: Sequence[Section], folder: Path) -> None:
    """Every chart as it is on a light page, and every grid of pictures."""
    folder.mkdir(exist_ok=True)
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, Charts):
            for one in block.charts:
                with atomic_file(folder / f"{one.name}.png") as file:
                    file.write(one.light)
        elif isinstance(block, Grid):
            with atomic_file(folder / f"{block.name}.png") as file:
                draw_grid(block).save(file, "PNG")


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        file.write(text.encode())


def _metrics(found: Mapping[str, Ordering]) -> dict[str, float]:
    return {f"orderings_{answer}": float(sum(one.holds == answer for one in found.values()))
            for answer in ("yes", "no", "open")}  # fmt: skip


def _made_from(config: ReportConfig, models: Sequence[Model]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "settings": config.model_dump(mode="json"),
        "models": [_identity(model) for model in models],
    }


def _identity(model: Model) -> dict[str, Any]:
    """What the report of a model depends on; its samples are those that were scored."""
    names = ("name", "kind", "family", "seed", "beta", "reward", "lrm", "antialias", "real_bonus", "run_url")
    told = {name: getattr(model, name) for name in names}
    scores = {name: digest_file(model.scores.path / name) for name in (BODY, ROWS)}
    course: dict[str, str] = {}
    if model.student is not None:
        kept = [model.student / WATCH, *progress(model.student).values()]
        course = {file.name: digest_file(file) for file in kept if file.is_file()}
    return {**told, "scores": scores, "course": course, "pictures": model.samples is not None}
