"""The form of Tables 3 and 4: the teacher with a fast solver, the LCM, and the students."""

from rglcd_pipelines.evaluation.report.blocks import LeftOut, Section, Words
from rglcd_pipelines.evaluation.report.compare import Side
from rglcd_pipelines.evaluation.report.context import EVALUATE, Context
from rglcd_pipelines.evaluation.report.numbers import in_words
from rglcd_pipelines.evaluation.report.sections.scores import detail_of, scores_table
from rglcd_pipelines.evaluation.scores.table import Measure

TITLE = "Tables 3 and 4: against the teacher with a fast solver"


def fast_section(context: Context) -> Section | LeftOut:
    config, teacher = context.config, context.models.teacher
    drawn = teacher.first.scores.columns if teacher else {}
    fast = [Side(teacher, column) for column in config.fast_columns if column in drawn] if teacher else []
    if not fast:
        why = f"the teacher has no samples of {' or '.join(config.fast_columns)}"
        return LeftOut(TITLE, why, EVALUATE.format("teacher"))
    sides = [*fast, *([context.baseline] if context.baseline else [])]
    sides += [Side(setting, context.last) for setting in context.models.guided]
    judged = context.of_role("judge", sides=sides)
    score = context.measure(config.score)
    measures = judged or ({config.score: score} if score else {}) | context.of_role("gold", sides=sides)
    if not measures:
        return LeftOut(TITLE, "no judge was asked", EVALUATE.format("lcm"))
    words = [] if judged else ["No vision-language judge was asked, so other judges stand in its columns."]
    words += [_best(context, sides, name, measure) for name, measure in measures.items()]
    table = scores_table("The form of Tables 3 and 4", context, sides, measures)
    return Section("tables-3-4", TITLE, [table, Words([one for one in words if one])])


def _best(context: Context, sides: list[Side], name: str, measure: Measure) -> str:
    """Who is first by a measure."""
    found = [(side, number) for side in sides if (number := context.somewhere(side, name))]
    if len(found) < 2 or measure.better == "reference":
        return ""
    way = 1 if measure.better == "high" else -1
    side, number = max(found, key=lambda one: way * one[1].value)
    return (
        f"{measure.label} is best for {side.setting.label} ({detail_of(side)}): {in_words(number, measure)}."
    )
