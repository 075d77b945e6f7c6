"""The file format of latents: one Arrow IPC file a shard of pairs, and what is known of its numbers.

A file is uncompressed and holds one record batch, so that a row of the mapped file is a row of the array. The
schema's metadata carries the latents' shape and dtype: a file says by itself how its bytes are to be read.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rglcd_pipelines.artifacts import atomic_file, digest_file

DTYPES = ("float16", "float32")
TEXTS = ("key", "caption", "meta")
NUMBERS = ("width", "height", "crop_top", "crop_left")

_CHUNK_VALUES = 2**21
"""Statistics look at this many values at a time: as float64 a whole file would take four times its size."""


@dataclass(frozen=True)
class Statistics:
    """What a file's latents add up to, channel by channel; values that are not finite are only counted."""

    count: tuple[int, ...]
    sum: tuple[float, ...]
    squares: tuple[float, ...]
    min: tuple[float, ...]
    max: tuple[float, ...]
    nonfinite: tuple[int, ...]

    @classmethod
    def of(cls, latents: np.ndarray) -> "Statistics":
        """Of latents (n, C, H, W); equal latents give equal statistics, to the last bit."""
        channels = latents.shape[1]
        rows = max(1, _CHUNK_VALUES // max(1, math.prod(latents.shape[1:])))
        chunks = [_chunk(latents[start : start + rows]) for start in range(0, len(latents), rows)]
        return cls.merge(chunks) if chunks else _nothing(channels)

    @classmethod
    def merge(cls, parts: Sequence["Statistics"]) -> "Statistics":
        """Of everything together; sums are rounded once, so the order of the parts does not matter."""
        if len({len(part.count) for part in parts}) != 1:
            raise ValueError(
                "statistics can be merged if there is at least one and all have the same channels"
            )
        channels = range(len(parts[0].count))
        return cls(
            count=tuple(sum(part.count[c] for part in parts) for c in channels),
            sum=tuple(math.fsum(part.sum[c] for part in parts) for c in channels),
            squares=tuple(math.fsum(part.squares[c] for part in parts) for c in channels),
            min=tuple(min(part.min[c] for part in parts) for c in channels),
            max=tuple(max(part.max[c] for part in parts) for c in channels),
            nonfinite=tuple(sum(part.nonfinite[c] for part in parts) for c in channels),
        )

    def summary(self) -> dict[str, Any]:
        """As the manifest has it; a channel without one finite value has null for its figures."""
        channels = range(len(self.count))
        return {
            "mean": [self.sum[c] / self.count[c] if self.count[c] else None for c in channels],
            "std": [self._std(c) for c in channels],
            "min": [_or_null(value) for value in self.min],
            "max": [_or_null(value) for value in self.max],
            "nonfinite": sum(self.nonfinite),
        }

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"min": [_or_null(v) for v in self.min], "max": [_or_null(v) for v in self.max]}

    @classmethod
    def from_json(cls, value: Any) -> "Statistics":
        return cls(
            count=tuple(value["count"]),
            sum=tuple(value["sum"]),
            squares=tuple(value["squares"]),
            min=tuple(math.inf if v is None else v for v in value["min"]),
            max=tuple(-math.inf if v is None else v for v in value["max"]),
            nonfinite=tuple(value["nonfinite"]),
        )

    def _std(self, c: int) -> float | None:
        if not self.count[c]:
            return None
        if self.min[c] == self.max[c]:  # the difference below would leave a constant channel some 1e-9
            return 0.0
        mean = self.sum[c] / self.count[c]
        return math.sqrt(max(0.0, self.squares[c] / self.count[c] - mean * mean))


