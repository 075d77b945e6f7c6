"""A table of any measures of any models: what several sections show."""

from collections.abc import Mapping, Sequence

from rglcd_pipelines.evaluation.report.blocks import Cell, Head, Table
from rglcd_pipelines.evaluation.report.compare import Side
from rglcd_pipelines.evaluation.report.context import Context
from rglcd_pipelines.evaluation.report.numbers import best_of, cell, head_of
from rglcd_pipelines.evaluation.scores.table import Measure


def scores_table(
    caption: str, context: Context, sides: Sequence[Side], measures: Mapping[str, Measure], note: str = ""
) -> Table:
    """A row a side, a column a measure, on whichever prompts it was measured."""
    numbers = {name: [context.somewhere(side, name) for side in sides] for name in measures}
    best = {name: best_of(numbers[name], measure) for name, measure in measures.items()}
    rows = [
        [
            Cell(name_of(side), detail_of(side)),
            Cell(str(side.setting.first.scores.columns[side.column].nfe)),
            *(
                cell(numbers[name][place], measure, side.setting.url, place in best[name])
                for name, measure in measures.items()
            ),
        ]
        for place, side in enumerate(sides)
    ]
    heads = [Head("Model"), Head("NFE"), *(Head(head_of(measure)) for measure in measures.values())]
    return Table(caption, [heads], rows, note)


def name_of(side: Side) -> str:
    return side.setting.label


def detail_of(side: Side) -> str:
    """What the name does not say: the steps and the sampler of a teacher, β and seeds of a student."""
    drawn = side.setting.first.scores.columns[side.column]
    parts = [f"{drawn.steps} step{'s' * (drawn.steps != 1)}"]
    if side.setting.is_teacher:
        parts.append(drawn.sampler)
    elif side.setting.first.reward:
        parts.append(side.setting.way)
    if len(side.setting.models) > 1:
        parts.append(f"{len(side.setting.models)} seeds")
    return ", ".join(parts)
