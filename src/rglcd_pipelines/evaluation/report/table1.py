"""Table 1: the baselines, then each student in few steps; as rows, and as the files that hold them."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rglcd_pipelines.evaluation.report.blocks import Cell, Head, Table
from rglcd_pipelines.evaluation.report.compare import Comparer, Number, Side
from rglcd_pipelines.evaluation.report.models import Model, Models
from rglcd_pipelines.evaluation.report.numbers import NONE, best_of, cell, head_of, ranged, shown
from rglcd_pipelines.evaluation.report.orderings import Ordering, Trial
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from rglcd_pipelines.evaluation.scores.table import Measure


@dataclass(frozen=True)
class Field:
    """One column of numbers."""

    key: str
    head: str
    set: str
    group: str
    name: str
    measure: Measure


@dataclass(frozen=True)
class Row:
    side: Side
    models: Sequence[Model]
    """Those of the setting that drew and were scored in this column, by seed."""
    numbers: Mapping[str, Number | None]
    """By the fields' keys."""


@dataclass(frozen=True)
class Table1:
    fields: Sequence[Field]
    rows: Sequence[Row]


def make_table1(config: ReportConfig, models: Models, comparer: Comparer) -> Table1:
    """Rows as in the paper: the LCM, the teacher, then each variant in each number of steps."""
    sides = {side: there for side in _sides(config, models) if (there := _there(config, side))}
    fields = list(_fields(config, list(sides)))
    rows = [
        Row(side, there, {one.key: comparer.number(side.setting, side.column, one.set, one.name, one.group)
                          for one in fields})
        for side, there in sides.items()
    ]  # fmt: skip
    return Table1(fields, rows)


def _sides(config: ReportConfig, models: Models) -> Iterator[Side]:
    if baseline := models.main(config.baseline):
        yield Side(baseline, config.baseline_column)
    for setting in models.settings:
        if setting.is_teacher:
            yield Side(setting, config.teacher_column)
    for setting in models.guided:
        for column in config.columns:
            yield Side(setting, column)


def _there(config: ReportConfig, side: Side) -> list[Model]:
    """The models that have figures of this column."""
    sets = (config.benchmark, config.distance_set)
    return [
        model
        for model in side.setting.models
        if any(figure.column == side.column and figure.set in sets for figure in model.scores.figures)
    ]


def _fields(config: ReportConfig, sides: Sequence[Side]) -> Iterator[Field]:
    """The benchmark's groups and their mean, then one column each of the other measures."""
    score = _measure(sides, config.score)
    if score is not None:
        groups = dict.fromkeys(
            figure.group
            for side in sides
            for figure in side.setting.first.scores.figures
            if (figure.set, figure.measure) == (config.benchmark, config.score) and figure.group
        )
        for group in groups:
            yield Field(group, _title(group), config.benchmark, group, config.score, score)
        yield Field(
            config.score, "Mean" if groups else score.label, config.benchmark, "", config.score, score
        )
    others = [(config.distance_set, config.distance), (config.benchmark, config.noise)]
    if config.gold is not None:
        others.append((config.benchmark, config.gold))
    for set_name, name in others:
        measure = _measure(sides, name)
        if measure is not None and name != config.score:
            yield Field(name, head_of(measure), set_name, "", name, measure)


def _measure(sides: Sequence[Side], name: str) -> Measure | None:
    found = (side.setting.first.scores.measures.get(name) for side in sides)
    return next((one for one in found if one is not None), None)


def _title(group: str) -> str:
    return "-".join(word.capitalize() for word in group.replace("_", "-").split("-"))


def as_block(config: ReportConfig, table: Table1) -> Table:
    """For the page."""
    best = {
        one.key: best_of([row.numbers[one.key] for row in table.rows], one.measure) for one in table.fields
    }
    rows = []
    for place, row in enumerate(table.rows):
        url = row.side.setting.url
        numbers = [
            cell(row.numbers[one.key], one.measure, url, place in best[one.key]) for one in table.fields
        ]
        rows.append([Cell(_name(row.side), _which(row)), Cell(_nfe(row)), *numbers])
    inner = [one for one in table.fields if one.set == config.benchmark and one.name == config.score]
    first = [Head("Model", rows=2), Head("NFE", rows=2)]
    if inner:
        first.append(Head(head_of(inner[0].measure), span=len(inner)))
    first += [Head(one.head, rows=2) for one in table.fields if one not in inner]
    note = f"{config.protocol}{_on_deviations(table)}. " if inner else ""
    note += "Small below each number: its 95 % interval. Bold: the best of the column."
    return Table(
        "Every model, on the same prompts and noise", [first, [Head(one.head) for one in inner]], rows, note
    )


def _on_deviations(table: Table1) -> str:
    """What "sd" is, where it stands in a cell."""
    numbers = [one for row in table.rows for one in row.numbers.values() if one is not None]
    seeds = [one.seeds for one in numbers if one.deviation is not None]
    if not seeds:
        return ""
    return f"; sd: the deviation of the chunks' means{' (the mean of the seeds)' if max(seeds) > 1 else ''}"


