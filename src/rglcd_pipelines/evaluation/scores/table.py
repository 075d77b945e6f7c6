"""The scores of one model's samples: a row a sample, features for distances, and the figures of it all.

`scores.parquet` has the columns `column`, `set`, `group`, `key`, `repeat` and then one a measure (float32,
null where a sample was not measured); `features/COLUMN-SET.npy` has the features of a column and a set, in
the prompts' order; `scores.json` has all else.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from rglcd_pipelines.artifacts import Artifact, atomic_file, explain_full_disk, write_json
from rglcd_pipelines.errors import DataError, first_line
from rglcd_pipelines.evaluation.generate.column import Column

ROWS, BODY, FEATURES = "scores.parquet", "scores.json", "features"

KEYS = pa.schema(
    [
        pa.field("column", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
    ]
)
"""What names a sample, before the measures."""


@dataclass(frozen=True)
class Measure:
    """What one figure of a sample, or of a set of them, means."""

    label: str
    """As a reader is told it, e.g. "hps-mini"."""
    better: Literal["high", "low", "reference"]
    """Which way is good; "reference": the nearer to the plain LCM's level, the better."""
    about: str
    """One sentence."""
    role: str
    """"optimised", "held_out", "gold", "watch", "distance", "judge" or "diversity"."""
    scale: float = 1.0
    """What a reader's number is multiplied by; rows and figures are as they were measured."""
    digits: int = 2
    """After the point, of a reader's number."""


@dataclass(frozen=True)
class Figure:
    """A number of a column, a set and a group ("": all of it), with its 95 % interval if there is one."""

    column: str
    set: str
    group: str
    measure: str
    value: float
    low: float | None
    high: float | None
    count: int
    """Of samples."""
    deviation: float | None = None
    """Of the benchmark's chunk means, where its protocol has them."""


@dataclass(frozen=True)
class _Body:
    name: str
    columns: dict[str, Column]
    measures: dict[str, Measure]
    figures: list[Figure]
    facts: dict[str, Any]


_BODY = TypeAdapter(_Body)


@dataclass(frozen=True)
class Scores:
    """Of one model."""

    name: str
    path: Path
    columns: dict[str, Column]
    measures: dict[str, Measure]
    figures: list[Figure]
    facts: dict[str, Any] = field(default_factory=dict)
    """What is known of the model, such as `seconds_per_image` by column."""

    @classmethod
    def open(cls, artifact: Artifact) -> "Scores":
        """Read what is told of the model; rows and features are read when they are asked for."""
        file = artifact.path / BODY
        with _told(file):
            body = _BODY.validate_json(file.read_bytes())
        return cls(body.name, artifact.path, body.columns, body.measures, body.figures, body.facts)

    def figure(self, column: str, set: str, measure: str, group: str = "") -> Figure | None:
        return self._by_name.get((column, set, group, measure))

    def values(self, column: str, set: str, measure: str, group: str | None = None) -> NDArray[np.float64]:
        """Of each sample, in the prompts' order; NaN where it was not measured."""
        file = self.path / ROWS
        if measure not in self._rows.column_names:
            raise DataError(f"{file}: {self.name} has no scores of {measure}; {_ANEW}")
        part = self.rows(column, set, group)
        return part[measure].to_numpy(zero_copy_only=False).astype(np.float64)

    def measured(self, column: str, set: str, measure: str) -> bool:
        """Whether any sample of a column and a set has such a score."""
        if measure not in self._rows.column_names:
            return False
        scores = self.rows(column, set)[measure]
        return len(scores) > scores.null_count

    def rows(self, column: str, set: str, group: str | None = None) -> pa.Table:
        """All that is known of the samples of a column and a set, in the prompts' order."""
        part = self._parts.get((column, set))
        if part is None:
            return self._rows.slice(0, 0)
        if group is None:
            return part
        return part.filter(pa.array(np.asarray(part["group"].to_pylist(), dtype=object) == group))

    def groups(self, column: str, set: str) -> list[str]:
        """In the prompts' order."""
        return list(dict.fromkeys(self.rows(column, set)["group"].to_pylist()))

    def features(self, column: str, set: str) -> NDArray[np.float32] | None:
        """[N, D], or None where none were kept."""
        file = self.path / FEATURES / _features_name(column, set)
        if not file.is_file():
            return None
        with _told(file):
            features = np.load(file, allow_pickle=False)
        rows = self.rows(column, set).num_rows
        if features.ndim != 2 or len(features) != rows:
            raise DataError(
                f"{file}: features of shape {features.shape}, but {ROWS} has {rows} samples of "
                f"{column} and {set}; {_ANEW}"
            )
        return features

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, str, str], Figure]:
        return {(one.column, one.set, one.group, one.measure): one for one in self.figures}

    @cached_property
    def _rows(self) -> pa.Table:
        file = self.path / ROWS
        with _told(file):
            rows = pq.read_table(file)
        problem = _problem(rows, self.columns, self.measures)
        if problem:
            raise DataError(f"{file}: {problem}; {_ANEW}")
        return rows

    @cached_property
    def _parts(self) -> dict[tuple[str, str], pa.Table]:
        names = list(zip(self._rows["column"].to_pylist(), self._rows["set"].to_pylist(), strict=True))
        places: dict[tuple[str, str], list[int]] = {}
        for place, name in enumerate(names):
            places.setdefault(name, []).append(place)
        return {name: self._rows.take(found) for name, found in places.items()}


