"""A shard as img2dataset leaves it: whether it is whole, and what did not get into it."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

# Parts of what the guard, urllib and img2dataset say, and the name under which it is counted.
_REASONS = (
    ("refused: private_host", "private_host"),
    ("refused: not_http|unknown url type", "not_http"),
    ("refused: too_large", "too_large"),
    ("HTTP Error", "http_error"),
    ("X-Robots-Tag", "disallowed"),
    ("timed out", "timeout"),
    ("image too small", "too_small"),
    ("decoding error|OpenCV", "undecodable"),
    ("urlopen error|Connection|Remote end|SSL", "unreachable"),
)


class DownloadedShard:
    """One of img2dataset's shards: NUMBER.tar, NUMBER.parquet and NUMBER_stats.json."""

    def __init__(self, folder: Path, number: int, urls: int) -> None:
        name = f"{number:05d}"
        self.tar = folder / f"{name}.tar"
        self.urls = urls
        self._table = folder / f"{name}.parquet"
        self._statistics = folder / f"{name}_stats.json"
        self._finished = False

    def is_finished(self) -> bool:
        """Whether all its URLs were tried, and all that came of it was written."""
        self._finished = self._finished or (
            self._read().get("count") == self.urls and _rows(self._table) == self.urls and _is_whole(self.tar)
        )
        return self._finished

    def forget(self) -> None:
        """Make img2dataset take it for one that was not downloaded yet: it looks at the statistics only."""
        self._statistics.unlink(missing_ok=True)

    def losses(self) -> dict[str, int]:
        statistics = self._read()
        lost = Counter[str]()
        for message, count in statistics.get("status_dict", {}).items():
            if message != "success":
                lost[_reason(message)] += count
        # Of very many different messages, img2dataset keeps the most frequent ones.
        rest = self.urls - statistics.get("successes", 0) - lost.total()
        return dict(lost + Counter(download_failed=rest))

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._statistics.read_bytes()))
        except (OSError, ValueError, TypeError):
            return {}


def _reason(message: str) -> str:
    """The name under which a failure is counted."""
    return next((name for part, name in _REASONS if re.search(part, message)), "download_failed")


def _rows(table: Path) -> int | None:
    """A sample that could not be written has no row in the table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(table).num_rows
    except (OSError, pa.ArrowException):
        return None


def _is_whole(tar: Path) -> bool:
    """A tar ends with two blocks of zeros."""
    try:
        with tar.open("rb") as file:
            file.seek(-1024, 2)
            return not any(file.read())
    except OSError:
        return False