def as_json(config: ReportConfig, table: Table1, found: Mapping[str, Ordering]) -> dict[str, Any]:
    measures = {one.name: one.measure for one in table.fields}
    return {
        "protocol": config.protocol,
        "units": {
            name: {"label": measure.label, "times": measure.scale, "better": measure.better}
            for name, measure in measures.items()
        },
        "rows": [_row_json(row, table.fields) for row in table.rows],
        "orderings": {name: _ordering_json(one, measures) for name, one in found.items()},
    }


def _row_json(row: Row, fields: Sequence[Field]) -> dict[str, Any]:
    first, column = row.models[0], row.side.column
    drawn = first.scores.columns[column]
    return {
        "model": first.name,
        "label": first.label,
        "column": column,
        "steps": drawn.steps,
        "nfe": drawn.nfe,
        "beta": first.beta,
        "how": row.side.setting.how,
        "seeds": [model.seed for model in row.models],
        "runs": [model.run_url for model in row.models if model.run_url],
        "figures": {
            one.key: None if (number := row.numbers[one.key]) is None else _number_json(number, one.measure)
            for one in fields
        },
    }


def _number_json(number: Number, measure: Measure) -> dict[str, Any]:
    figures = {"value": number.value, "low": number.low, "high": number.high, "deviation": number.deviation}
    scaled = {name: None if value is None else value * measure.scale for name, value in figures.items()}
    return scaled | {"count": number.count, "seeds": number.seeds}


def _ordering_json(one: Ordering, measures: Mapping[str, Measure]) -> dict[str, Any]:
    known = measures.get(one.question.measure)
    scale = known.scale if known else 1.0
    tried = [
        {
            "model": trial.model,
            "beta": trial.beta,
            "seeds": trial.seeds,
            "how": trial.how,
            **_answer_json(trial, scale),
        }
        for trial in one.tried
    ]
    ours = one.question.ours.setting
    told = {"says": one.says, "measure": one.question.measure, "beta": ours.beta, "how": ours.how}
    return {**_answer_json(one, scale), **told, "seeds": one.seeds, "tried": tried}


def _answer_json(one: Ordering | Trial, scale: float) -> dict[str, Any]:
    found = one.difference
    figures = {"figure": found.value * scale, "interval": [found.low * scale, found.high * scale]}
    return {**figures, "holds": one.holds == "yes", "answer": one.holds}


def as_csv(table: Table1) -> str:
    """A row a model and number of steps; numbers in a reader's units, with the ends of their intervals."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [one.key for one in table.fields]
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    writer.writerow(["model", "label", "column", "nfe", "beta", "seeds", *ends])
    for row in table.rows:
        first = row.models[0]
        numbers: list[str] = []
        for one in table.fields:
            number = row.numbers[one.key]
            parts = (number.value, number.low, number.high) if number else (None, None, None)
            numbers += ["" if part is None else f"{part * one.measure.scale:.6g}" for part in parts]
        writer.writerow(
            [first.name, first.label, row.side.column, _nfe(row), f"{first.beta:g}",
             len(row.models), *numbers]
        )  # fmt: skip
    return file.getvalue()


def as_markdown(config: ReportConfig, table: Table1) -> str:
    best = {
        one.key: best_of([row.numbers[one.key] for row in table.rows], one.measure) for one in table.fields
    }
    inner = [one for one in table.fields if one.set == config.benchmark and one.name == config.score]
    own = [f"{head_of(one.measure)}: {one.head}" if one in inner else one.head for one in table.fields]
    heads = ["Model", "NFE", *own]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" + "--:|" * (len(heads) - 1)]
    for place, row in enumerate(table.rows):
        numbers = [
            _markdown(row.numbers[one.key], one.measure, place in best[one.key]) for one in table.fields
        ]
        name = ", ".join(part for part in (_name(row.side), _which(row)) if part)
        lines.append(f"| {' | '.join([name, _nfe(row), *numbers])} |")
    return "\n".join([*lines, "", "In brackets: 95 % intervals.", ""])


def _markdown(number: Number | None, measure: Measure, best: bool) -> str:
    if number is None:
        return NONE
    value, told = shown(number.value, measure), ranged(number.low, number.high, measure)
    return f"{f'**{value}**' if best else value}{f' ({told})' if told else ''}"


def _name(side: Side) -> str:
    return side.setting.label


def _which(row: Row) -> str:
    """What the label does not say: β, and how many seeds."""
    parts = [row.side.setting.way] if row.side.setting.first.reward else []
    if (seeds := len(row.models)) > 1:
        parts.append(f"{seeds} seeds")
    return ", ".join(parts)


def _nfe(row: Row) -> str:
    return str(row.models[0].scores.columns[row.side.column].nfe)
