"""How numbers are written."""

from dataclasses import replace

from rglcd_pipelines.evaluation.intervals import Interval
from rglcd_pipelines.evaluation.report.blocks import Cell
from rglcd_pipelines.evaluation.report.compare import Number
from rglcd_pipelines.evaluation.scores.table import Measure

NONE = "–"


def shown(value: float, measure: Measure, signed: bool = False) -> str:
    """A number as readers see it, with a true minus; what rounds to nothing has no sign."""
    rounded = round(value * measure.scale, measure.digits) + 0.0
    text = f"{abs(rounded):.{measure.digits}f}"
    if rounded < 0:
        return f"−{text}"
    return f"+{text}" if signed and rounded > 0 else text


def ranged(low: float | None, high: float | None, measure: Measure, signed: bool = False) -> str:
    if low is None or high is None:
        return ""
    if low * high > 0 and any(round(end * measure.scale, measure.digits) == 0 for end in (low, high)):
        # An end that rounds to nothing would hide on which side of it the interval lies.
        measure = replace(measure, digits=measure.digits + 2)
    return f"{shown(low, measure, signed)} to {shown(high, measure, signed)}"


def in_words(number: Number | Interval, measure: Measure, signed: bool = False) -> str:
    """A number with its interval, within a sentence."""
    told = ranged(number.low, number.high, measure, signed)
    return f"{shown(number.value, measure, signed)}{f' ({told})' if told else ''}"


def cell(number: Number | None, measure: Measure | None, url: str | None, best: bool = False) -> Cell:
    if number is None or measure is None:
        return Cell(NONE)
    small = ranged(number.low, number.high, measure)
    if number.deviation is not None:
        small = f"{small}\nsd {shown(number.deviation, measure)}".lstrip()
    return Cell(shown(number.value, measure), small, url, best)


def head_of(measure: Measure) -> str:
    """The label, with what its numbers are multiplied by and an arrow towards the better."""
    times = f" ×{measure.scale:g}" if measure.scale != 1 else ""
    arrow = {"high": " ↑", "low": " ↓", "reference": ""}[measure.better]
    return f"{measure.label}{times}{arrow}"


def best_of(numbers: list[Number | None], measure: Measure | None) -> set[int]:
    """The places of the best, as it is written; none where nothing is better than anything."""
    there = {place: number.value for place, number in enumerate(numbers) if number is not None}
    if measure is None or measure.better == "reference" or len(there) < 2:
        return set()
    top = (max if measure.better == "high" else min)(there.values())
    return {place for place, value in there.items() if shown(value, measure) == shown(top, measure)}
