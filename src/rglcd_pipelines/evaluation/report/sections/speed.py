"""What a picture costs: asking the network, and seconds."""

from rglcd_pipelines.evaluation.report.blocks import Cell, Head, LeftOut, Section, Table, Words
from rglcd_pipelines.evaluation.report.compare import Side
from rglcd_pipelines.evaluation.report.context import EVALUATE, Context
from rglcd_pipelines.evaluation.report.numbers import NONE
from rglcd_pipelines.evaluation.report.sections.scores import detail_of

TITLE = "Speed"


def speed_section(context: Context) -> Section | LeftOut:
    teacher = context.teacher
    sides = _sides(context)
    if teacher is None or not any(seconds(side) for side in sides):
        return LeftOut(TITLE, "no seconds per image are known", EVALUATE.format("teacher"))
    rows = [_row(side, teacher) for side in sides]
    heads = [Head("Model"), Head("NFE"), Head("seconds an image ↓"), Head("faster than the teacher ↑")]
    note = (
        "Seconds are of the machine that drew the samples, decoder and text encoder included. Students of "
        "one teacher are networks of one size: where their seconds differ, the machine had other work beside."
    )
    words = [told for column in context.config.columns if (told := _told(column, sides, teacher))]
    return Section("speed", TITLE, [Table("Cost of one image", [heads], rows, note), Words(words)])


def seconds(side: Side) -> float | None:
    """An image, as it was timed when the samples were drawn."""
    timed = side.setting.first.scores.facts.get("seconds_per_image") or {}
    value = timed.get(side.column)
    return float(value) if value else None


def _sides(context: Context) -> list[Side]:
    """The teacher by every solver, and every student."""
    teacher = context.models.teacher
    asked = [context.config.teacher_column, *context.config.fast_columns]
    found = [Side(teacher, column) for column in asked] if teacher else []
    students = [context.models.main(context.config.baseline), *context.models.guided]
    found += [Side(one, column) for one in students if one for column in context.config.columns]
    return [side for side in found if side.column in side.setting.first.scores.columns]


def _row(side: Side, teacher: Side) -> list[Cell]:
    taken, of_teacher = seconds(side), seconds(teacher)
    times = f"{of_teacher / taken:.1f}×" if taken and of_teacher else NONE
    nfe = side.setting.first.scores.columns[side.column].nfe
    url = side.setting.url
    return [
        Cell(side.setting.label, detail_of(side)),
        Cell(str(nfe)),
        Cell(f"{taken:.3g}" if taken else NONE, url=url),
        Cell(times, url=url),
    ]


def _told(column: str, sides: list[Side], teacher: Side) -> str:
    """Of all students in so many steps."""
    of_teacher = seconds(teacher)
    own = [side for side in sides if side.column == column and not side.setting.is_teacher]
    taken = [one for side in own if (one := seconds(side))]
    if not taken or of_teacher is None:
        return ""
    drawn = own[0].setting.first.scores.columns[column]
    theirs = teacher.setting.first.scores.columns[teacher.column]
    least, most = f"{min(taken):.2g}", f"{max(taken):.2g}"
    own_time = least if least == most else f"{least} to {most}"
    return (
        f"In {drawn.steps} steps a student asks its network {drawn.nfe} times and takes {own_time} s "
        f"an image; the teacher in {theirs.steps} steps asks {theirs.nfe} times and takes {of_teacher:.2g} s."
    )
