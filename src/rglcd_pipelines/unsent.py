"""What MLflow could not be told yet: a file for each run, one JSON object a line, its pictures beside it."""

import fcntl
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from PIL import Image

from rglcd_pipelines.errors import DataError, first_line


@dataclass(frozen=True)
class Record:
    """Something to tell MLflow about a run; what is empty is not told."""

    time: int
    """Milliseconds since 1970. MLflow takes the same figure of the same time only once."""
    step: int | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    """How the run ended."""
    picture: str = ""
    """The name of `image`; with a step it is one of a series, without one a file of its own."""
    image: Image.Image | Path | None = None


@dataclass(frozen=True)
class Unsent:
    """What one such file holds."""

    run_id: str
    tracking_uri: str
    records: list[Record]


class UnsentFile:
    """The file of one run. Nobody else sends what is in it before it is removed or released."""

    def __init__(self, folder: Path, run_id: str, tracking_uri: str) -> None:
        names = chain([run_id], (f"{run_id}.{again}" for again in count(2)))  # the same run went on
        self.path = next(path for name in names if not (path := folder / f"{name}.jsonl").exists())
        self._header = {"run": run_id, "tracking_uri": _portable(tracking_uri)}
        self._file: TextIO | None = None

    def append(self, records: Sequence[Record]) -> list[Record]:
        """The same records, kept; their pictures need no memory any more."""
        if self._file is None:
            self._file = self._open()
        kept = [self._without_image(record) for record in records]
        self._file.writelines(_line(_compact(record)) for record in kept)
        self._file.flush()
        return kept

    def remove(self) -> None:
        if self._file is not None:
            self.release()
            remove(self.path)

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> TextIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a", encoding="utf-8")
        with suppress(OSError):  # some network disks know no locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.write(_line(self._header))
        return file

    def _without_image(self, record: Record) -> Record:
        if not isinstance(record.image, Image.Image):
            return record
        beside = self.path.with_name(f"{self.path.stem}-{uuid.uuid4().hex[:12]}.png")
        record.image.save(beside)
        return replace(record, image=beside)


@contextmanager
def opened(path: Path) -> Iterator[Unsent]:
    """What a run left unsent. A file whose run still goes on, or that somebody just sends, is refused."""
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield _read(path, file.read())
    except BlockingIOError:
        raise DataError(f"{path}: a run that is under way holds this file, and will send it") from None
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; maybe it was sent already") from None


def remove(path: Path) -> None:
    """The file and its pictures, and the folder when it was the last."""
    for picture in path.parent.glob(f"{path.stem}-*.png"):
        picture.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()


def _read(path: Path, text: str) -> Unsent:
    header, records = {}, []
    for line in text.split("\n"):
        with suppress(ValueError):  # the line that a killed run was just writing
            entry = json.loads(line)
            if "run" in entry:
                header = entry
            else:
                records.append(_record(path, entry))
    try:
        return Unsent(header["run"], header["tracking_uri"], records)
    except KeyError as error:
        raise DataError(f"{path}: does not say which run it belongs to ({first_line(error)})") from None


def _record(path: Path, entry: dict[str, Any]) -> Record:
    if "image" in entry:
        entry["image"] = path.parent / entry["image"]
    try:
        return Record(**entry)
    except TypeError as error:
        raise DataError(f"{path}: {first_line(error)}; was it written by another version?") from None


def _compact(record: Record) -> dict[str, Any]:
    told = {named.name: getattr(record, named.name) for named in fields(record)}
    if isinstance(record.image, Path):
        told["image"] = record.image.name
    return {name: value for name, value in told.items() if value or value == 0}


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, default=str) + "\n"  # numpy's numbers are none of json's


def _portable(uri: str) -> str:
    """The address as it is understood from any folder, and without a password."""
    local = "sqlite:///"
    if uri.startswith(local):
        return local + str(Path(uri.removeprefix(local)).absolute())
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    return parts._replace(netloc=f"{parts.username}@{parts.netloc.rpartition('@')[2]}").geturl()
