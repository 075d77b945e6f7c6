"""Which run of MLflow is which student's: all that is ever learnt about a student is one row of a table."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlflow.tracking import MlflowClient

from rglcd_pipelines.evaluation.settings import TEACHER
from rglcd_pipelines.live_curves import LiveCurves
from rglcd_pipelines.pipelines.report.runs import ROW, row_of, run_of
from rglcd_pipelines.tracker import quiet, reason

logger = logging.getLogger(__name__)

PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class Session:
    """The run that stands for a `kedro run`, and the student whose run it may be."""

    curves: LiveCurves
    run_id: str
    experiment: str
    student: str | None
    """The one student that the session is about, if there is one."""
    scale: str
    unsent: Path


class StudentRuns:
    """Opens runs as they are needed; where MLflow does not answer, the session's run hears of everything."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._client = MlflowClient()
        self._open: dict[str, LiveCurves] = {}
        self._begun: set[str] = set()
        self._done: set[str] = set()

    def of(self, student: str) -> LiveCurves:
        """Where to tell what happens to a student that is made now."""
        if student not in self._open:
            if student == self.session.student:
                self._open[student] = self.session.curves
            else:
                self._open[student] = self._opened(lambda: self._new(student))
        return self._open[student]

    def known(self, student: str, digest: str) -> tuple[LiveCurves, bool]:
        """Where to tell more of a student that stood there already, and whether that is a row new to it.

        It is the run that made it, of which a session about that student is a part then. If MLflow does not
        know the student, as in a new database, the session's run or a fresh one becomes its row.
        """
        if student in self._open:
            return self._open[student], False
        found = self._opened(lambda: run_of(self._client, self.session.experiment, digest))
        fresh = found is self.session.curves
        if fresh and student != self.session.student:
            found = self._opened(lambda: self._new(student))
        elif not fresh and student == self.session.student:
            self.session.curves.note(tags={PARENT: found.run_id})
        self._open[student] = found
        return found, fresh

    def teacher(self) -> LiveCurves:
        """The teacher's own row, the same for all sessions."""
        if TEACHER not in self._open:
            self._open[TEACHER] = self._opened(
                lambda: row_of(self._client, self.session.experiment, TEACHER) or self._new(TEACHER)
            )
        return self._open[TEACHER]

    def where(self, student: str | None) -> LiveCurves:
        """Where to tell what has come of a student; what is no student's, the session's run hears."""
        return self._open.get(student, self.session.curves) if student else self.session.curves

    def finish(self, student: str) -> None:
        """The student stands: whatever happens to others later, its run has succeeded."""
        self._done.add(student)

    def close(self, status: str, seconds: float, failed: str | None = None) -> None:
        """End the runs that were begun here, with `status` that of `failed` and of those that never stood.

        Runs that had ended long ago only hear the rest.
        """
        for student, curves in self._open.items():
            if curves is self.session.curves:
                continue
            own = "FINISHED" if student in self._done and student != failed else status
            begun_here = curves.run_id in self._begun
            if curves.close(own if begun_here else "", seconds) and begun_here:
                try:
                    with quiet():
                        self._client.set_terminated(curves.run_id, own)
                except Exception as error:  # whatever the store raises: the work is done
                    logger.warning("MLflow was not told that %s is done: %s", student, reason(error))

    def _opened(self, find: Callable[[], str | None]) -> LiveCurves:
        """Curves of the run that `find` gives; the session's, if there is none or MLflow does not answer."""
        try:
            with quiet():
                run_id = find()
        except Exception as error:  # whatever the store raises
            logger.warning("MLflow gives no run to a student (%s); this session's hears of it", reason(error))
            run_id = None
        if run_id is None or run_id == self.session.run_id:
            return self.session.curves
        return LiveCurves(run_id, self.session.unsent)

    def _new(self, student: str) -> str:
        tags = {"scale": self.session.scale, ROW: student}
        run = self._client.create_run(self.session.experiment, tags=tags, run_name=student)
        self._begun.add(run.info.run_id)
        return run.info.run_id
