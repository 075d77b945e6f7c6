"""A setting's numbers, and how far two settings are apart, over prompts and over seeds of training alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from rglcd_pipelines.evaluation.intervals import Interval, Values, over_seeds, resampled_means
from rglcd_pipelines.evaluation.report.models import Model, Setting
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from rglcd_pipelines.evaluation.scores.paired import Drawn, aligned, check_same
from rglcd_pipelines.evaluation.scores.table import Figure

NORMAL = 1.96
"""Standard errors from a mean to the end of its 95 % interval."""


@dataclass(frozen=True)
class Number:
    """One number of a setting, in the measure's own units; of several seeds, their mean."""

    value: float
    low: float | None
    high: float | None
    count: int
    """Of samples, of each seed."""
    seeds: int
    deviation: float | None = None


@dataclass(frozen=True)
class Side:
    """A setting's column."""

    setting: Setting
    column: str


class Comparer:
    """Computes each thing once; every draw takes the same prompts of all models."""

    def __init__(self, config: ReportConfig) -> None:
        self.config = config
        self.number = cache(self._number)
        self.difference = cache(self._difference)

    def _number(
        self, setting: Setting, column: str, set_name: str, measure: str, group: str = ""
    ) -> Number | None:
        found = [(one, one.scores.figure(column, set_name, measure, group)) for one in setting.models]
        models = [model for model, figure in found if figure is not None]
        figures = [figure for _, figure in found if figure is not None]
        if not figures:
            return None
        first = figures[0]
        if len(figures) == 1:
            return Number(first.value, first.low, first.high, first.count, 1, first.deviation)
        value = float(np.mean([figure.value for figure in figures]))
        told = self._of_rows([Drawn(model.scores, column) for model in models], set_name, measure, group)
        told = told or self._of_figures(figures)
        low, high = (told.low, told.high) if told else (None, None)
        return Number(value, low, high, first.count, len(figures))

    def _difference(self, ours: Side, theirs: Side, set_name: str, measure: str) -> Interval | None:
        """Of the first less the second; None where either has no such figure.

        Students of the same seed are compared with each other, for they learnt from the same draws.
        """
        pairs = _pairs(ours.setting, theirs.setting)
        if not pairs:
            return None
        first = [Drawn(model.scores, ours.column) for model, _ in pairs]
        second = [Drawn(model.scores, theirs.column) for _, model in pairs]
        check_same([*first, *second], set_name)
        told = self._of_rows(first, set_name, measure, less=second)
        if told is not None:
            return told
        figures = [
            [one for side in sides if (one := side.scores.figure(side.column, set_name, measure))]
            for sides in (first, second)
        ]
        whole = len(figures[0]) == len(figures[1]) == len(pairs)
        return self._of_figures(figures[0], less=figures[1]) if whole else None

    def _of_rows(
        self,
        sides: Sequence[Drawn],
        set_name: str,
        measure: str,
        group: str = "",
        less: Sequence[Drawn] = (),
    ) -> Interval | None:
        """Of the mean over seeds and prompts, where each sample was measured; `less` what is taken off."""
        drawn = [*sides, *less]
        if not all(one.scores.measured(one.column, set_name, measure) for one in drawn):
            return None
        scores, groups = aligned(drawn, set_name, measure, group or None)
        own = scores[: len(sides)] - (scores[len(sides) :] if less else 0)
        config = self.config
        draws = [resampled_means(one, config.seed, config.resamples, groups) for one in own]
        return over_seeds([float(one.mean()) for one in own], draws, own.shape[1], config.seed)

    def _of_figures(self, figures: Sequence[Figure], less: Sequence[Figure] = ()) -> Interval | None:
        """From the intervals of figures alone: wider than need be, as nothing is known to be shared."""
        draws = [self._normal(one, place) for place, one in enumerate([*figures, *less])]
        values = np.array([one.value for one in figures])
        if any(one is None for one in draws):
            return None
        drawn = np.array(draws)[: len(figures)]
        if less:
            values = values - np.array([one.value for one in less])
            drawn = drawn - np.array(draws)[len(figures) :]
        return over_seeds(values.tolist(), list(drawn), figures[0].count, self.config.seed)

    def _normal(self, figure: Figure, place: int) -> Values | None:
        """Draws of a figure that has an interval."""
        if figure.low is None or figure.high is None:
            return None
        random = np.random.default_rng([self.config.seed, place])
        error = (figure.high - figure.low) / (2 * NORMAL)
        return random.normal(figure.value, error, self.config.resamples)


def seeds_of(ours: Setting, theirs: Setting) -> int:
    """How many pairs of models a difference comes from."""
    return len(_pairs(ours, theirs))


def _pairs(ours: Setting, theirs: Setting) -> Sequence[tuple[Model, Model]]:
    """Those of the same seed; where one side has a single model, such as a teacher, all with that one."""
    if len(theirs.models) == 1:
        return [(model, theirs.first) for model in ours.models]
    if len(ours.models) == 1:
        return [(ours.first, model) for model in theirs.models]
    by_seed = {model.seed: model for model in theirs.models}
    return [(model, by_seed[model.seed]) for model in ours.models if model.seed in by_seed]
