"""The effect of the latent reward model (Figure 3): the same prompts with and without, and their spectra."""

from functools import partial
from itertools import islice

import numpy as np
from matplotlib.axes import Axes

from rglcd_pipelines.evaluation.report.blocks import Block, Cell, Charts, Head, LeftOut, Section, Table
from rglcd_pipelines.evaluation.report.compare import Side
from rglcd_pipelines.evaluation.report.context import EVALUATE, Context
from rglcd_pipelines.evaluation.report.models import Setting
from rglcd_pipelines.evaluation.report.numbers import NONE, cell, head_of, ranged, shown
from rglcd_pipelines.evaluation.report.pictures import grid_of, pixels, prompts_of
from rglcd_pipelines.evaluation.report.spectra import Floats, mean_spectrum
from rglcd_pipelines.evaluation.report.style import Theme, chart, label_ends, line_of

TITLE = "The effect of the latent reward model (Figure 3)"
PICTURED, MEASURED = 3, 200
"""Prompts shown of each reward, and pictures that a spectrum is the mean of."""


def effect_section(context: Context) -> Section | LeftOut:
    pairs = [
        (direct, through)
        for direct in context.models.guided
        if not direct.first.lrm and (through := context.models.partner(direct))
    ]
    if not pairs:
        return LeftOut(TITLE, "no reward was learnt from both ways", EVALUATE.format("imgrwd_lrm"))
    charts, rows, grids = [], [], []
    spectra: dict[Setting, tuple[Floats, Floats]] = {}
    for direct, through in pairs:
        sides = [Side(direct, context.last), Side(through, context.last)]
        rows += _rows(context, *sides)
        if context.baseline:
            sides.insert(0, context.baseline)
        sides = [side for side in sides if prompts_of(side, context.config.benchmark, 1)]
        if len(sides) < 2:
            continue
        for side in sides:
            if side.setting not in spectra:
                spectra[side.setting] = _spectrum(context, side)
        reward = direct.label.removeprefix("RG-LCM (").removesuffix(")")
        alt = f"Power by frequency of {', '.join(side.setting.label for side in sides)}"
        draw = partial(_draw, sides=sides, spectra=spectra)
        charts.append(chart(f"spectrum-{direct.first.reward}", f"{reward}: power by frequency", alt, draw))
        prompts = prompts_of(sides[0], context.config.benchmark, min(PICTURED, context.config.prompts))
        caption = f"{reward}, directly and through the latent reward model, {context.last} steps."
        heads = [(side.setting.label, side) for side in sides]
        name = f"effect-{direct.first.reward}"
        grids.append(grid_of(name, caption, heads, context.config.benchmark, prompts, close=True))
    note = f"Mean power of luma over {MEASURED} pictures at most; 0.5 cycles a pixel is the finest there is."
    heads = [Head("Model"), Head("measure"), Head("directly"), Head("with LRM"), Head("difference")]
    table = Table(
        f"Learning directly and through the latent model, {context.last} steps", [heads], rows, text=(1,)
    )
    blocks: list[Block] = [table, *([Charts(charts, note)] if charts else []), *grids]
    return Section("latent-reward", TITLE, blocks)


def _rows(context: Context, direct: Side, through: Side) -> list[list[Cell]]:
    """Each measure of both, and the difference."""
    rows = []
    for set_name, name, measure in context.panels():
        pair = [context.number(side, set_name, name) for side in (direct, through)]
        if None in pair:
            continue
        difference = context.comparer.difference(through, direct, set_name, name)
        apart = Cell(NONE)
        if difference is not None:
            interval = ranged(difference.low, difference.high, measure, signed=True)
            apart = Cell(shown(difference.value, measure, signed=True), interval, through.setting.url)
        urls = (direct.setting.url, through.setting.url)
        numbers = [cell(number, measure, url) for number, url in zip(pair, urls, strict=True)]
        rows.append([Cell(direct.setting.label), Cell(head_of(measure)), *numbers, apart])
    return rows


def _spectrum(context: Context, side: Side) -> tuple[Floats, Floats]:
    samples = side.setting.first.samples
    assert samples is not None  # it has prompts
    drawn = islice(samples.pngs(side.column, context.config.benchmark), MEASURED)
    return mean_spectrum(pixels(png, prompt.key) for prompt, png in drawn)


def _draw(axes: Axes, theme: Theme, sides: list[Side], spectra: dict[Setting, tuple[Floats, Floats]]) -> None:
    labels = []
    for side in sides:
        frequency, power = spectra[side.setting]
        there = power > 0
        model = side.setting.first
        colour = theme.colour(model)
        axes.plot(frequency[there], power[there], color=colour, linestyle=line_of(model), linewidth=1.6)
        name = "LCM" if not model.reward else "with LRM" if model.lrm else "directly"
        labels.append((float(np.log10(power[there][-1])), name, colour))
    axes.set_yscale("log")
    axes.set_xlabel("cycles a pixel")
    axes.set_xlim(0, 0.5)
    _label_log(axes, labels)


def _label_log(axes: Axes, labels: list[tuple[float, str, str]]) -> None:
    """Names at the ends of lines of a logarithmic axis."""
    low, high = axes.get_ylim()
    twin = axes.twinx()
    twin.set_ylim(np.log10(low), np.log10(high))
    twin.axis("off")
    label_ends(twin, labels, 0.5)
    bottom, top = twin.get_ylim()
    axes.set_ylim(10**bottom, 10**top)
