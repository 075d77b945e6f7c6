"""The votes as a picture: the paper's Figures 4 and 5, with intervals."""

import io
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rglcd_pipelines.evaluation.arena.settings import Pairing
from rglcd_pipelines.evaluation.arena.tally import CHOICES, Result, Share
from rglcd_pipelines.evaluation.arena.votes import Choice

INK, FAINT, RULE = "#1d1f24", "#6a6f7a", "#c9ccd2"
COLOURS: dict[Choice, str] = {"ours": "#0064a8", "tie": "#d7dae0", "theirs": "#e08a3c"}
"""Of Okabe and Ito's palette, near it, which people with any colour vision tell apart."""
TEXT_ON: dict[Choice, str] = {"ours": "#ffffff", "tie": INK, "theirs": INK}
ROOM = 0.12
"""The least share that has room for its number."""
PANEL, ROW, NAMES, HEAD = 3.4, 0.62, 2.3, 1.35
"""Inches: a panel's width, a row's height, the width of names, the height of all else."""
LEAST = 9.5
"""Inches that the title and the legend need beside each other."""
LETTERS = 16
"""Of the small print in an inch."""


def draw_votes(results: Sequence[Result], title: str, below: str) -> bytes:
    """A PNG: a row a pairing, a panel a question, and in each the shares of ours, ties and theirs."""
    pairings = list({str(result.pairing): result.pairing for result in results}.values())
    questions = list({result.question.id: result.question for result in results}.values())
    size = (max(NAMES + PANEL * len(questions), LEAST), HEAD + ROW * len(pairings))
    figure = Figure(figsize=size, facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    panels = figure.subplots(1, len(questions), sharey=True, squeeze=False)[0]
    for axes, question in zip(panels, questions, strict=True):
        _panel(axes, [result for result in results if result.question == question])
        axes.set_title(question.title, loc="left", fontsize=10, color=INK)
    panels[0].set_yticks(range(len(pairings)), [_named(pairing) for pairing in pairings])
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, weight="bold", color=INK)
    figure.supxlabel(textwrap.fill(below, int(LETTERS * size[0])), x=0.01, ha="left", fontsize=8, color=FAINT)
    patches = [Patch(facecolor=COLOURS[c], label=label) for c, label in zip(CHOICES, LABELS, strict=True)]
    figure.legend(handles=patches, loc="outside upper right", ncols=3, frameon=False, fontsize=9)
    file = io.BytesIO()
    # Without the version of matplotlib in it, equal votes give equal files.
    figure.savefig(file, format="png", dpi=160, metadata={"Software": None})
    return file.getvalue()


LABELS = ("first is better", "can’t say", "second is better")


def _named(pairing: Pairing) -> str:
    return f"{pairing.ours}\nagainst {pairing.theirs}"


def _panel(axes: Axes, results: Sequence[Result]) -> None:
    for row, result in enumerate(results):
        if result.shares:
            _bar(axes, row, result)
        else:
            axes.text(0.5, row, "no votes", ha="center", va="center", fontsize=9, color=FAINT)
    axes.set(xlim=(0, 1), ylim=(len(results) - 0.5, -0.5))
    axes.axvline(0.5, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.tick_params(length=0, labelsize=9, colors=INK)
    axes.spines[:].set_visible(False)


def _bar(axes: Axes, row: int, result: Result) -> None:
    """The three shares, and the intervals of both models' from their own ends of the bar."""
    left = 0.0
    for choice in CHOICES:
        value = result.shares[choice].value
        axes.barh(row, value, left=left, height=0.56, color=COLOURS[choice], edgecolor="white", linewidth=0.8)
        if value >= ROOM:
            axes.text(
                left + value / 2, row, f"{value:.0%}", ha="center", va="center", fontsize=9,
                color=TEXT_ON[choice], zorder=4,
            )  # fmt: skip
        left += value
    axes.text(1.02, row, _beside(result), va="center", fontsize=8, color=FAINT)
    _interval(axes, row + 0.34, result.shares["ours"], from_right=False)
    _interval(axes, row - 0.34, result.shares["theirs"], from_right=True)


def _beside(result: Result) -> str:
    """How many votes there are, and how far raters agree where that is defined."""
    votes = f"{result.votes:,} vote{'' if result.votes == 1 else 's'}"
    return votes if result.agreement is None else f"{votes}\nα = {result.agreement:.2f}"


def _interval(axes: Axes, height: float, share: Share, from_right: bool) -> None:
    if share.low is None or share.high is None:
        return
    ends = [1 - share.low, 1 - share.high] if from_right else [share.low, share.high]
    axes.plot(ends, [height, height], color=INK, linewidth=1.4, marker="|", markersize=5, clip_on=False)
