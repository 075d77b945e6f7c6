"""How every chart looks: quiet, the same colours for the same models, and told apart without colour too."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from rglcd_pipelines.evaluation.report.blocks import Chart
from rglcd_pipelines.evaluation.report.models import Model

DPI = 96
SHARP = 2
"""Pixels of the file for each of the page."""
WIDTH, HEIGHT = 360, 280
"""Of a chart on the page: as wide as a phone."""
SIZE = 9.0
"""Of text, in points: 12 pixels on the page."""

Draw = Callable[[Axes, "Theme"], None]
Line = Literal["solid", "dashed", "dotted"]


@dataclass(frozen=True)
class Theme:
    """Of a light page or a dark one."""

    ink: str
    faint: str
    rule: str
    paper: str
    rewards: dict[str, str]
    others: tuple[str, ...]

    def colour(self, model: Model) -> str:
        """Its reward's; grey of what has none."""
        if model.kind == "teacher":
            return self.ink
        if not model.reward:
            return self.faint
        if model.expert in self.rewards:
            return self.rewards[model.expert]
        return self.others[sum(model.reward.encode()) % len(self.others)]


# From Okabe and Ito's palette, which people with any colour vision tell apart; lighter on the dark page.
LIGHT = Theme(
    ink="#1d1f24",
    faint="#6a6f7a",
    rule="#e3e5e9",
    paper="#ffffff",
    rewards={"clip": "#007a5a", "pick": "#b0548a", "imgrwd": "#c44e00", "hps": "#0064a8"},
    others=("#8a6d00", "#5a4fcf"),
)
DARK = Theme(
    ink="#e8e9ec",
    faint="#9aa0ac",
    rule="#363a43",
    paper="#16181d",
    rewards={"clip": "#35c79b", "pick": "#e39ac6", "imgrwd": "#f58b4a", "hps": "#62b4ef"},
    others=("#d9bd4a", "#a79df5"),
)


def line_of(model: Model) -> Line:
    """Dashed through a latent reward model, dotted without antialiasing."""
    if not model.antialias:
        return "dotted"
    return "dashed" if model.lrm else "solid"


def chart(name: str, title: str, alt: str, draw: Draw, width: int = WIDTH, height: int = HEIGHT) -> Chart:
    """What `draw` draws, for both pages."""
    light, dark = (_png(title, draw, theme, width, height) for theme in (LIGHT, DARK))
    return Chart(name, alt, light, dark, width, height)


def _png(title: str, draw: Draw, theme: Theme, width: int, height: int) -> bytes:
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI * SHARP, facecolor=theme.paper)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", w_pad=6 / DPI, h_pad=6 / DPI)
    axes = figure.add_subplot()
    figure.suptitle(title, x=8 / width, ha="left", fontsize=SIZE + 1, color=theme.ink, weight="bold")
    _quiet(axes, theme)
    draw(axes, theme)
    file = io.BytesIO()
    # Without the version of matplotlib in it, equal charts are equal files.
    figure.savefig(file, format="png", facecolor=theme.paper, metadata={"Software": None})
    return file.getvalue()


def _quiet(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.paper)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(theme.rule)
    axes.tick_params(colors=theme.faint, labelsize=SIZE, length=3, which="both")
    axes.grid(axis="y", color=theme.rule, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.label.set(color=theme.faint, fontsize=SIZE)
    axes.yaxis.label.set(color=theme.faint, fontsize=SIZE)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def label_ends(axes: Axes, labels: list[tuple[float, str, str]], x: float, height: int = HEIGHT) -> None:
    """Names at the right ends of lines, (height, name, colour), pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    # A line of text in the axes' units; titles and ticks take about a third of the height.
    least = (high - low) * SIZE * 1.25 / 72 / (height / DPI * 0.68)
    at = apart([value for value, _, _ in labels], least)
    for (_, name, colour), place in zip(labels, at, strict=True):
        axes.annotate(
            name, (x, place), (6, 0), textcoords="offset points", color=colour, fontsize=SIZE,
            va="center", annotation_clip=False,
        )  # fmt: skip
    axes.set_ylim(min(low, *at) if at else low, max(high, *at) if at else high)


def apart(heights: list[float], least: float) -> list[float]:
    """The same heights in the same order, at least so far apart, moved as little as can be seen."""
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    groups: list[tuple[list[int], float]] = []
    for place in order:
        members, centre = [place], heights[place]
        while groups and centre - groups[-1][1] < least * (len(members) + len(groups[-1][0])) / 2:
            before, at = groups.pop()
            centre = (at * len(before) + centre * len(members)) / (len(before) + len(members))
            members = before + members
        groups.append((members, centre))
    moved = list(heights)
    for members, centre in groups:
        for number, place in enumerate(members):
            moved[place] = centre + (number - (len(members) - 1) / 2) * least
    return moved
