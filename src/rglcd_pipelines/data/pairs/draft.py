"""Pairs in the making: which rows are kept, and the output shards they fill one after another.

What a killed run needs to go on lies beside the draft, in `NAME.parts`: the table's parts and `state.json`,
which is written last each time a shard is finished and says how far the input had been used up by then.
"""

import hashlib
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from rglcd_pipelines.artifacts import digest_file, explain_full_disk, write_json
from rglcd_pipelines.data.pairs.duplicates import DigestSet
from rglcd_pipelines.data.pairs.examine import Row, printable
from rglcd_pipelines.data.pairs.rules import Rules
from rglcd_pipelines.data.pairs.table import TableDraft, kept_of, merge_parts
from rglcd_pipelines.data.shards import Sample, read_shard, write_shard
from rglcd_pipelines.errors import DataError

TABLE = "table.parquet"

logger = logging.getLogger(__name__)


class State(BaseModel):
    """How far a run has come, as of its last finished output shard."""

    inputs: int = 0
    """Input shards that are used up."""
    items: int = 0
    """Items of the next one that are."""
    parts: int = 0
    shards: list[dict[str, Any]] = Field(default_factory=list)
    seen: int = 0
    kept: int = 0
    reasons: dict[str, int] = Field(default_factory=dict)
    lost: dict[str, int] = Field(default_factory=dict)
    complete: bool = False
    """Whether no input is left to be used."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A pair that was kept, and where its bytes are."""

    path: Path
    item: int
    key: str
    caption: str
    extension: str


class PairsDraft:
    """Takes rows in order and leaves finished shards and the table in `folder`."""

    def __init__(self, folder: Path, rules: Rules, samples: int | None, samples_per_shard: int) -> None:
        self.folder = folder
        self._rules, self._samples, self._per_shard = rules, samples, samples_per_shard
        self._parts = folder.with_name(f"{folder.name}.parts")
        self._table = TableDraft()
        self._chosen: list[_Chosen] = []
        self._inputs = _ForwardReader()
        self.state = self._read_state()
        self._reasons = Counter(self.state.reasons)
        self._keys, self._images = DigestSet(), DigestSet()
        for number in range(self.state.parts):
            for key, digest in kept_of(self._part(number)):
                self._remember(key, digest)

    @property
    def is_full(self) -> bool:
        return self._samples is not None and self.state.kept >= self._samples

    @property
    def reasons(self) -> dict[str, int]:
        """Why pairs were rejected, the most frequent reason first."""
        return dict(sorted(self._reasons.items(), key=lambda entry: (-entry[1], entry[0])))

    def take(self, number: int, path: Path, rows: list[Row]) -> None:
        """The rows of input shard `number`, until the draft is full, less those an earlier run used up."""
        start = self.state.items if number == self.state.inputs else 0
        for item, row in enumerate(rows[start:], start):
            self._judge(row, path, item)
            if self.is_full:
                return  # what is left to be written, `finish` writes
            if len(self._chosen) == self._per_shard:
                self._commit(number, item + 1)

    def finish(self, lost: dict[str, int]) -> None:
        """Write what is left, and the table."""
        if not self.state.complete:
            self.state.lost, self.state.complete = dict(sorted(lost.items())), True
            self._commit(self.state.inputs, self.state.items)

    def merge(self) -> dict[str, Any]:
        """Put the table together; returns what the manifest says of it."""
        path = self.folder / TABLE
        rows = merge_parts([self._part(number) for number in range(self.state.parts)], path)
        return {"name": TABLE, "rows": rows, "bytes": path.stat().st_size, "sha256": digest_file(path)}

    def forget(self) -> None:
        """Drop what only a run that goes on would need."""
        shutil.rmtree(self._parts, ignore_errors=True)

    def _judge(self, row: Row, path: Path, item: int) -> None:
        reason = row.reason or self._duplicate(row)
        key = None
        if reason is None:
            assert row.digest is not None
            assert row.caption is not None
            key = f"{self.state.kept:09d}"
            self._chosen.append(_Chosen(path, item, key, row.caption, row.extension))
            self._remember(row.key, row.digest)
            self.state.kept += 1
        else:
            self._reasons[reason] += 1
        self.state.seen += 1
        self._table.add(row, printable(path.name), key, reason)

    def _duplicate(self, row: Row) -> str | None:
        if self._rules.duplicate_keys == "reject" and _digest(row.key) in self._keys:
            return "duplicate_key"
        if self._rules.duplicate_images == "reject" and (row.digest or b"") in self._images:
            return "duplicate_image"
        return None

    def _remember(self, key: str, digest: bytes) -> None:
        if self._rules.duplicate_keys == "reject":
            self._keys.add(_digest(key))
        if self._rules.duplicate_images == "reject":
            self._images.add(digest)

    def _commit(self, inputs: int, items: int) -> None:
        """Finish an output shard and its part of the table; only then does the state know of them."""
        if self._chosen:
            path = self.folder / f"pairs-{len(self.state.shards):05d}.tar"
            samples = write_shard(path, self._samples_of(self._chosen))
            self._chosen = []
            size, digest = path.stat().st_size, digest_file(path)
            self.state.shards.append({"name": path.name, "samples": samples, "bytes": size, "sha256": digest})
        if len(self._table):
            self._table.write(self._part(self.state.parts))
            self.state.parts += 1
        self.state.inputs, self.state.items, self.state.reasons = inputs, items, self.reasons
        write_json(self._parts / "state.json", self.state.model_dump())

    def _samples_of(self, chosen: list[_Chosen]) -> Iterator[Sample]:
        for pair in chosen:
            sample = self._inputs.read(pair.path, pair.item)
            yield Sample(pair.key, sample.image, pair.extension, pair.caption.encode(), sample.meta)

    def _part(self, number: int) -> Path:
        return self._parts / f"table-{number:05d}.parquet"

    def _read_state(self) -> State:
        try:
            state = State.model_validate_json((self._parts / "state.json").read_bytes())
            if self._holds(state):
                return state
            logger.warning("%s: an earlier run's work is not what it left; it is done again", self.folder)
        except (FileNotFoundError, ValidationError):
            pass
        shutil.rmtree(self._parts, ignore_errors=True)
        for path in self.folder.iterdir():
            path.unlink()
        with explain_full_disk(self._parts):
            self._parts.mkdir()
        return State()

    def _holds(self, state: State) -> bool:
        """Whether the files that `state` speaks of are there, as large as they were."""
        shards = ((self.folder / shard["name"], shard["bytes"]) for shard in state.shards)
        return all(path.is_file() and path.stat().st_size == size for path, size in shards) and all(
            self._part(number).is_file() for number in range(state.parts)
        )


class _ForwardReader:
    """Items of shards by number. They are asked for in order, so each shard is read once, however many
    output shards it fills."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._items: Iterator[Any] = iter(())
        self._next = 0

    def read(self, path: Path, item: int) -> Sample:
        if path != self._path or item < self._next:
            self._path, self._items, self._next = path, read_shard(path), 0
        sample = next(islice(self._items, item - self._next, None), None)
        self._next = item + 1
        if not isinstance(sample, Sample) or sample.image is None:
            raise DataError(
                f"{path}: changed while it was read. Leave it alone and run the same command again."
            )
        return sample


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=8).digest()
