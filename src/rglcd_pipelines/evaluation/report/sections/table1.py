"""Table 1."""

from collections.abc import Sequence

from rglcd_pipelines.evaluation.report.blocks import LeftOut, Section, Words
from rglcd_pipelines.evaluation.report.context import EVALUATE, Context
from rglcd_pipelines.evaluation.report.numbers import shown
from rglcd_pipelines.evaluation.report.table1 import Field, Table1, as_block


def table1_section(context: Context, table: Table1) -> Section | LeftOut:
    if not table.rows or not table.fields:
        return LeftOut("Table 1", "no model has scores of its prompts", EVALUATE.format("lcm"))
    words = Words([*_measures(table.fields), *_against_first(table)])
    title = "Table 1: every model in few steps"
    return Section("table-1", title, [as_block(context.config, table), words])


def _measures(fields: Sequence[Field]) -> list[str]:
    """What each of them is."""
    measures = dict.fromkeys((one.measure.label, one.measure.about) for one in fields)
    return [f"{label}: {about}" for label, about in measures if about]


def _against_first(table: Table1) -> list[str]:
    """How many rows are better than the first, measure by measure."""
    sentences = []
    for one in table.fields:
        numbers = [row.numbers[one.key] for row in table.rows]
        if one.group or one.measure.better == "reference" or numbers[0] is None or len(numbers) < 2:
            continue
        first = numbers[0].value
        others = [number.value for number in numbers[1:] if number is not None]
        better = sum(value > first if one.measure.better == "high" else value < first for value in others)
        sentences.append(
            f"{one.measure.label}: of {len(others)} rows below the first, {better} are better than "
            f"{table.rows[0].side.setting.label} ({shown(first, one.measure)})."
        )
    return sentences
