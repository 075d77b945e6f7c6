"""The loop of Algorithm 3: load, step, report."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.training.checkpoints import (
    Checkpoint,
    load_optimizer,
    newest_checkpoint,
    optimizer_tensors,
    save_checkpoint,
)
from rglcd_pipelines.training.lanes import Lanes
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.record import Record
from rglcd_pipelines.training.settings import DistillConfig
from rglcd_pipelines.training.step import Loss, Supply, Work
from rglcd_pipelines.training.stop import Stop, stopping
from rglcd_pipelines.training.update import Update, Watch

CHECKPOINTS = "checkpoints"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """All that a student learns with."""

    settings: DistillConfig
    loss: Loss
    supply: Supply
    samples: int
    """Of a step, of all processes together."""
    ranks: Ranks
    folder: Path
    """Where checkpoints and figures stand while it learns."""
    draw: Callable[[int], None]
    """Draws what the student can do after so many steps."""


class Loop:
    """All that changes while a student learns."""

    def __init__(self, training: Training) -> None:
        self.training, self.student = training, training.loss.student
        self.step = 0
        """How many steps are done."""
        self.saved = 0
        """The step of the newest checkpoint."""
        self.update = Update(self.student.trained, training.settings.optimizer)
        self.watch = Watch([*training.loss.terms, "gradient"], training.ranks.device)
        self.record = Record(training.folder, [*training.loss.terms, "gradient", "loss"])

    def run(self) -> None:
        """From the newest checkpoint, if there is one, to the last step."""
        training, settings, ranks = self.training, self.training.settings, self.training.ranks
        self._resume()
        total, done = settings.steps * training.samples, self.step * training.samples
        with (
            stopping(patient=ranks.count > 1) as stop,
            ThreadPoolExecutor(1) as ahead,
            self._lanes() as lanes,
            progress_bar("student", total, done, shown=ranks.first) as bar,
        ):
            reading = ahead.submit(training.supply.read, self.step)
            while self.step < settings.steps:
                # load
                work = training.supply.take(reading.result())
                if self.step + 1 < settings.steps:
                    reading = ahead.submit(training.supply.read, self.step + 1)
                # step
                terms = lanes.backward(work)
                ranks.average([weight.grad for weight in self.student.trained if weight.grad is not None])
                ranks.average(list(terms.values()))
                terms["gradient"] = self.update.clip()
                self.update.step(self.step, self.watch.see(self.step, terms))
                self.student.follow(settings.mu)
                self.step += 1
                # report
                bar.update(training.samples)
                self._report(terms, stop)
        stop.obey()

    def _lanes(self) -> Lanes:
        settings, device = self.training.settings, self.training.ranks.device
        return Lanes(
            self.training.loss,
            Work.split,
            self.student.trained,
            device,
            settings.precision == "bf16",
            in_turn=settings.accumulate,
            together=not (self.student.one_at_a_time or settings.compile),
        )

    def _report(self, terms: dict[str, Tensor], stop: Stop) -> None:
        """Note the step; now and then look at what was noted, save, draw, and listen for Ctrl-C."""
        training, settings = self.training, self.training.settings
        guide = training.loss.guide
        loss = terms["lcd"] - guide.beta * terms["reward"] if guide else terms["lcd"]
        self.record.add(self.step, terms | {"loss": loss}, self.update.lr(self.step - 1), training.samples)
        last = self.step == settings.steps
        saves = last or self.step % settings.checkpoints.every == 0
        draws = last or self.step % settings.samples.every == 0
        looks = saves or draws or self.step % settings.report_every == 0
        if not looks and training.ranks.count > 1:
            return  # all processes look at the same steps: they have to tell each other
        stops = training.ranks.any(stop.asked)
        if looks or stops or training.ranks.device.type == "cpu":
            self.watch.check(self._kept())
        if looks or stops:
            self.record.flush(training.ranks.first)
        if saves or stops:
            self._save()
        if draws and training.ranks.first:
            training.draw(self.step)
        if stops:
            logger.info("stopped after step %d of %d; the same command goes on", self.step, settings.steps)
            stop.obey()
            raise SystemExit(1)  # another process was asked to stop

    def _kept(self) -> str:
        return f"the checkpoint of step {self.saved} stays" if self.saved else "there is no checkpoint yet"

    def _save(self) -> None:
        self.saved = self.step
        if self.training.ranks.first:
            tensors = self.student.tensors() | {"optimizer": optimizer_tensors(self.update.optimizer)}
            place = self.training.folder / CHECKPOINTS
            save_checkpoint(
                place, Checkpoint(self.step, tensors, {}), self.training.settings.checkpoints.keep
            )

    def _resume(self) -> None:
        """Take up the newest whole checkpoint, which all processes read."""
        self.training.ranks.wait()
        found = newest_checkpoint(self.training.folder / CHECKPOINTS, self.training.ranks.device)
        if found is not None:
            self.student.load(found.tensors)
            load_optimizer(self.update.optimizer, found.tensors["optimizer"])
            self.step = self.saved = found.step
            logger.info("going on from step %d of %d", self.step, self.training.settings.steps)
        if self.training.ranks.first:
            self.record.begin(self.step)