@dataclass(frozen=True)
class LatentFile:
    """A file that was written: what the manifest lists, and its statistics."""

    name: str
    samples: int
    bytes: int
    sha256: str
    statistics: Statistics

    def as_json(self) -> dict[str, Any]:
        return {**self.listed(), "statistics": self.statistics.as_json()}

    @classmethod
    def from_json(cls, value: Any) -> "LatentFile":
        return cls(**{**value, "statistics": Statistics.from_json(value["statistics"])})

    def listed(self) -> dict[str, Any]:
        """Its entry among the manifest's "files"."""
        return {"name": self.name, "samples": self.samples, "bytes": self.bytes, "sha256": self.sha256}


def latent_schema(shape: Iterable[int], dtype: str) -> pa.Schema:
    """The schema of a file of latents (C, H, W)."""
    shape = [int(size) for size in shape]
    width = math.prod(shape) * np.dtype(dtype).itemsize
    return pa.schema(
        [(name, pa.string()) for name in TEXTS]
        + [(name, pa.int32()) for name in NUMBERS]
        + [("latent", pa.binary(width))],
        metadata={"shape": json.dumps(shape), "dtype": dtype},
    )


def write_latents(
    path: Path,
    *,
    keys: list[str],
    captions: list[str],
    metas: list[str],
    sizes: np.ndarray,
    crops: np.ndarray,
    latents: np.ndarray,
) -> LatentFile:
    """A file of latents (n, C, H, W) at `path`, whole or not at all; equal columns give equal bytes.

    `metas` are JSON texts or "", `sizes` (n, 2) the width and height of the original image, `crops` (n, 2)
    the top and left of the crop in the resized image.
    """
    samples = len(keys)
    lengths = {len(column) for column in (keys, captions, metas, sizes, crops, latents)}
    if (
        lengths != {samples}
        or latents.ndim != 4
        or sizes.shape != (samples, 2)
        or crops.shape != (samples, 2)
    ):
        raise ValueError(f"columns of {sorted(lengths)} rows, latents {latents.shape}, sizes {sizes.shape}")
    if latents.dtype.name not in DTYPES:
        raise ValueError(f"latents are kept as {' or '.join(DTYPES)}, not {latents.dtype}")
    schema = latent_schema(latents.shape[1:], latents.dtype.name)
    values = pa.py_buffer(np.ascontiguousarray(latents))
    numbers = np.concatenate([sizes, crops], axis=1).astype(np.int32, casting="same_kind")
    batch = pa.record_batch(
        [pa.array(texts, pa.string()) for texts in (keys, captions, metas)]
        + [pa.array(np.ascontiguousarray(column)) for column in numbers.T]
        + [pa.Array.from_buffers(schema.field("latent").type, samples, [None, values])],
        schema=schema,
    )
    if any(column.null_count for column in batch.columns):
        raise ValueError("keys, captions and metas are texts; None is none")
    with atomic_file(path) as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(batch)
    return LatentFile(path.name, samples, path.stat().st_size, digest_file(path), Statistics.of(latents))


def _chunk(latents: np.ndarray) -> Statistics:
    values = latents.astype(np.float64).swapaxes(0, 1).reshape(latents.shape[1], -1)
    finite = np.isfinite(values)
    zeroed = values if finite.all() else np.where(finite, values, 0.0)
    count = finite.sum(axis=1)
    return Statistics(
        count=tuple(count.tolist()),
        sum=tuple(zeroed.sum(axis=1).tolist()),
        squares=tuple(np.square(zeroed).sum(axis=1).tolist()),
        min=tuple(values.min(axis=1, initial=math.inf, where=finite).tolist()),
        max=tuple(values.max(axis=1, initial=-math.inf, where=finite).tolist()),
        nonfinite=tuple((values.shape[1] - count).tolist()),
    )


def _nothing(channels: int) -> Statistics:
    none = (0,) * channels
    zero = (0.0,) * channels
    return Statistics(none, zero, zero, (math.inf,) * channels, (-math.inf,) * channels, none)


def _or_null(value: float) -> float | None:
    """JSON has no infinity, which is the least of no values."""
    return value if math.isfinite(value) else None
