"""A small database file that several processes write, that outlives kill -9, and whose damage is told.

SQLite's transactions do that. Each is a connection of its own, so threads share nothing. The journal stays
SQLite's ordinary one: its write-ahead log needs memory that network disks cannot share.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rglcd_pipelines.errors import DataError, RglcdError

PATIENCE = 60.0
"""Seconds to wait for other processes, whose transactions take milliseconds."""


class Store:
    """One database file."""

    def __init__(self, file: Path, schema: str, loss: str, where: str) -> None:
        """`loss` is what it means to begin a new one, `where` the parameter that says where it is."""
        self.file, self.loss, self.where = file, loss, where
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                self._make(schema)
        except OSError as error:
            raise DataError(f"{file}: cannot be written ({error.strerror}). Check {where}.") from None
        if not file.stat().st_size:
            raise self.damaged("it is empty")
        with self.transaction() as base:
            if (found := base.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise self.damaged(found)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what is done inside or nothing; until it ends, everybody else waits."""
        with self._explained():
            # It is opened, never made here: one that somebody removes meanwhile is missed.
            base = sqlite3.connect(
                f"{self.file.absolute().as_uri()}?mode=rw", timeout=PATIENCE, isolation_level=None, uri=True
            )
            try:
                base.execute("BEGIN IMMEDIATE")
                try:
                    yield base
                except BaseException:
                    if base.in_transaction:  # SQLite ends it by itself after some errors
                        base.execute("ROLLBACK")
                    raise
                base.execute("COMMIT")
            finally:
                base.close()

    def damaged(self, how: str) -> DataError:
        how = " ".join(how.split())
        return DataError(
            f"{self.file}: is damaged ({how}). Nothing was changed in it. Put back a copy of it, save what "
            f"can be read (sqlite3 {self.file} .recover), or move it away: then {self.loss}."
        )

    def _make(self, schema: str) -> None:
        """Beside its place and then moved there, so that an empty file is known to be a damaged one."""
        with self.file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.file.exists():  # another process was faster
                return
            draft = self.file.with_suffix(".tmp")
            draft.unlink(missing_ok=True)
            with self._explained():
                base = sqlite3.connect(draft)
                try:
                    base.execute(schema)
                finally:
                    base.close()
            draft.rename(self.file)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except RglcdError:
            raise
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise self._told(code, str(error)) from None

    def _told(self, code: int, message: str) -> DataError:
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            return self.damaged(message)  # the last one: its tables are not those that belong there
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return DataError(
                f"{self.file}: another process has held it for {PATIENCE:g} s. Look which one, and stop it."
            )
        if code == sqlite3.SQLITE_FULL:
            return DataError(
                f"{self.file}: the disk is full. Free some space on it and run the same command again; "
                "it goes on from what is finished."
            )
        return DataError(f"{self.file}: cannot be read and written ({message}). Check {self.where}.")
