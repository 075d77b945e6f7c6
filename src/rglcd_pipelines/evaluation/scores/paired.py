"""Scores of two models for the same prompts, side by side: what a comparison begins with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.scores.table import Scores

NAMED = 3
"""As many missing samples are told by name; more would hide the message."""


@dataclass(frozen=True)
class Drawn:
    """One model's column."""

    scores: Scores
    column: str

    def __str__(self) -> str:
        return f"{self.scores.name} ({self.column})"


def check_same(sides: Sequence[Drawn], set_name: str) -> None:
    """That all of them drew the same prompts of a set; or a DataError that says who lacks what."""
    keys = [side.scores.rows(side.column, set_name)["key"].to_pylist() for side in sides]
    everything = list(dict.fromkeys(key for some in keys for key in some))
    problems = []
    for side, own in zip(sides, keys, strict=True):
        there = set(own)
        missing = [key for key in everything if key not in there]
        if missing:
            named = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
            problems.append(f"{side} has {len(own)} samples and lacks {len(missing)} ({named})")
    if problems:
        raise DataError(
            f"{_listed(sides)} cannot be compared on the prompts of {set_name}: {'; '.join(problems)}. "
            "Draw and score them again with kedro run --pipeline=evaluate."
        )


def by_prompt(side: Drawn, set_name: str, measure: str, group: str | None = None) -> dict[str, float]:
    """The score of each prompt; of one that was drawn with several noises, their mean."""
    rows = side.scores.rows(side.column, set_name, group)
    found: dict[str, list[float]] = {}
    values = side.scores.values(side.column, set_name, measure, group)
    for key, repeat, value in zip(rows["key"].to_pylist(), rows["repeat"].to_pylist(), values, strict=True):
        if not np.isnan(value):
            found.setdefault(key.removesuffix(f"-r{repeat}") if repeat else key, []).append(float(value))
    return {key: float(np.mean(some)) for key, some in found.items()}


def aligned(
    sides: Sequence[Drawn], set_name: str, measure: str, group: str | None = None
) -> tuple[NDArray[np.float64], list[str]]:
    """[sides, prompts]: every side's score of the prompts that all were measured on; and their groups."""
    scores = [by_prompt(side, set_name, measure, group) for side in sides]
    common = [key for key in scores[0] if all(key in one for one in scores)]
    rows = sides[0].scores.rows(sides[0].column, set_name, group)
    groups = dict(zip(rows["key"].to_pylist(), rows["group"].to_pylist(), strict=True))
    found = np.array([[one[key] for key in common] for one in scores])
    return found, [groups[key] for key in common]


def _listed(sides: Sequence[Drawn]) -> str:
    names = [str(side) for side in sides]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
