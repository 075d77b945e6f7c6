"""Curves and pictures of trainings on their way to MLflow, while they are drawn.

What MLflow could not be told by the end of a run lies in a file, and is sent later with

    python -m rglcd_pipelines.live_curves FILE [--tracking-uri URI]
"""

import argparse
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from PIL import Image

from rglcd_pipelines.errors import DataError, first_line
from rglcd_pipelines.tracker import BATCH, Tracker, is_unknown, limit_waits, quiet, reason, send_file
from rglcd_pipelines.unsent import Record, UnsentFile

SECONDS_BETWEEN_BATCHES = 5.0
SECONDS_BETWEEN_LOOKS = 1.0
"""The same while MLflow does not answer; attempts become rarer, up to the next figure."""
MOST_SECONDS_BETWEEN_ATTEMPTS = 30.0
SECONDS_TO_CLOSE = 20.0
SECONDS_TO_INTERRUPT = 5.0

logger = logging.getLogger(__name__)


class LiveCurves:
    """Listens to `rglcd_pipelines.curves`; a thread of its own sends what it hears every few seconds.

    Where MLflow does not answer, what waits is kept in a file of the folder `unsent` until it does. What
    earlier runs have left there is sent as well.
    """

    def __init__(self, run_id: str, unsent: Path) -> None:
        self.run_id = run_id
        self.stage = ""
        """Whose figures they are: the first part of their names."""
        self._tracker = Tracker(run_id)
        self._file = UnsentFile(unsent, run_id, self._tracker.tracking_uri)
        # Pictures have a lane of their own: they go to another store, whose failure must not hold up figures.
        self._words, self._pictures = _Lane("figures"), _Lane("pictures")
        self._lock = threading.Lock()
        """Held by whoever takes from the lanes or touches the file; telling needs none."""
        self._wake = threading.Event()
        self._closing = self._given_up = False
        self._sending = threading.Thread(target=self._work, name="live curves", daemon=True)
        self._sending.start()
        self._catching_up = threading.Thread(target=self._send_leftovers, name="leftovers", daemon=True)
        self._catching_up.start()

    def __call__(self, name: str, step: int, figures: Mapping[str, float]) -> None:
        prefix = self._prefix(name)
        told = {f"{prefix}/{key}": value for key, value in figures.items()}
        self._words.waiting.append(Record(_now(), int(step), told))

    def show(self, name: str, step: int, picture: Image.Image) -> None:
        copy = picture.convert("RGB")  # the caller's may change before it is sent
        self._pictures.waiting.append(Record(_now(), int(step), picture=self._prefix(name), image=copy))

    def note(
        self,
        figures: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """What has no step."""
        self._words.waiting.append(
            Record(_now(), figures=figures or {}, params=params or {}, tags=tags or {})
        )

    def attach(self, name: str, picture: Image.Image) -> None:
        """A picture without a step, as `name`.png."""
        self._pictures.waiting.append(Record(_now(), picture=name, image=picture.copy()))

    def close(self, status: str, seconds: float = SECONDS_TO_CLOSE) -> bool:
        """Send what waits; whether all of it arrived. If not, it is left in the file, with the `status`."""
        end = time.monotonic() + seconds
        self._closing = True
        self._wake.set()
        self._sending.join(seconds)
        arrived = not self._sending.is_alive() and not (self._words.waiting or self._pictures.waiting)
        if arrived:
            self._catching_up.join(max(0.0, end - time.monotonic()))
        else:
            self.leave(status)
        return arrived

    def leave(self, status: str) -> None:
        """Keep what waits in the file, and how the run ended, and say how it is sent later."""
        with self._lock:
            self._given_up = True
            if status:
                self._words.waiting.append(Record(_now(), status=status))
            problem = self._keep()
            self._file.release()
        if problem:
            logger.warning("MLflow was not told all of this run, and the rest is lost: %s", problem)
        else:
            logger.warning(
                "MLflow was not told all of this run. A later run tells it the rest, or: "
                "python -m rglcd_pipelines.live_curves %s", self._file.path)  # fmt: skip

    def _prefix(self, name: str) -> str:
        return f"{self.stage}/{name}" if self.stage else name

    def _work(self) -> None:
        arrived = True
        with quiet():
            while not self._given_up:
                self._wake.wait(SECONDS_BETWEEN_BATCHES if arrived else SECONDS_BETWEEN_LOOKS)
                self._wake.clear()
                closing = self._closing
                arrived = self._send_all()
                if closing and arrived:
                    return

    def _send_all(self) -> bool:
        """Whether all that waited has arrived."""
        if not (self._send(self._words) and self._send(self._pictures)):
            return False
        with self._lock, suppress(OSError):
            if not self._given_up:
                self._file.remove()
        return True

    def _send(self, lane: "_Lane") -> bool:
        if lane.is_resting() and not self._closing:
            return False
        while batch := self._next(lane):
            try:
                self._tracker.send(batch, again=lane.failures > 0)
            except Exception as error:  # what stores of runs and of files raise has no common base
                self._fail(lane, error)
                return False
            with self._lock:
                lane.take(len(batch))
        if self._given_up:
            return False
        if lane.failures:
            lane.failures = 0
            logger.info("MLflow answers again: all %s that waited have arrived", lane.name)
        return True

    def _next(self, lane: "_Lane") -> list[Record]:
        with self._lock:
            most = 0 if self._given_up else 1 if lane is self._pictures else BATCH
            # By index: somebody may tell something while an iterator runs.
            return [lane.waiting[i] for i in range(min(most, len(lane.waiting)))]

    def _fail(self, lane: "_Lane", error: Exception) -> None:
        first = not (self._words.failures or self._pictures.failures)
        lane.fail()
        with self._lock:
            if self._given_up:
                return
            problem = self._keep()
        if first:
            kept = f"kept in memory alone, as {problem}" if problem else f"kept in {self._file.path}"
            logger.warning(
                "MLflow takes no %s (%s). The run goes on; they are %s", lane.name, reason(error), kept
            )

    def _keep(self) -> str:
        """Bring the file up to date; says why it could not be done, if so."""
        try:
            for lane in (self._words, self._pictures):
                new = [lane.waiting[i] for i in range(lane.kept, len(lane.waiting))]
                for i, record in enumerate(self._file.append(new), lane.kept):
                    lane.waiting[i] = record
                lane.kept += len(new)
        except OSError as error:
            return f"{self._file.path} cannot be written ({first_line(error)})"
        return ""

    def _send_leftovers(self) -> None:
        with quiet():
            for file in sorted(self._file.path.parent.glob("*.jsonl")):
                try:
                    sent = send_file(file, self._tracker.tracking_uri)
                    logger.info("sent what run %s could not tell MLflow", sent.run_id)
                except DataError:  # a run under way holds it
                    continue
                except Exception as error:
                    if not is_unknown(error):
                        return  # the next run tries again


class _Lane:
    """Records of a kind, in the order in which they were told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: deque[Record] = deque()
        self.kept = 0
        """How many of the first are in the file."""
        self.failures = 0
        """Attempts in vain since the last that was not."""
        self._next_attempt = 0.0

    def is_resting(self) -> bool:
        return self.failures > 0 and time.monotonic() < self._next_attempt

    def fail(self) -> None:
        self._next_attempt = time.monotonic() + min(2.0**self.failures, MOST_SECONDS_BETWEEN_ATTEMPTS)
        self.failures += 1

    def take(self, number: int) -> None:
        """The first have arrived."""
        for _ in range(number):
            self.waiting.popleft()
        self.kept = max(0, self.kept - number)


def _now() -> int:
    return time.time_ns() // 1_000_000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Send MLflow what a run could not tell it.")
    parser.add_argument("file", type=Path, help="data/08_reporting/ENVIRONMENT/unsent/RUN.jsonl")
    parser.add_argument("--tracking-uri", help="where the run's database answers, if no longer where it did")
    options = parser.parse_args(arguments)
    limit_waits()
    try:
        with quiet():
            sent = send_file(options.file, options.tracking_uri)
    except Exception as error:  # as above
        print(f"error: {reason(error)}", file=sys.stderr)
        return 1
    figures = sum(len(record.figures) for record in sent.records)
    pictures = sum(1 for record in sent.records if record.picture)
    print(f"sent {figures} figures and {pictures} pictures to run {sent.run_id}; {options.file} is gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
