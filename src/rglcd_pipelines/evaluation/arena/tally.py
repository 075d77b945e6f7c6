"""Votes added up: for each pairing and question, the shares of both models and of ties, with intervals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rglcd_pipelines.evaluation.arena.agreement import krippendorff_alpha
from rglcd_pipelines.evaluation.arena.key import Key
from rglcd_pipelines.evaluation.arena.settings import Pairing, Question
from rglcd_pipelines.evaluation.arena.votes import Choice, Vote

CHOICES: tuple[Choice, ...] = ("ours", "tie", "theirs")
OUTSIDE = 0.025
"""The probability on either side of a 95 % interval."""


@dataclass(frozen=True)
class Share:
    """A part of the votes, and its 95 % interval; without one where a single prompt was judged."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Result:
    """What was said to one question about one pairing; without shares where nobody voted."""

    pairing: Pairing
    question: Question
    votes: int
    raters: int
    prompts: int
    shares: dict[Choice, Share]
    lead: Share | None
    """The share of ours less that of theirs: beyond zero where people prefer one of them."""
    agreement: float | None
    """Krippendorff's alpha of those who judged the same pictures; None where it is not defined."""


def tally(votes: Sequence[Vote], key: Key, resamples: int, seed: int) -> list[Result]:
    """A result for each pairing and question, in the key's order."""
    return [
        _result(
            pairing,
            question,
            [v for v in votes if v.comparison.pairing == number and v.question == question.id],
            resamples,
            seed,
        )
        for number, pairing in enumerate(key.pairings)
        for question in key.questions
    ]


def _result(pairing: Pairing, question: Question, votes: Sequence[Vote], resamples: int, seed: int) -> Result:
    by_prompt: dict[str, list[Choice]] = {}
    for vote in sorted(votes, key=lambda vote: vote.comparison.prompt):
        by_prompt.setdefault(vote.comparison.prompt, []).append(vote.choice)
    counts = np.array([[said.count(choice) for choice in CHOICES] for said in by_prompt.values()])
    shares, lead = intervals(counts, resamples, seed) if votes else ({}, None)
    return Result(
        pairing=pairing,
        question=question,
        votes=len(votes),
        raters=len({vote.rater for vote in votes}),
        prompts=len(by_prompt),
        shares=shares,
        lead=lead,
        agreement=krippendorff_alpha(by_prompt.values()),
    )


def intervals(counts: NDArray[np.int_], resamples: int, seed: int) -> tuple[dict[Choice, Share], Share]:
    """The shares of `counts` [prompts, 3] and ours less theirs, by a percentile bootstrap.

    Whole prompts are drawn, with all that raters said of them: votes about the same pictures go together.
    The raters are taken as they are, so the intervals speak of other prompts and not of other people.
    """
    prompts = len(counts)
    weights = np.random.default_rng(seed).multinomial(prompts, [1 / prompts] * prompts, size=resamples)
    value, drawn = _shares(counts.sum(0)), _shares(weights @ counts)
    found: dict[Choice, Share] = {
        choice: _share(float(value[place]), drawn[:, place], prompts, least=0)
        for place, choice in enumerate(CHOICES)
    }
    return found, _share(float(value[0] - value[2]), drawn[:, 0] - drawn[:, 2], prompts, least=-1)


def _shares(counts: NDArray[np.int_]) -> NDArray[np.float64]:
    return counts / counts.sum(-1, keepdims=True)


def _share(value: float, drawn: NDArray[np.float64], prompts: int, least: int) -> Share:
    """The interval of a figure from `least` to 1, from its draws.

    Where all prompts say the same, so do all draws, and an interval without width would be a lie: as many
    prompts alike leave up to 1 - 0.025 ** (1 / prompts) of others that may say something else.
    """
    if prompts < 2:
        return Share(value, None, None)
    low, high = (float(bound) for bound in np.quantile(drawn, [OUTSIDE, 1 - OUTSIDE]))
    if np.ptp(drawn) == 0:
        beyond = (1 - least) * (1 - OUTSIDE ** (1 / prompts))
        low, high = max(least, value - beyond), min(1.0, value + beyond)
    return Share(value, low, high)


def sides(votes: Sequence[Vote]) -> dict[str, float]:
    """How often A, B or neither was chosen, whoever was there: far from even, raters did not look."""
    found = Counter(vote.side for vote in votes)
    return {side: found[side] / len(votes) for side in ("a", "b", "tie")}
