"""The loop of every training: load, step, report."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.training.checkpoints import Checkpoint, newest_checkpoint, save_checkpoint
from rglcd_pipelines.training.onlooker import Nobody, Onlooker
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.record import Record
from rglcd_pipelines.training.settings import TrainingConfig
from rglcd_pipelines.training.stop import Stop, stopping
from rglcd_pipelines.training.update import Watch

CHECKPOINTS = "checkpoints"
ONLOOKER = "watch"
"""What a checkpoint's state calls what an onlooker knows."""

logger = logging.getLogger(__name__)


class Supply(Protocol):
    """The work of any step, by the step's number."""

    def read(self, step: int) -> Any:
        """What does not need the device; called in a thread while the last step is at work."""
        ...

    def take(self, read: Any) -> Any:
        """What was read, on the device."""
        ...


class Learner(Protocol):
    """All that changes while something learns, and how a step changes it."""

    columns: Sequence[str]
    """The figures of a step."""
    watch: Watch
    """Who notices a number that is none."""

    def working(self) -> AbstractContextManager[object]:
        """What has to be open while it learns."""
        ...

    def step(self, step: int, work: Any) -> Mapping[str, Tensor]:
        """Learn from `work`, after `step` steps were done; the figures are still on the device."""
        ...

    def lr(self, step: int) -> float:
        """The learning rate of the step after `step` are done."""
        ...

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that changes, as a checkpoint has it."""
        ...

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """The way back."""
        ...


@dataclass(frozen=True)
class Training:
    """Who learns, from what, and where."""

    name: str
    """What progress and curves call it."""
    settings: TrainingConfig
    learner: Learner
    supply: Supply
    samples: int
    """Of a step, of all processes together."""
    ranks: Ranks
    folder: Path
    """Where checkpoints and figures stand while it learns."""
    draw: Callable[[int], object] = lambda _: None
    """Shows what it can do after so many steps."""
    draw_every: int | None = None
    """Steps from one time to the next, and after the last step."""
    onlooker: Onlooker = field(default_factory=Nobody)
    """Who looks at it now and then, if anybody does."""


class Loop:
    """A training from its newest checkpoint to its last step."""

    def __init__(self, training: Training) -> None:
        self.training, self.learner = training, training.learner
        self.step = 0
        """How many steps are done."""
        self.saved = 0
        """The step of the newest checkpoint."""
        self.record = Record(training.name, training.folder, training.learner.columns)

    def run(self) -> None:
        training, settings, ranks = self.training, self.training.settings, self.training.ranks
        self._resume()
        total, done = settings.steps * training.samples, self.step * training.samples
        with (
            stopping(patient=ranks.count > 1) as stop,
            ThreadPoolExecutor(1) as ahead,
            self.learner.working(),
            progress_bar(training.name, total, done, shown=ranks.first) as bar,
        ):
            reading = ahead.submit(training.supply.read, self.step)
            while self.step < settings.steps and not training.onlooker.ended:
                # load
                work = training.supply.take(reading.result())
                if self.step + 1 < settings.steps:
                    reading = ahead.submit(training.supply.read, self.step + 1)
                # step
                figures = self.learner.step(self.step, work)
                self.step += 1
                # report
                bar.update(training.samples)
                self._report(figures, stop)
        stop.obey()

    def _report(self, figures: Mapping[str, Tensor], stop: Stop) -> None:
        """Note the step; now and then look at what was noted, save, draw, and listen for Ctrl-C."""
        training, settings, ranks = self.training, self.training.settings, self.training.ranks
        self.record.add(self.step, figures, self.learner.lr(self.step - 1), training.samples)
        last = self.step == settings.steps
        saves = last or self.step % settings.checkpoints.every == 0
        draws = training.draw_every is not None and (last or self.step % training.draw_every == 0)
        watches = training.onlooker.due(self.step, last)
        looks = saves or draws or watches or self.step % settings.report_every == 0
        if not looks and ranks.count > 1:
            return  # all processes look at the same steps: they have to tell each other
        stops = ranks.any(stop.asked)
        if looks or stops or ranks.device.type == "cpu":
            self.learner.watch.check(self._kept())
        if looks or stops:
            self.record.flush(ranks.first)
        # What is drawn and seen is kept before the checkpoint is: who goes on from it need not do it again.
        try:
            self._show(draws, watches and not stops)
        finally:
            if saves or stops or training.onlooker.ended:
                self._save()
        if stops:
            logger.info("stopped after step %d of %d; the same command goes on", self.step, settings.steps)
            stop.obey()
            raise SystemExit(1)  # another process was asked to stop

    def _show(self, draws: bool, watches: bool) -> None:
        """Draw, and let others look; where they end it, what they saw is drawn in any case."""
        training = self.training
        if draws and training.ranks.first:
            training.draw(self.step)
        if watches:
            training.onlooker.look(self.step)
            ended = training.onlooker.ended and training.draw_every is not None
            if ended and not draws and training.ranks.first:
                training.draw(self.step)

    def _kept(self) -> str:
        return f"the checkpoint of step {self.saved} stays" if self.saved else "there is no checkpoint yet"

    def _save(self) -> None:
        self.saved = self.step
        if self.training.ranks.first:
            onlooker = self.training.onlooker
            tensors = self.learner.tensors() | onlooker.tensors()
            checkpoint = Checkpoint(self.step, tensors, {ONLOOKER: onlooker.state()})
            keep = self.training.settings.checkpoints.keep
            save_checkpoint(self.training.folder / CHECKPOINTS, checkpoint, keep)

    def _resume(self) -> None:
        """Take up the newest whole checkpoint, which all processes read."""
        ranks, onlooker = self.training.ranks, self.training.onlooker
        ranks.wait()
        found = newest_checkpoint(self.training.folder / CHECKPOINTS, ranks.device)
        if found is not None:
            self.learner.load(found.tensors)
            self.step = self.saved = found.step
            onlooker.load(found.tensors, found.state.get(ONLOOKER, {}))
            logger.info("going on from step %d of %d", self.step, self.training.settings.steps)
        if ranks.first:
            self.record.begin(self.step)
            onlooker.begin()
        last = self.step == self.training.settings.steps
        if found is not None and not onlooker.ended and onlooker.due(self.step, last):
            onlooker.look(self.step)  # Ctrl-C or a mistake prevented it
