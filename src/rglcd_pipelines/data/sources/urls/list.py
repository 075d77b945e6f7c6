"""The TSV of URLs and captions, cleaned and cut into the lists that img2dataset reads.

img2dataset holds a whole list in memory, so there are many, of a quarter of a million rows; and a TSV that
was appended to gives further lists, while those that stand (and their shards) stay as they are.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm

from rglcd_pipelines.artifacts import atomic_file, digest_file, write_json
from rglcd_pipelines.data.sources.urls.addresses import refusal
from rglcd_pipelines.errors import DataError

MALFORMED_ROW = "malformed_row"
_MAX_ROW_BYTES = 2**20
_LIST_ROWS = 250_000


class UrlList(BaseModel):
    """What was taken from a TSV."""

    model_config = ConfigDict(frozen=True)

    tsv: str
    """The digest of the file."""
    max_urls: int | None
    read_bytes: int
    """How much of it, unpacked, was read: all, or up to the row that filled `max_urls`."""
    read_sha256: str
    lists: dict[str, int]
    """The names of the parquet files and how many URLs each holds, in order."""
    dropped: dict[str, int]
    """Rows that are in no list, by reason."""

    @property
    def urls(self) -> int:
        return sum(self.lists.values())

    def shard_sizes(self, urls_per_shard: int) -> list[int]:
        """How many URLs go into each shard: a list starts a new one."""
        return [
            min(urls_per_shard, urls - shard * urls_per_shard)
            for urls in self.lists.values()
            for shard in range(ceil(urls / urls_per_shard))
        ]


def read_list(folder: Path) -> UrlList | None:
    """The list that stands in `folder`."""
    try:
        return UrlList.model_validate_json((folder / "list.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def update_list(
    folder: Path, tsv: Path, digest: str, max_urls: int | None, urls_per_shard: int, allow_private: bool
) -> UrlList:
    """The list of `tsv` in `folder`: made, lengthened by what was appended to the TSV, or as it stands."""
    standing = read_list(folder)
    if standing is not None and (standing.tsv, standing.max_urls) == (digest, max_urls):
        return standing
    if standing is not None and max_urls is not None and max_urls < standing.urls:
        raise DataError(
            f"{folder}: lists {standing.urls} URLs already, and max_urls is {max_urls}: extending cannot "
            "make them fewer. Raise max_urls, or use incremental_mode: incremental."
        )
    lists = {} if standing is None else dict(standing.lists)
    dropped = Counter({} if standing is None else standing.dropped)
    (folder / "lists").mkdir(parents=True, exist_ok=True)
    for left in (folder / "lists").iterdir():
        if left.name not in lists:  # of a run that was killed before it noted what it had read
            left.unlink()
    with _unpacked(tsv) as file:
        reading = _Reading(file, tsv)
        if standing is not None:
            reading.skip(standing)
        pairs = _kept(reading.rows(), allow_private, dropped)
        if max_urls is not None:
            pairs = islice(pairs, max_urls - sum(lists.values()))
        size = urls_per_shard * max(1, _LIST_ROWS // urls_per_shard)
        while chunk := list(islice(pairs, size)):
            name = f"urls-{len(lists):05d}.parquet"
            _write(folder / "lists" / name, chunk)
            lists[name] = len(chunk)
    if not lists and not dropped:
        raise DataError(f"{tsv}: has no rows. Each row should be: URL, a tab, caption.")
    made = UrlList(
        tsv=digest,
        max_urls=max_urls,
        read_bytes=reading.bytes,
        read_sha256=reading.digest.hexdigest(),
        lists=lists,
        dropped=dict(dropped),
    )
    write_json(folder / "list.json", made.model_dump())
    return made


def remembered_digest(tsv: Path, memory: Path) -> str:
    """The SHA-256 of `tsv`, computed again only when its size or time changed since `memory` was written."""
    try:
        found = tsv.stat()
    except OSError as error:
        raise DataError(f"{tsv}: the list of URLs cannot be read ({error.strerror}). Check `tsv`.") from None
    stamp: list[Any] = [os.fspath(tsv.resolve()), found.st_size, found.st_mtime_ns]
    try:
        noted = json.loads(memory.read_bytes())
        if noted["stamp"] == stamp:
            return str(noted["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    digest = digest_file(tsv)
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_json(memory, {"stamp": stamp, "sha256": digest})
    return digest


class _Reading:
    """The rows of an open TSV, and the digest of what was read of it."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.bytes = 0
        self.digest = hashlib.sha256()

    def rows(self) -> Iterator[bytes]:
        bar = tqdm(desc=f"reading {self._path.name}", unit=" rows", unit_scale=True, disable=None)
        with bar:
            while row := self._next():
                whole = row.endswith(b"\n") or len(row) <= _MAX_ROW_BYTES
                while not row.endswith(b"\n") and (rest := self._next()):
                    row = rest
                bar.update()
                yield row.rstrip(b"\r\n") if whole else b""

    def skip(self, standing: UrlList) -> None:
        """Pass over what was read before, which must still be there."""
        while self.bytes < standing.read_bytes:
            part = self._file.read(min(2**20, standing.read_bytes - self.bytes))
            if not part:
                break
            self._note(part)
        if self.digest.hexdigest() != standing.read_sha256:
            raise DataError(
                f"{self._path}: was changed, not only appended to, since it was last read. Use "
                "incremental_mode: incremental, which downloads the changed list anew."
            )

    def _next(self) -> bytes:
        part = self._file.readline(_MAX_ROW_BYTES + 1)
        self._note(part)
        return part

    def _note(self, part: bytes) -> None:
        self.bytes += len(part)
        self.digest.update(part)


def _kept(rows: Iterable[bytes], allow_private: bool, dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    for row in rows:
        pair = _pair(row)
        reason = MALFORMED_ROW if pair is None else refusal(pair[0], allow_private)
        if reason is not None:
            dropped[reason] += 1
        elif pair is not None:
            yield pair


def _pair(row: bytes) -> tuple[str, str] | None:
    try:
        url, tab, caption = row.decode("utf-8").partition("\t")
    except UnicodeDecodeError:
        return None
    url = url.strip(" ")
    return (url, caption) if tab and url and caption.strip() else None


def _write(path: Path, pairs: list[tuple[str, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    urls, captions = zip(*pairs, strict=True)
    with atomic_file(path) as file:
        pq.write_table(pa.table({"url": pa.array(urls), "caption": pa.array(captions)}), file)


@contextmanager
def _unpacked(tsv: Path) -> Iterator[BinaryIO]:
    try:
        with gzip.open(tsv) if tsv.suffix == ".gz" else tsv.open("rb") as file:
            yield cast(BinaryIO, file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{tsv}: the gzip file is damaged ({error}). Fetch it again.") from None
