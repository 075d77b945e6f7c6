"""When a student has gone too far: its own reward rises, and what others think of it falls.

Every look draws the same prompts with the same noise. A look's *proxy* is the mean reward that the student
follows. Its *held-out score* of a prompt is the mean over the held-out rewards of

    (score - m) / s

where m and s are the mean and the standard deviation of that reward's scores at the first look, over the
prompts. The *best* look is the first of those with the highest mean held-out score. A later look is *over*
if its proxy is above the best look's and

    mean(d) > tolerance * std(d) / sqrt(prompts),   d = held-out scores at the best look - those now,

which compares prompt by prompt: it is much sharper than two means with an error each. The training ends when
`patience` looks in a row are over. If the last look is over, ended or not, the student is the best look's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from rglcd_pipelines.training.watch_settings import StopConfig


@dataclass(frozen=True)
class Look:
    """What was seen after so many steps."""

    step: int
    figures: dict[str, float]
    """What is told and written: means over the prompts."""
    proxy: list[float]
    """What the student follows, a number for each prompt; empty if it follows nothing."""
    held_out: dict[str, list[float]]
    """What the other rewards say, a number for each prompt."""

    def told(self) -> dict[str, Any]:
        """As JSON, which keeps every bit of a float."""
        return dict(vars(self))

    @classmethod
    def read(cls, told: dict[str, Any]) -> Self:
        return cls(**told)


@dataclass(frozen=True)
class Verdict:
    """What the looks so far come to."""

    best: Look
    """The one with the highest held-out score."""
    over: int
    """How many looks up to the last one were over, in a row."""
    ended: bool
    """Whether these are enough."""
    fell: float
    """How many standard errors the held-out score lies below the best look's at the last one."""

    @property
    def returns(self) -> bool:
        """Whether the best look's student is the better one."""
        return self.over > 0


def held_out_scores(looks: Sequence[Look]) -> np.ndarray:
    """[looks, prompts]: the mean of the held-out rewards, each in standard deviations of the first look."""
    first, shares = looks[0], []
    for name, scores in first.held_out.items():
        spread = float(np.std(scores, ddof=1)) or 1.0  # one that says the same of all tells by its mean alone
        shares.append([(np.array(look.held_out[name]) - np.mean(scores)) / spread for look in looks])
    return np.mean(np.array(shares), axis=0)


def judge(looks: Sequence[Look], stop: StopConfig) -> Verdict:
    """What the looks so far come to; there is one at least, with a proxy and held-out rewards."""
    scores = held_out_scores(looks)
    best = int(np.argmax(scores.mean(1)))
    fell = [fall(scores[best], now) for now in scores]
    over = 0
    for look, fallen in zip(looks[best + 1 :], fell[best + 1 :], strict=True):
        gone = fallen > stop.tolerance and np.mean(look.proxy) > np.mean(looks[best].proxy)
        over = over + 1 if gone else 0
    return Verdict(looks[best], over, over >= stop.patience, fell[-1])


def fall(best: np.ndarray, now: np.ndarray) -> float:
    """mean(d) in its standard errors; of differences that are all alike, infinite or 0."""
    d = best - now
    error = float(np.std(d, ddof=1)) / len(d) ** 0.5
    if error == 0:
        return float(np.sign(np.mean(d)) * np.inf) if np.mean(d) else 0.0
    return float(np.mean(d)) / error
