"""The watch on reward hacking: what no reward asks for, beside the LCM's level."""

from collections.abc import Mapping

from rglcd_pipelines.evaluation.report.blocks import LeftOut, Section, Table, Words
from rglcd_pipelines.evaluation.report.compare import Side
from rglcd_pipelines.evaluation.report.context import EVALUATE, Context
from rglcd_pipelines.evaluation.report.numbers import in_words, shown
from rglcd_pipelines.evaluation.report.sections.scores import detail_of, scores_table
from rglcd_pipelines.evaluation.scores.table import Measure

TITLE = "The watch on reward hacking"
CHANGES = {
    "aliased": "Every judge, of pictures shrunk without antialiasing",
    "antialiased": "Every judge, of pictures shrunk with antialiasing",
    "jpeg_drop": "What every judge takes off after a way through JPEG",
    "shift_drop": "What every judge takes off after a shift by two pixels",
}
"""What nobody sees, and a judge that is deceived may."""
JUDGES = ("optimised", "held_out", "reward", "gold")


def watch_section(context: Context) -> Section | LeftOut:
    sides = [side for side in context.sides() if side.column in side.setting.first.scores.columns]
    measures = context.of_role("watch", "diversity", sides=sides)
    if not measures:
        return LeftOut(TITLE, "nothing but rewards was measured", EVALUATE.format("lcm"))
    judges = context.of_role(*JUDGES, sides=sides)
    looks = {name: one for name, one in measures.items() if _change(name, judges) is None}
    blocks: list[Table | Words] = []
    if looks:
        words = [_farthest(context, sides, name, measure) for name, measure in looks.items()]
        words += [f"{measure.label}: {measure.about}" for measure in looks.values() if measure.about]
        blocks.append(scores_table("What no reward asks for", context, sides, looks, _reference(context)))
        blocks.append(Words([one for one in words if one]))
    if len(judges) > 1:
        note = "A model that is named after one of these judges learnt from it; the others are held out."
        blocks.append(scores_table("Every judge of every model", context, sides, judges, note))
    for change, title in CHANGES.items():
        own = {name: one for name, one in measures.items() if _change(name, judges) == change}
        if own:
            blocks.append(scores_table(title, context, sides, own))
    return Section("watch", TITLE, blocks)


def _change(name: str, judges: Mapping[str, Measure]) -> str | None:
    """What was done to pictures before a judge looked again, of a measure that tells it."""
    return next((one for one in CHANGES for judge in judges if name == f"{judge}_{one}"), None)


def _reference(context: Context) -> str:
    if context.baseline is None:
        return ""
    return f"The reference is the first row: {context.baseline.setting.label}, {detail_of(context.baseline)}."


def _farthest(context: Context, sides: list[Side], name: str, measure: Measure) -> str:
    """Which student is farthest from the baseline's level."""
    level = context.somewhere(context.baseline, name) if context.baseline else None
    if level is None:
        return ""
    others = [
        (side, number)
        for side in sides
        if side.setting.first.reward and (number := context.somewhere(side, name))
    ]
    if not others:
        return ""
    side, number = max(others, key=lambda one: abs(one[1].value - level.value))
    return (
        f"{measure.label}: farthest from the LCM's {shown(level.value, measure)} is {side.setting.label}, "
        f"{in_words(number, measure)}."
    )
