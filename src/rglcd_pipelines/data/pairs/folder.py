"""Clean pairs as `ingest` left them: shards to read, the table of what was seen, and a check of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rglcd_pipelines.artifacts import Artifact, digest_file, open_artifact
from rglcd_pipelines.data.shards import Damage, Sample, read_shard
from rglcd_pipelines.errors import DataError


@dataclass(frozen=True)
class Shard:
    """One tar of pairs, as the manifest describes it."""

    path: Path
    samples: int
    bytes: int
    sha256: str


class Pairs:
    """A "pairs" artifact, typed."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        folder, manifest = artifact.path, artifact.manifest
        self.shards = [
            Shard(folder / shard["name"], shard["samples"], shard["bytes"], shard["sha256"])
            for shard in manifest["shards"]
        ]
        self.counts: dict[str, Any] = dict(manifest["counts"])
        self._table: dict[str, Any] = dict(manifest["table"])

    @classmethod
    def open(cls, path: Path) -> "Pairs":
        return cls(open_artifact(path, "pairs"))

    def __len__(self) -> int:
        return sum(shard.samples for shard in self.shards)

    def table(self, columns: list[str] | None = None) -> pa.Table:
        """One row for everything that was seen, kept or not; `table.py` tells the columns."""
        return pq.read_table(self.artifact.path / self._table["name"], columns=columns)

    def read(self, index: int) -> Iterator[Sample]:
        """The pairs of shard `index`, in order."""
        shard = self.shards[index]
        count = 0
        if not shard.path.is_file():
            raise self._damaged(shard.path, "is missing")
        for item in read_shard(shard.path):
            if isinstance(item, Damage):
                raise self._damaged(shard.path, f"is damaged ({item.reason} at {item.key})")
            count += 1
            yield item
        if count != shard.samples:
            raise self._damaged(shard.path, f"holds {count} pairs instead of {shard.samples}")

    def verify(self) -> None:
        """Compare every file with the digest that the manifest has of it."""
        for shard in self.shards:
            self._verify(shard.path, shard.bytes, shard.sha256)
        table = self._table
        self._verify(self.artifact.path / table["name"], table["bytes"], table["sha256"])

    def _verify(self, path: Path, size: int, sha256: str) -> None:
        if not path.is_file():
            raise self._damaged(path, "is missing")
        if path.stat().st_size != size:
            raise self._damaged(path, f"has {path.stat().st_size} bytes instead of {size}")
        if digest_file(path) != sha256:
            raise self._damaged(path, "is not what was written: its digest differs")

    def _damaged(self, path: Path, how: str) -> DataError:
        return DataError(
            f"{path}: {how}. Remove the folder {self.artifact.path} and make it again with: "
            "kedro run --pipeline=ingest"
        )
