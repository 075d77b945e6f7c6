"""The watch on reward hacking: what others think of a student, now and then while it learns.

The first process looks, and the others wait to hear whether the training goes on. All that it knows is in the
checkpoints, so that a killed run sees and decides the same again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from rglcd_pipelines import curves
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.watch_csv import WATCH, last_row, read_about, write_about, write_looks
from rglcd_pipelines.training.watch_look import column
from rglcd_pipelines.training.watch_rule import Look, Verdict, held_out_scores, judge
from rglcd_pipelines.training.watch_settings import WatchConfig

NAME = "watch"
"""What curves and a checkpoint's state call it."""
REFERENCE = "lcm"
"""Before the figures of the LCM that are told beside."""
BEST = "best_"
"""Before the names of a checkpoint's files that hold the best look's weights."""

logger = logging.getLogger(__name__)


class Eyes(Protocol):
    """Who looks."""

    def look(self, step: int) -> Look:
        """What is seen after so many steps."""
        ...


class Keeper(Protocol):
    """Who has the weights."""

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that changes, as a checkpoint has it."""
        ...

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """The way back."""
        ...


@dataclass(frozen=True)
class Watched:
    """What is watched."""

    eyes: Eyes
    learner: Keeper
    kept: Sequence[str]
    """The files of a checkpoint that are the student, which the best look keeps."""
    followed: Mapping[str, float]
    """The rewards that it follows, with their weights."""
    identity: str
    """Of all that a look depends on: looks of something else are no part of the same course."""
    drawn: str
    """Of the prompts and how they are drawn: looks at other pictures are not to be told beside."""
    reference: Path | None
    """The folder of the LCM that is told beside, unless it is that itself."""


@dataclass(frozen=True)
class Ending:
    """What became of a student that went too far."""

    step: int
    """How many steps it learnt."""
    best: int
    """After how many of them it was as it is kept."""
    why: str

    def told(self) -> dict[str, Any]:
        """As a manifest has it."""
        return {"ended_at": self.step, "weights_of_step": self.best, "why": self.why}

    def figures(self) -> dict[str, float]:
        """As tables of runs have it."""
        return {"ended_at": self.step, "weights_of_step": self.best}


class Overseer:
    """Looks at a student now and then, and ends its training if it goes too far."""

    def __init__(self, config: WatchConfig, watched: Watched, ranks: Ranks, folder: Path) -> None:
        """`folder` is where the training's figures stand."""
        self.config, self.watched, self.ranks, self.file = config, watched, ranks, folder / WATCH
        self.looks: list[Look] = []
        """What was seen; the other processes do not know."""
        self.ended = False
        """Whether the training is over, as all processes know."""
        self._best: dict[str, dict[str, Tensor]] = {}
        self._last: int | None = None
        self._told_reference = False

    def due(self, step: int, last: bool) -> bool:
        """Whether it is time for a look after `step` steps, the `last` or not, and there was none yet."""
        every = self.config.every
        return step != self._last and (last or (every is not None and step % every == 0))

    def look(self, step: int) -> None:
        """Look, tell it, and decide; all processes must ask."""
        if self.ranks.first:
            self._add(self.watched.eyes.look(step))
            write_looks(self.file, self.looks)
        self._last = step
        self.ended = self.ranks.hear(self.ended)

    def _add(self, look: Look) -> None:
        self._tell_reference(look.step)
        self.looks.append(look)
        if look.held_out:
            scores = held_out_scores([self.looks[0], look])[-1]
            error = float(np.std(scores, ddof=1)) / len(scores) ** 0.5
            told = {"held_out": float(scores.mean()), "held_out_error": error}
            self.looks[-1] = look = replace(look, figures=look.figures | told)
        curves.tell(NAME, look.step, look.figures)
        verdict = self.verdict()
        if verdict is None:
            return
        if verdict.best.step == look.step:
            tensors = self.watched.learner.tensors()
            self._best = {name: _copied(tensors[name]) for name in self.watched.kept}
        self.ended = verdict.ended
        if self.ended:
            logger.info("%s; the student of step %d is kept", self._why(verdict), verdict.best.step)

    def _tell_reference(self, step: int) -> None:
        """How high an LCM's figures are, once for each run."""
        if self._told_reference or self.watched.reference is None:
            return
        self._told_reference = True
        reference = self.watched.reference
        if not (reference / WATCH).is_file():
            return
        if read_about(reference) != self.watched.drawn:
            logger.info(
                "%s: its looks are at other pictures than these, so it is not told beside; to have it looked "
                "at again, remove the folder and distil it once more", reference,
            )  # fmt: skip
            return
        level = last_row(reference / WATCH)
        followed = self.watched.followed
        if followed and all(column(name) in level for name in followed):
            level["proxy"] = sum(weight * level[column(name)] for name, weight in followed.items())
        if level:
            curves.tell(NAME, step, {f"{REFERENCE}/{name}": value for name, value in level.items()})

    def verdict(self) -> Verdict | None:
        """What the looks so far come to, where that may end the training."""
        stop, looks = self.config.stop, self.looks
        if stop is None or not looks or not looks[0].proxy or not looks[0].held_out:
            return None
        return judge(looks, stop)

    def ending(self) -> Ending | None:
        """What is to be said of a training that is over, if it went too far."""
        verdict = self.verdict()
        if verdict is None or not verdict.returns:
            return None
        return Ending(self.looks[-1].step, verdict.best.step, self._why(verdict))

    def _why(self, verdict: Verdict) -> str:
        last, best = self.looks[-1], verdict.best
        looks = f"{verdict.over} looks in a row" if verdict.over > 1 else "one look"
        return (
            f"after step {best.step} the reward that it follows rose from {best.figures['proxy']:.4g} to "
            f"{last.figures['proxy']:.4g} while the held-out rewards fell by {verdict.fell:.1f} standard "
            f"errors, as {looks} found, the last at step {last.step}"
        )

    def bring_back(self) -> Ending | None:
        """Give the learner the best look's weights, if the training went too far."""
        ending = self.ending()
        if ending is not None:
            self.watched.learner.load(self.watched.learner.tensors() | self._best)
        return ending

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The best look's weights, as a checkpoint has them."""
        return {f"{BEST}{name}": weights for name, weights in self._best.items()}

    def state(self) -> dict[str, Any]:
        """What else a checkpoint has of it."""
        return {"of": self.watched.identity, "looks": [look.told() for look in self.looks]}

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """The way back."""
        if state.get("of") == self.watched.identity:
            self.looks = [Look.read(told) for told in state["looks"]]
            kept = {name: tensors.get(f"{BEST}{name}") for name in self.watched.kept if self.ranks.first}
            self._best = {name: _copied(weights) for name, weights in kept.items() if weights is not None}
            self._last = self.looks[-1].step if self.looks else None
        verdict = self.verdict()
        self.ended = verdict is not None and verdict.ended

    def begin(self) -> None:
        """Write what was known at the checkpoint; what was seen after it comes again."""
        write_looks(self.file, self.looks)
        write_about(self.file.parent, self.watched.drawn)


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """In the machine's memory, not the GPU's, which has others to hold."""
    return {name: weight.detach().to("cpu", copy=True) for name, weight in weights.items()}