def write_scores(
    folder: Path,
    name: str,
    columns: Mapping[str, Column],
    measures: Mapping[str, Measure],
    rows: pa.Table,
    features: Mapping[tuple[str, str], NDArray[Any]],
    figures: Sequence[Figure],
    facts: Mapping[str, Any],
) -> None:
    """All of it into `folder`, a draft's; `features` are by (column, set)."""
    rows = _ordered(rows)
    problem = _problem(rows, columns, measures)
    if problem:
        raise ValueError(f"scores of {name}: {problem}")
    _check_features(rows, features)
    body = _Body(name, dict(columns), dict(measures), list(figures), dict(facts))
    _check_figures(body)
    (folder / FEATURES).mkdir(parents=True, exist_ok=True)
    for (column, set_name), array in features.items():
        file = folder / FEATURES / _features_name(column, set_name)
        with explain_full_disk(file), atomic_file(file) as stream:
            np.save(stream, np.ascontiguousarray(array, np.float32), allow_pickle=False)
    with atomic_file(folder / ROWS) as stream:
        pq.write_table(rows, stream, compression="zstd")
    write_json(folder / BODY, asdict(body))


_ANEW = "remove its folder and score the samples again with kedro run --pipeline=evaluate"


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Whatever is wrong with a file is told by its name."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{file}: is missing; {_ANEW}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{file}: is damaged ({where}: {first['msg']}); {_ANEW}") from None
    except (OSError, ValueError, EOFError, pa.ArrowException) as error:
        raise DataError(f"{file}: is damaged ({first_line(error)}); {_ANEW}") from None


def _ordered(rows: pa.Table) -> pa.Table:
    """Keys first, and every measure as float32."""
    scores = [name for name in rows.column_names if name not in KEYS.names]
    schema = pa.schema([*KEYS, *(pa.field(name, pa.float32()) for name in scores)])
    return rows.select(schema.names).cast(schema)


def _problem(rows: pa.Table, columns: Mapping[str, Column], measures: Mapping[str, Measure]) -> str | None:
    """What is wrong with a table of scores, if anything is."""
    missing = [name for name in KEYS.names if name not in rows.column_names]
    if missing:
        return f"has no column {', '.join(missing)}"
    scores = [name for name in rows.column_names if name not in KEYS.names]
    unknown = [name for name in scores if name not in measures]
    if unknown:
        return f"has scores of {', '.join(unknown)}, which {BODY} does not tell of"
    for name in scores:
        if np.isnan(rows[name].drop_null().to_numpy()).any():
            return f"has scores of {name} that are not numbers"
    strange = sorted(set(rows["column"].to_pylist()) - set(columns))
    if strange:
        return f"has samples of column {', '.join(strange)}, which {BODY} does not tell of"
    seen: set[tuple[str, str]] = set()
    for name in zip(rows["column"].to_pylist(), rows["key"].to_pylist(), strict=True):
        if name in seen:
            return f"has the sample {name[1]} of column {name[0]} twice"
        seen.add(name)
    return None


def _check_figures(body: _Body) -> None:
    """A figure that is no number would be read by nobody."""
    for one in body.figures:
        if not all(math.isfinite(value) for value in (one.value, one.low, one.high) if value is not None):
            raise ValueError(f"scores of {body.name}: {one} is not a number")
        if one.measure not in body.measures or one.column not in body.columns:
            raise ValueError(f"scores of {body.name}: {one} is of a measure or a column that is not told of")


def _check_features(rows: pa.Table, features: Mapping[tuple[str, str], NDArray[Any]]) -> None:
    names = list(zip(rows["column"].to_pylist(), rows["set"].to_pylist(), strict=True))
    if len({_features_name(*name) for name in features}) < len(features):
        raise ValueError(f"two of these would be kept in one file: {sorted(features)}")
    for name, array in features.items():
        if array.ndim != 2 or len(array) != names.count(name):
            raise ValueError(f"features {array.shape} of {names.count(name)} samples of {name}")


def _features_name(column: str, set_name: str) -> str:
    return f"{column}-{set_name}.npy"
