"""Curves of trainings on their way to MLflow, while they are drawn."""

import logging
import re
import time
from collections.abc import Mapping

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

SECONDS_BETWEEN_BATCHES = 5.0
BATCH = 500
"""Figures sent at once; MLflow takes no more than 1,000."""

NOT_IN_NAMES = re.compile(r"[^\w\-.:/ ]", re.ASCII)
"""What MLflow takes in no name; one such name, and it takes nothing of a batch."""

logger = logging.getLogger(__name__)


class LiveCurves:
    """Listens to `rglcd_pipelines.curves` and sends what it hears every few seconds."""

    def __init__(self, run_id: str) -> None:
        self.stage = ""
        """Whose figures they are: the first part of their names."""
        self._run_id = run_id
        self._client = MlflowClient()
        self._waiting: list[Metric] = []
        self._sent = time.monotonic()

    def __call__(self, name: str, step: int, figures: Mapping[str, float]) -> None:
        now = round(1000 * time.time())
        prefix = f"{self.stage}/{name}" if self.stage else name
        for key, value in figures.items():
            self._waiting.append(Metric(NOT_IN_NAMES.sub("", f"{prefix}/{key}"), value, now, step))
        if time.monotonic() - self._sent > SECONDS_BETWEEN_BATCHES:
            self.flush()

    def flush(self) -> None:
        """Send what waits; hours of training are not lost because a tracker did not answer."""
        waiting, self._waiting = self._waiting, []
        self._sent = time.monotonic()
        for first in range(0, len(waiting), BATCH):
            try:
                self._client.log_batch(self._run_id, metrics=waiting[first : first + BATCH])
            except MlflowException as error:
                logger.warning("MLflow did not take %d figures of a curve: %s", len(waiting) - first, error)
                return
