"""Whether the noise comes from the reward model or from its resizing: one β with antialiasing and without."""

from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes

from rglcd_pipelines.evaluation.intervals import Interval
from rglcd_pipelines.evaluation.report.blocks import Chart, Charts, LeftOut, Section, Words
from rglcd_pipelines.evaluation.report.compare import Number, Side, paired
from rglcd_pipelines.evaluation.report.context import SWEEP, Context
from rglcd_pipelines.evaluation.report.models import Setting
from rglcd_pipelines.evaluation.report.numbers import in_words, shown
from rglcd_pipelines.evaluation.report.style import SIZE, Theme, chart
from rglcd_pipelines.evaluation.scores.table import Measure

TITLE = "Does the noise come from the reward model, or from its resizing?"

Pair = tuple[Setting, Setting]


@dataclass(frozen=True)
class Trace:
    """Settings compared by one measure of noise."""

    name: str
    measure: Measure
    pairs: list[Pair]
    level: Number | None
    """The LCM's."""


def resizing_section(context: Context) -> Section | LeftOut:
    traces = [trace for name in context.config.traces if (trace := _trace(context, name)) is not None]
    if not traces:
        why = "no reward was learnt from with antialiasing and without at the same β"
        return LeftOut(TITLE, why, SWEEP)
    figures: list[Chart] = []
    words: list[str] = []
    for trace in traces:
        told = [_told(context, pair, trace) for pair in trace.pairs]
        draw = partial(_draw, context=context, trace=trace)
        title, height = f"{trace.measure.label}, {context.last} steps", 110 + 56 * len(trace.pairs)
        name = "resizing" if trace is traces[0] else f"resizing-{trace.name}"
        figures.append(chart(name, title, " ".join(told), draw, 420, height))
        words += told
    key = "Filled: shrunk for the reward with antialiasing; hollow: without. Lines: 95 % intervals."
    return Section("resizing", TITLE, [Charts(figures, key), Words(words)])


def _trace(context: Context, name: str) -> Trace | None:
    """What was measured of settings that differ in antialiasing alone, if there are any."""
    measure, benchmark = context.measure(name), context.config.benchmark
    pairs = [
        pair
        for pair in _pairs(context)
        if all(context.number(Side(one, context.last), benchmark, name) for one in pair)
    ]
    if not pairs or measure is None:
        return None
    level = context.number(context.baseline, benchmark, name) if context.baseline else None
    return Trace(name, measure, pairs, level)


def _pairs(context: Context) -> list[Pair]:
    """Settings that differ in antialiasing alone: with, without."""
    found = []
    for main in context.models.guided:
        own = context.models.of(main.family)
        found += [
            (one, other)
            for one in own
            for other in own
            if one.antialias and not other.antialias
            if (one.beta, one.first.real_bonus) == (other.beta, other.first.real_bonus)
        ]
    return found


def _told(context: Context, pair: Pair, trace: Trace) -> str:
    """Both levels, what the resizing adds, what is left without it, and what follows.

    The differences are of the seeds that all three have, so that they add up.
    """
    measure, level = trace.measure, trace.level
    place = (context.config.benchmark, trace.name)
    sides = [Side(one, context.last) for one in pair]
    smooth, aliased = (context.number(side, *place) for side in sides)
    assert smooth is not None  # the pair was chosen by it
    assert aliased is not None
    told = (
        f"{pair[0].label} at β {pair[0].beta:g}: {measure.label} is {in_words(smooth, measure)} with "
        f"antialiasing and {in_words(aliased, measure)} without"
    )
    if level is not None and context.baseline is not None:
        sides.append(context.baseline)
    common = _common(sides)
    added = context.comparer.difference(common[1], common[0], *place)
    if added is not None:
        told += f"; leaving it out changes it by {in_words(added, measure, signed=True)}"
        told += _of_seeds(sides, common)
    if level is None or len(common) < len(pair) + 1:
        return f"{told}."
    left = context.comparer.difference(common[0], common[2], *place)
    told += f". The LCM has {in_words(level, measure)}"
    if left is None:
        return f"{told}."
    told += f": with antialiasing it differs from that by {in_words(left, measure, signed=True)}"
    if added is None:
        return f"{told}."
    share = context.comparer.share(common[1], common[0], common[2], *place)
    return f"{told}. {_follows(added, left, share, measure.label)}."


