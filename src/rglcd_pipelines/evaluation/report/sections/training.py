"""The optimised reward against the gold judge over training, and where they part."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.report.blocks import Chart, Charts, LeftOut, Section, Words
from rglcd_pipelines.evaluation.report.context import DISTILL, Context
from rglcd_pipelines.evaluation.report.models import Model
from rglcd_pipelines.evaluation.report.numbers import shown
from rglcd_pipelines.evaluation.report.style import SIZE, Theme, chart
from rglcd_pipelines.evaluation.scores.table import Measure

TITLE = "The optimised reward and the gold judge over training"
WATCH = "watch.csv"


@dataclass(frozen=True)
class Course:
    """One student's looks."""

    model: Model
    proxy_measure: Measure
    gold_measure: Measure
    steps: Sequence[int]
    proxy: Sequence[float]
    gold: Sequence[float]
    proxy_error: Sequence[float] | None = None
    gold_error: Sequence[float] | None = None
    """Standard errors over the prompts of a look, where they are known."""

    @property
    def parting(self) -> int | None:
        """The place of the gold judge's best look, if it is lower at the end and the reward higher."""
        best = max(range(len(self.gold)), key=lambda place: self.gold[place])
        falls = self.gold[-1] < self.gold[best] and self.proxy[-1] > self.proxy[best]
        return best if falls else None


def training_section(context: Context) -> Section | LeftOut:
    courses = [one for setting in context.models.guided if (one := _course(context, setting.first))]
    if not courses:
        why = "no student kept looks at its reward and at the gold judge"
        return LeftOut(TITLE, why, DISTILL.format("hps") + " with `distill.watch`")
    charts = [_chart(one) for one in courses]
    key = (
        "Left and in colour: the reward that it learns from. Right and dark: the gold judge. The dotted line "
        "marks the gold judge's best look, where it is lower at the end and the reward higher. Bands: 95 % "
        "intervals of each look, over its prompts. Looks are at few prompts and not at those of the tables; "
        "the reward is as the student is paid: of one that is capped at 2, what is missing to 2."
    )
    return Section("training", TITLE, [Charts(charts, key), Words([_told(one) for one in courses])])


def read_watch(file: Path) -> tuple[list[int], dict[str, list[float]]]:
    """The steps, and each figure at them; one that a look did not measure is left out."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        if any(None in row.values() for row in rows):
            raise ValueError("a row is cut short")
        steps = [int(row["step"]) for row in rows]
        names = [name for name in (rows[0] if rows else {}) if name != "step"]
        found = {name: [float(row[name] or "nan") for row in rows] for name in names}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{file}: cannot be read ({error!r}). Train this student again.") from None
    return steps, {name: values for name, values in found.items() if all(map(math.isfinite, values))}


def _course(context: Context, model: Model) -> Course | None:
    file = model.student / WATCH if model.student else None
    if file is None or not file.is_file() or context.config.gold is None:
        return None
    steps, figures = read_watch(file)
    proxy = next((name for name in (model.reward, "proxy") if name in figures), None)
    gold = context.config.gold
    if proxy is None or gold not in figures or len(steps) < 2:
        return None
    measures = [
        context.measure(name) or Measure(name, "high", "", "watch", digits=3) for name in (proxy, gold)
    ]
    errors = [figures.get(f"{name}_error") for name in (proxy, gold)]
    return Course(model, measures[0], measures[1], steps, figures[proxy], figures[gold], *errors)


def _told(course: Course) -> str:
    """The first look, the last, and the gold judge's best."""
    proxy, gold, steps = course.proxy, course.gold, course.steps
    ours, theirs = course.proxy_measure, course.gold_measure
    told = (
        f"{course.model.label}: from step {steps[0]} to {steps[-1]}, {ours.label} goes from "
        f"{shown(proxy[0], ours)} to {shown(proxy[-1], ours)} and {theirs.label} from "
        f"{shown(gold[0], theirs)} to {shown(gold[-1], theirs)}"
    )
    if course.parting is None:
        return f"{told}."
    at = course.parting
    return (
        f"{told}; {theirs.label} is best at step {steps[at]} ({shown(gold[at], theirs)}) and lower at the "
        f"end, where {ours.label} is higher."
    )


def _chart(course: Course) -> Chart:
    name = f"training-{course.model.name}"
    return chart(name, course.model.label, _told(course), partial(_draw, course=course))


def _draw(axes: Axes, theme: Theme, course: Course) -> None:
    colour = theme.colour(course.model)
    ours, theirs = course.proxy_measure, course.gold_measure
    _line(axes, colour, "o", course.steps, ours.scale, course.proxy, course.proxy_error)
    axes.set_ylabel(_axis(ours), color=colour)
    axes.tick_params(axis="y", colors=colour)
    right = axes.twinx()
    _line(right, theme.ink, "s", course.steps, theirs.scale, course.gold, course.gold_error)
    right.set_ylabel(_axis(theirs), color=theme.ink, fontsize=SIZE)
    right.tick_params(axis="y", colors=theme.ink, labelsize=SIZE, length=3)
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    for side in ("top", "left", "right", "bottom"):
        right.spines[side].set_visible(False)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("step")
    if course.parting is not None:
        at = course.steps[course.parting]
        axes.axvline(at, color=theme.faint, linestyle=(0, (1, 2)))
        late = at - course.steps[0] > (course.steps[-1] - course.steps[0]) / 2
        axes.annotate(f"gold best: {at}", (at, 0.02), (-4 if late else 4, 0), fontsize=SIZE,
                      xycoords=("data", "axes fraction"), textcoords="offset points", color=theme.faint,
                      horizontalalignment="right" if late else "left")  # fmt: skip


def _axis(measure: Measure) -> str:
    return f"{measure.label} ×{measure.scale:g}" if measure.scale != 1 else measure.label


def _line(
    axes: Axes, colour: str, marker: str, steps: Sequence[int], scale: float, values: Sequence[float],
    errors: Sequence[float] | None,
) -> None:  # fmt: skip
    """The looks, in a reader's units, and the 95 % interval of each."""
    scaled = [value * scale for value in values]
    axes.plot(steps, scaled, color=colour, marker=marker, markersize=3, linewidth=1.6)
    if errors is not None:
        apart = [1.96 * error * scale for error in errors]
        low = [value - error for value, error in zip(scaled, apart, strict=True)]
        high = [value + error for value, error in zip(scaled, apart, strict=True)]
        axes.fill_between(steps, low, high, color=colour, alpha=0.12, linewidth=0)
