"""The ablation of β (Figure 6): pictures by β, and every measure against it."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from rglcd_pipelines.evaluation.report.blocks import Block, Chart, Charts, LeftOut, Section, Words
from rglcd_pipelines.evaluation.report.compare import Number, Side
from rglcd_pipelines.evaluation.report.context import SWEEP, Context
from rglcd_pipelines.evaluation.report.models import Setting
from rglcd_pipelines.evaluation.report.numbers import shown
from rglcd_pipelines.evaluation.report.pictures import grid_of, prompts_of
from rglcd_pipelines.evaluation.report.sections.scores import scores_table
from rglcd_pipelines.evaluation.report.style import Theme, chart, label_ends, line_of
from rglcd_pipelines.evaluation.scores.table import Measure

TITLE = "The effect of β (Figure 6)"
PICTURED = 3
"""Prompts shown for each family."""

Point = tuple[float, Number]
Curve = tuple[Setting, list[Point]]


def beta_section(context: Context) -> Section | LeftOut:
    families = [one.family for one in context.models.guided if len(context.models.of(one.family)) > 1]
    if not families:
        why = "no model of this report was trained with several settings"
        return LeftOut(TITLE, why, SWEEP)
    charts: list[Chart] = []
    for set_name, name, measure in context.panels():
        curves = [one for family in families for one in _curves(context, family, set_name, name)]
        if not curves:
            continue
        level = context.number(context.baseline, set_name, name) if context.baseline else None
        alt = f"{measure.label} against β: " + "; ".join(_told(curve, measure) for curve in curves)
        draw = partial(_draw, curves=curves, measure=measure, level=level)
        charts.append(chart(f"beta-{name}", f"{measure.label} by β, {_steps(context)}", alt, draw))
    key = "Dashed: through the latent reward model; dotted: without antialiasing. Grey: the LCM. Bars: 95 %."
    blocks: list[Block] = []
    if charts:
        blocks += [
            Charts(charts, key),
            Words([told for family in families if (told := _best(context, family))]),
        ]
    blocks.append(scores_table("Every setting", context, _sides(context, families), _measures(context)))
    blocks += [grid for family in families if (grid := _pictures(context, family))]
    return Section("beta", TITLE, blocks)


def _sides(context: Context, families: Sequence[str]) -> list[Side]:
    found = [context.baseline] if context.baseline else []
    return found + [Side(one, context.last) for family in families for one in context.models.of(family)]


def _measures(context: Context) -> dict[str, Measure]:
    return {name: measure for _, name, measure in context.panels()}


def _best(context: Context, family: str) -> str:
    """From the smallest β to the largest, and where it is best if that is neither."""
    parts = [
        f"{measure.label} {_course(points, measure)}"
        for set_name, name, measure in context.panels()
        for _, points in _curves(context, family, set_name, name)[:1]
    ]
    main = context.models.main(family)
    return f"{main.label if main else family}: {'; '.join(parts)}." if parts else ""


def _course(points: list[Point], measure: Measure) -> str:
    (first, start), (last, end) = points[0], points[-1]
    told = (
        f"goes from {shown(start.value, measure)} at β {first:g} to {shown(end.value, measure)} at β {last:g}"
    )
    if measure.better == "reference":
        return told
    way = 1 if measure.better == "high" else -1
    beta, best = max(points, key=lambda point: way * point[1].value)
    return told if beta in (first, last) else f"{told}, best is {shown(best.value, measure)} at β {beta:g}"


def _steps(context: Context) -> str:
    return f"{context.last} steps"


def _curves(context: Context, family: str, set_name: str, name: str) -> list[Curve]:
    """One with antialiasing and one without, and so on, where there are several β of them."""
    found = []
    settings = context.models.of(family)
    for how in dict.fromkeys(one.how for one in settings):
        own = [one for one in settings if one.how == how]
        points = [
            (one.beta, number)
            for one in own
            if (number := context.number(Side(one, context.last), set_name, name)) and one.beta > 0
        ]
        if len(points) > 1:
            found.append((own[0], points))
    return found


def _name(setting: Setting) -> str:
    return f"{setting.label}, {setting.how}" if setting.how else setting.label


def _short(setting: Setting) -> str:
    label = setting.label.removeprefix("RG-LCM (").replace(")", "")
    return f"{label}, {setting.how}" if setting.how else label


def _told(curve: Curve, measure: Measure) -> str:
    setting, points = curve
    return f"{_name(setting)} {_course(points, measure)}"


def _draw(axes: Axes, theme: Theme, curves: Sequence[Curve], measure: Measure, level: Number | None) -> None:
    scale, labels = measure.scale, []
    for setting, points in curves:
        colour = theme.colour(setting.first)
        betas = [beta for beta, _ in points]
        values = [number.value * scale for _, number in points]
        axes.plot(betas, values, color=colour, linestyle=line_of(setting.first), marker="o", markersize=3.5)
        for beta, number in points:
            if number.low is not None and number.high is not None:
                axes.plot([beta] * 2, [number.low * scale, number.high * scale], color=colour, linewidth=1)
        labels.append((values[-1], _short(setting), colour))
    axes.set_xscale("log")
    every = sorted({beta for _, points in curves for beta, _ in points})
    if level is not None:
        axes.axhline(level.value * scale, color=theme.faint, linewidth=1, linestyle=(0, (1, 2)))
        labels.append((level.value * scale, "LCM", theme.faint))
    axes.xaxis.set_major_locator(FixedLocator(every))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("β")
    axes.margins(x=0.06)
    label_ends(axes, labels, axes.get_xlim()[1])


def _pictures(context: Context, family: str) -> Block | None:
    """The LCM, then each β of one seed."""
    config = context.config
    sides = [(one.way, Side(one, context.last)) for one in context.models.of(family)]
    if context.baseline:
        sides.insert(0, ("LCM, β 0", context.baseline))
    sides = [(head, side) for head, side in sides if prompts_of(side, config.benchmark, PICTURED)]
    if len(sides) < 2:
        return None
    prompts = prompts_of(sides[0][1], config.benchmark, min(PICTURED, config.prompts))
    label = sides[-1][1].setting.label
    caption = f"{label}: the same prompts and noise in each setting, {_steps(context)}."
    return grid_of(f"beta-{family}", caption, sides, config.benchmark, prompts)
