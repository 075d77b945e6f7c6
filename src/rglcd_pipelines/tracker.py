"""Records on their way into a run of MLflow, as often as it takes: what arrived before arrives only once."""

import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES
from PIL import Image, UnidentifiedImageError

from rglcd_pipelines.errors import first_line
from rglcd_pipelines.unsent import Record, Unsent, opened, remove

BATCH = 100
"""Records sent at once."""

WAITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""A server that is gone is told from one that is slow in seconds; MLflow's own defaults take minutes."""

NOT_IN_NAMES = re.compile(r"[^\w\-.:/ ]", re.ASCII)
"""What MLflow takes in no name; one such name, and it takes nothing of a batch."""

NOT_IN_PICTURES = re.compile(r"[^\w\-./ ]", re.ASCII)
"""The same for names of pictures."""

CHATTY = ("urllib3.connectionpool", "mlflow.store.db.utils")
"""They tell each attempt that fails, some with a traceback."""

logger = logging.getLogger(__name__)
_quiet_threads: set[int] = set()


def limit_waits() -> None:
    """Unless the user says otherwise, as long as this process lives."""
    for name, value in WAITS.items():
        os.environ.setdefault(name, value)


@contextmanager
def quiet() -> Iterator[None]:
    """What this thread asks of MLflow in vain is told by whoever asks, and by nobody else."""
    for name in CHATTY:
        logging.getLogger(name).addFilter(_is_loud)
    thread = threading.get_ident()
    _quiet_threads.add(thread)
    try:
        yield
    finally:
        _quiet_threads.discard(thread)


def _is_loud(record: logging.LogRecord) -> bool:
    return record.thread not in _quiet_threads


class Tracker:
    """One run of MLflow's, to be told records."""

    def __init__(self, run_id: str, tracking_uri: str | None = None) -> None:
        self.tracking_uri = tracking_uri or mlflow.get_tracking_uri()
        self._run_id = run_id
        self._client = MlflowClient(self.tracking_uri)
        self._refused = False

    def send(self, records: Sequence[Record], again: bool) -> None:
        """Tell records, `again` if some may have arrived before; raises if MLflow does not answer.

        What it will never take is left out, so that all else arrives.
        """
        try:
            self._send(records, again)
        except Exception as error:  # what stores of runs and of files raise has no common base
            if not _is_refusal(error):
                raise
            if len(records) > 1:
                for record in records:
                    self.send([record], again)
            elif not self._refused:
                self._refused = True
                name = records[0].picture or ", ".join([*records[0].figures, *records[0].params])
                logger.warning("MLflow does not take %s: %s", name, first_line(error))

    def _send(self, records: Sequence[Record], again: bool) -> None:
        self._client.log_batch(
            self._run_id,
            metrics=[
                Metric(NOT_IN_NAMES.sub("", name), float(value), record.time, record.step or 0)
                for record in records
                for name, value in record.figures.items()
            ],
            params=[Param(*param) for record in records for param in record.params.items()],
            tags=[RunTag(*tag) for record in records for tag in record.tags.items()],
            synchronous=True,  # whatever MLFLOW_ENABLE_ASYNC_LOGGING says: the thread is ours already
        )
        for record in records:
            if record.picture:
                self._send_picture(record, again)
            if record.status:
                self._client.set_terminated(self._run_id, record.status, record.time)

    def _send_picture(self, record: Record, again: bool) -> None:
        image = record.image
        if isinstance(image, Path):
            image = Image.open(image)
        assert image is not None
        name = NOT_IN_PICTURES.sub("", record.picture)
        if record.step is None:
            self._client.log_image(self._run_id, image, f"{name}.png", synchronous=True)
        elif again and self._has_picture(name, record):
            # The last thing that `log_image` does.
            self._client.set_tag(self._run_id, MLFLOW_LOGGED_IMAGES, True, synchronous=True)
        else:
            self._client.log_image(
                self._run_id, image, key=name, step=record.step, timestamp=record.time, synchronous=True
            )

    def _has_picture(self, name: str, record: Record) -> bool:
        """Whether MLflow has it in both of its sizes; it names each attempt differently."""
        start = f"{name.replace('/', '~')}+step+{record.step}+timestamp+{record.time}+"
        there = [Path(file.path).name for file in self._client.list_artifacts(self._run_id, "images")]
        return any(file.startswith(start) and "+compressed" in file for file in there)


def send_file(path: Path, tracking_uri: str | None = None) -> Unsent:
    """Send what a run left unsent, to where it says or to another address of the same database."""
    with opened(path) as unsent:
        tracker = Tracker(unsent.run_id, tracking_uri or unsent.tracking_uri)
        words = [record for record in unsent.records if not record.picture]
        pictures = [record for record in unsent.records if record.picture]
        for first in range(0, len(words), BATCH):
            tracker.send(words[first : first + BATCH], again=True)
        for record in pictures:
            tracker.send([record], again=True)
        remove(path)
        return unsent


def reason(error: Exception) -> str:
    """Why MLflow did not answer, in one line: of what HTTP says, the server and the last word."""
    line = re.sub(r"//[^/@\s]*@", "//", first_line(error))  # no passwords
    request = re.match(r"API request to (\S+?)/api/", line)
    if request is None:
        return line
    last = line.rpartition(": ")[2].strip('")')
    return f"{request[1]}: {last}"


def is_unknown(error: Exception) -> bool:
    """Whether MLflow answers, but has no such run."""
    return isinstance(error, MlflowException) and error.error_code == "RESOURCE_DOES_NOT_EXIST"


def _is_refusal(error: Exception) -> bool:
    """Whether asking again is of no use."""
    if isinstance(error, MlflowException):
        return error.error_code == "INVALID_PARAMETER_VALUE"
    if isinstance(error, OSError):  # of requests, too, though some of it is a ValueError as well
        return isinstance(error, FileNotFoundError | UnidentifiedImageError)
    return isinstance(error, ValueError | TypeError)
