"""A setting's numbers, and how far two settings are apart, over prompts and over seeds of training alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

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
    """By the benchmark's protocol; of several seeds, the mean of theirs."""


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
        self.share = cache(self._share)

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
        return Number(value, low, high, first.count, len(figures), _mean_deviation(figures))

    def _difference(self, ours: Side, theirs: Side, set_name: str, measure: str) -> Interval | None:
        """Of the first less the second, over the pairs of models that `paired` makes of them.

        None where one of these has no such figure.
        """
        pairs = paired(ours.setting, theirs.setting)
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

    def _share(self, most: Side, some: Side, least: Side, set_name: str, measure: str) -> Interval | None:
        """Of what the first has more than the last, the part that it has more than the second as well.

        None where samples were not measured one by one, or the first may have no more than the last. It is a
        share only where the three are known to come in this order.
        """
        chosen = list(zip(*paired(most.setting, some.setting, least.setting), strict=True))
        drawn = [
            Drawn(model.scores, side.column)
            for side, models in zip((most, some, least), chosen, strict=True)
            for model in models
        ]
        check_same(drawn, set_name)
        if not all(one.scores.measured(one.column, set_name, measure) for one in drawn):
            return None
        scores, groups = aligned(drawn, set_name, measure)
        first, second, last = scores.reshape(3, len(chosen[0]), -1)
        part, whole = first - second, first - last
        draw = partial(resampled_means, seed=self.config.seed, resamples=self.config.resamples, groups=groups)
        sizes = draw(whole.mean(0))
        if sizes.min() <= 0:
            return None
        size = float(whole.mean())
        share = float(part.mean()) / size
        drawn_share = draw(part.mean(0)) / sizes
        # Of each seed, the share to first order: their mean is the share itself, and a seed that has little
        # more than the last does not blow up.
        seeds = [share + float((one - share * all_of).mean()) / size
                 for one, all_of in zip(part, whole, strict=True)]  # fmt: skip
        return over_seeds(seeds, [drawn_share] * len(seeds), scores.shape[1], self.config.seed)

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
        """From the intervals of figures alone: wider than need be, as it is not known what they share.

        Seeds of one side are taken to err together, as they drew the same prompts; the two sides are not.
        """
        draws = [self._normal(one, place) for place, some in enumerate([figures, less]) for one in some]
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


def seeds_of(*settings: Setting) -> int:
    """How many seeds of training a comparison of settings comes from."""
    return len(paired(*settings))


def paired(*settings: Setting) -> Sequence[tuple[Model, ...]]:
    """Which models are compared with each other: one tuple a seed, a model of each setting.

    Students of the same seed, for they learnt from the same draws; where they have none in common, the first
    of each. A teacher has no seed of training and is compared with every one. A single student is not: what
    it would be with another seed is not known, however many seeds the others have.
    """
    seeds = [[model.seed for model in one.models] for one in settings if not one.is_teacher]
    common = [seed for seed in seeds[0] if all(seed in some for some in seeds)] if seeds else []
    if not common:
        return [tuple(one.first for one in settings)]
    return [tuple(_of_seed(one, seed) for one in settings) for seed in common]


def _of_seed(setting: Setting, seed: int) -> Model:
    if setting.is_teacher:
        return setting.first
    return next(model for model in setting.models if model.seed == seed)


def _mean_deviation(figures: Sequence[Figure]) -> float | None:
    """None where a seed has none."""
    found = [one.deviation for one in figures if one.deviation is not None]
    return float(np.mean(found)) if len(found) == len(figures) else None