def _common(sides: list[Side]) -> list[Side]:
    """The sides with the models alone that all of them are compared by."""
    models = zip(*paired(*(side.setting for side in sides)), strict=True)
    return [Side(Setting(own), side.column) for side, own in zip(sides, models, strict=True)]


def _of_seeds(sides: list[Side], common: list[Side]) -> str:
    """Of how many seeds the differences are, where the levels are of more."""
    used = len(common[0].setting.models)
    if all(len(side.setting.models) == used for side in sides):
        return ""
    return f" (compared by {used} seed{'s' * (used != 1)} of training)"


def _follows(added: Interval, left: Interval, share: Interval | None, label: str) -> str:
    """What both intervals say together; a share only where the resizing adds some and some is left."""
    if not added.excludes_zero:
        return "Whether the resizing adds any is open, as the interval has both answers in it"
    if added.value < 0:
        return f"So the resizing adds none: without antialiasing there is less {label}"
    if not left.excludes_zero:
        return (
            "So the resizing adds some; whether any more than the LCM's is left with antialiasing is open, "
            "and with it what share is the resizing's"
        )
    if left.value < 0:
        return "So the resizing adds some, and with antialiasing there is less than the LCM's"
    if share is None:
        return "So the resizing adds some, and with antialiasing there is still more than the LCM's"
    low, value, high = (f"{100 * part:.0f}" for part in (share.low, share.value, share.high))
    return (
        f"So of what there is more than the LCM's without antialiasing, {value} % ({low} to {high}) is the "
        "resizing's"
    )


def _draw(axes: Axes, theme: Theme, context: Context, trace: Trace) -> None:
    pairs, measure, level, scale = trace.pairs, trace.measure, trace.level, trace.measure.scale
    for row, pair in enumerate(reversed(pairs)):
        colour = theme.colour(pair[0].first)
        for setting in pair:
            number = context.number(Side(setting, context.last), context.config.benchmark, trace.name)
            assert number is not None
            at = row + (0.15 if setting.antialias else -0.15)
            if number.low is not None and number.high is not None:
                axes.plot([number.low * scale, number.high * scale], [at, at], color=colour, linewidth=1.4)
            face = colour if setting.antialias else theme.paper
            axes.plot([number.value * scale], [at], "o", color=colour, markerfacecolor=face, markersize=6)
            told = f"{shown(number.value, measure)} {'with' if setting.antialias else 'without'}"
            right = (number.high if number.high is not None else number.value) * scale
            axes.annotate(told, (right, at), (7, 0), textcoords="offset points", va="center",
                          fontsize=SIZE, color=theme.ink)  # fmt: skip
    if level is not None:
        axes.axvline(level.value * scale, color=theme.faint, linestyle=(0, (1, 2)))
        axes.annotate("LCM", (level.value * scale, len(pairs) - 0.45), (3, 0), textcoords="offset points",
                      fontsize=SIZE, color=theme.faint, va="bottom")  # fmt: skip
    names = [
        f"{pair[0].label.removeprefix('RG-LCM ').strip('()')}\nβ {pair[0].beta:g}" for pair in reversed(pairs)
    ]
    axes.set_xlabel(f"{measure.label}{f' ×{scale:g}' if scale != 1 else ''}")
    axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(pairs)), names, color=theme.ink)
    axes.set_ylim(-0.6, len(pairs) - 0.2)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=theme.rule, linewidth=0.8)
    axes.spines["left"].set_visible(False)
