"""The table of `ingest`: one row for everything that was seen, kept or not, and why not.

It is written in parts, one as each output shard is finished, and put together at the end, so that a run of
eleven million rows holds few of them at a time and a killed one loses none.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rglcd_pipelines.artifacts import atomic_file
from rglcd_pipelines.data.pairs.examine import Row

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("output_key", pa.string()),
        pa.field("caption", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("digest", pa.string()),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
    ]
)
"""key: in the input shard; shard: the input's name; output_key: in the output, null where rejected;
caption: normalised, null where it is what was rejected; width, height: null where the image was not decoded;
digest: SHA-256 of the image's bytes; reason: null where kept."""

BATCH = 8192


class TableDraft:
    """Rows that wait for their output shard to be finished, in Arrow's memory but for the newest few."""

    def __init__(self) -> None:
        self._rows: list[tuple[object, ...]] = []
        self._batches: list[pa.RecordBatch] = []

    def __len__(self) -> int:
        return len(self._rows) + sum(batch.num_rows for batch in self._batches)

    def add(self, row: Row, shard: str, output_key: str | None, reason: str | None) -> None:
        digest = row.digest.hex() if row.digest else None
        kept = reason is None
        self._rows.append(
            (row.key, shard, output_key, row.caption, row.width, row.height, digest, kept, reason)
        )
        if len(self._rows) == BATCH:
            self._pack()

    def write(self, path: Path) -> None:
        """All rows that wait, as a part at `path`; none waits afterwards."""
        self._pack()
        with atomic_file(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
            writer.write_table(pa.Table.from_batches(self._batches, SCHEMA))
        self._batches = []

    def _pack(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
            self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
            self._rows = []


def merge_parts(parts: Sequence[Path], path: Path) -> int:
    """One table of all parts, in order; returns its rows."""
    rows = 0
    with atomic_file(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for part in parts:
            table = pq.read_table(part, schema=SCHEMA)
            writer.write_table(table)
            rows += table.num_rows
    return rows


def kept_of(part: Path) -> Iterator[tuple[str, bytes]]:
    """The key and the image digest of each pair that a part says was kept."""
    table = pq.read_table(part, columns=["key", "digest", "kept"])
    for key, digest, kept in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if kept:
            yield key, bytes.fromhex(digest)
