"""The judge's marks on disk, so that no picture is paid for twice."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rglcd_pipelines.artifacts import canonical_json
from rglcd_pipelines.rewards.judge.prompts import MalformedAnswerError, Marks, marks_of
from rglcd_pipelines.rewards.judge.store import Store

FILE = "verdicts.sqlite"
SCHEMA = """CREATE TABLE IF NOT EXISTS verdicts
    (key TEXT PRIMARY KEY, model TEXT NOT NULL, marks TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID"""
AT_ONCE = 500
"""Keys in one query; SQLite has a limit."""


def key_of(identity: Mapping[str, Any], caption: str, picture: NDArray[np.uint8]) -> str:
    """Of one question to one judge. Of pixels [H, W, 3]: a PNG file's bytes differ between libraries."""
    told = json.dumps([dict(identity), caption, list(picture.shape)], sort_keys=True)
    return hashlib.sha256(told.encode() + b"\0" + picture.tobytes()).hexdigest()


class Cache:
    """What is in there stays; the first answer counts."""

    def __init__(self, folder: Path, where: str) -> None:
        self._store = Store(folder / FILE, SCHEMA, "every picture is paid for again", where)

    def read(self, keys: Iterable[str]) -> dict[str, Marks]:
        """Those of the keys that are known."""
        wanted = list(dict.fromkeys(keys))
        rows: list[tuple[str, str, str]] = []
        with self._store.transaction() as base:
            for start in range(0, len(wanted), AT_ONCE):
                part = wanted[start : start + AT_ONCE]
                marks = ",".join("?" * len(part))
                rows += base.execute(
                    f"SELECT key, marks, digest FROM verdicts WHERE key IN ({marks})", part
                ).fetchall()
        return {key: self._whole(key, text, digest) for key, text, digest in rows}

    def write(self, model: str, found: Mapping[str, Marks]) -> None:
        rows = [(key, model, text := canonical_json(marks._asdict()), _digest(key, text))
                for key, marks in found.items()]  # fmt: skip
        with self._store.transaction() as base:
            base.executemany("INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?)", rows)

    def _whole(self, key: str, text: str, digest: str) -> Marks:
        """SQLite notices damage to its own tables, but not to what is written in them."""
        try:
            if digest == _digest(key, text):
                return marks_of(json.loads(text))
        except (ValueError, MalformedAnswerError, TypeError, AttributeError):
            pass
        raise self._store.damaged(f"the entry {key} was changed")


def _digest(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}{text}".encode()).hexdigest()[:16]
