"""How far samples are from real pictures, by every distance; and how much they are like each other."""

from rglcd_pipelines.evaluation.report.blocks import LeftOut, Section, Words
from rglcd_pipelines.evaluation.report.compare import Side
from rglcd_pipelines.evaluation.report.context import EVALUATE, Context
from rglcd_pipelines.evaluation.report.sections.scores import scores_table

TITLE = "Distances to real pictures"


def distances_section(context: Context) -> Section | LeftOut:
    sides = list(_sides(context))
    measures = context.of_role("distance", sides=sides)
    if not measures:
        return LeftOut(TITLE, "no distance was measured", EVALUATE.format("lcm"))
    words = Words([f"{measure.label}: {measure.about}" for measure in measures.values() if measure.about])
    table = scores_table("FID, KID, precision and recall", context, sides, measures)
    return Section("distances", TITLE, [table, words])


def _sides(context: Context) -> list[Side]:
    """Every row of Table 1."""
    found = [side for side in (context.baseline, context.teacher) if side]
    found += [Side(one, column) for one in context.models.guided for column in context.config.columns]
    return [side for side in found if side.column in side.setting.first.scores.columns]
