"""One SQLite file that the processes of a machine share: how it is opened, written durably, and what an error means.

Durable means on disk: write-ahead log with `synchronous=FULL`, one fdatasync for each commit. A lock file
beside the database is held around everything that writes or checkpoints. It makes processes take turns, where
SQLite's own waiting lets one of them starve, and it keeps two of them from writing at the moment at which
SQLite before 3.51.3 can lose a commit (sqlite.org/wal.html, "The WAL-Reset Bug").
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from consentkit.errors import (
    LedgerConflict,
    LedgerCorrupt,
    LedgerError,
    LedgerMissing,
    LedgerUnavailable,
    OutcomeUnknown,
)
from consentkit.evidence._filelock import FileLock
from consentkit.evidence._files import drop_cache, sync_file, sync_folder

__all__ = ["SQLiteFile"]

_log = logging.getLogger(__name__)

_WAIT_SECONDS: Final = 10.0
_CHECKPOINT_PAGES: Final = 4000
# A child must not touch a connection of its parent, not even to close it (sqlite.org/howtocorrupt.html 2.6).
_abandoned: list[sqlite3.Connection] = []

Ready = Callable[[sqlite3.Connection], None]


class SQLiteFile:
    """A database in one file, used by one thread at a time; connects when it is first used.

    `what` it holds is named in errors. `prepare` makes a connection that writes ready, `check` one that reads. With
    `create`, the file is made when it is not there; its folder has to be.
    """

    def __init__(
        self, path: Path, what: str, prepare: Ready, check: Ready, *, create: bool, read_only: bool
    ) -> None:
        self._path, self._what = path, what
        self._prepare, self._check = prepare, check
        self._create = create and not read_only
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        self._pages = 0  # written to the write-ahead log since it was last moved into the database

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Wait for this process's turn to write; the kernel gives turns in order, and ends those of the dead."""
        with self._lock.hold():
            yield

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Read one consistent state."""
        connection = self._connect()
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _transact(self, change: Callable[[sqlite3.Connection], object], pages: int) -> None:
        """Make a change durably, or nothing of it; the caller holds the lock. It writes about so many `pages`."""
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._explained(error) from error
        try:
            change(connection)
        except BaseException as error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.IntegrityError):
                raise LedgerConflict("the ledger moved on while records were signed") from error
            if isinstance(error, sqlite3.Error):
                raise self._explained(error) from error
            raise
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._distrust()
            raise OutcomeUnknown(f"{self._path}: the commit failed: {error}") from error
        self._pages += pages
        if self._pages >= _CHECKPOINT_PAGES:
            try:
                self._checkpoint(connection, "PASSIVE")
            except LedgerError as failure:  # the batch is durable all the same; the next one tries again
                _log.warning("the write-ahead log stays as it is: %s", failure.message)

    def scrub(self) -> bool:
        """Move the write-ahead log into the file, where deleted rows are overwritten, and cut it to nothing."""
        connection = self._connect()
        with self.lock():
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                return self._checkpoint(connection, "TRUNCATE")
            finally:
                connection.execute(f"PRAGMA busy_timeout = {int(_WAIT_SECONDS * 1000)}")

    def recover(self) -> None:
        """Connect anew and move everything that is committed into the database file.

        After a failed fsync nobody can tell what of the write-ahead log is on disk. Whatever is found there is copied
        into the database and synced, and the log cut to nothing, so that it is what it was found to be for good.
        """
        self.release()
        connection = self._connect()
        with self.lock():
            if not self._checkpoint(connection, "TRUNCATE"):
                raise LedgerUnavailable(f"{self._path} is being read and cannot be brought in order now")

    def _checkpoint(self, connection: sqlite3.Connection, how: str) -> bool:
        """Move the write-ahead log into the database; say whether all of it could be moved."""
        log = Path(f"{self._path}-wal")
        try:
            busy, *_ = connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
            if how == "TRUNCATE" and not busy and log.exists():
                sync_file(log)  # or a power cut brings it back, with what a failed commit has left there
        except (sqlite3.Error, OSError) as error:
            self._distrust()
            raise self._explained(error) from error
        self._pages = 0
        return not busy

    def _distrust(self) -> None:
        """After an error of the disk, see what is really there. The lock is held, so nobody builds on anything else."""
        for suffix in ("-wal", ""):
            drop_cache(Path(f"{self._path}{suffix}"))

    def release(self) -> None:
        """Close the connection and the lock file."""
        connection, self._connection = self._connection, None
        if connection is not None and self._read_only:
            connection.close()
        elif connection is not None:
            self._close(connection)
        self._lock.close()

    def _close(self, connection: sqlite3.Connection) -> None:
        """Close a connection that writes. The last one moves the write-ahead log, and would not say if that fails."""
        try:
            with self.lock():
                self._checkpoint(connection, "PASSIVE")
                connection.close()
        except LedgerError as error:  # what is in the log is durable there
            _log.warning("the write-ahead log stays as it is: %s", error.message)
            connection.close()
            self._distrust()

    def abandon(self) -> None:
        """Forget the parent's connection; its lock file is this process's own to close."""
        if self._connection is not None:
            _abandoned.append(self._connection)
            self._connection = None
        self._lock.close()

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = self._open()
            except OSError as error:
                raise self._explained(error) from error
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists() and not self._create:
            raise LedgerMissing(
                f"there is no {self._what} at {self._path}", remedy=f"check the URL of the {self._what}"
            )
        if self._read_only:
            return self._open_file("ro", self._check)
        with self.lock():
            if not self._path.exists():
                self._make_file()
            return self._open_file("rw", self._prepare)

    def _make_file(self) -> None:
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise LedgerUnavailable(f"{self._path} cannot be created: {error.strerror}") from error

    def _open_file(self, mode: str, ready: Ready) -> sqlite3.Connection:
        uri = f"file:{quote(os.path.abspath(self._path))}?mode={mode}"
        try:
            connection = sqlite3.connect(
                uri, uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._explained(error) from error
        try:
            ready(connection)
            if mode == "rw":
                sync_folder(self._path.parent)  # SQLite ignores a failure to do so when it creates its files
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise self._explained(error) from error
            if isinstance(error, LedgerError):
                raise type(error)(f"{self._path}: {error.message}", remedy=error.remedy) from None
            raise
        return connection

    def _explained(self, error: sqlite3.Error | OSError) -> LedgerError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return LedgerCorrupt(f"{self._path}: {error}", remedy=f"restore the {self._what} from a backup")
        return LedgerUnavailable(f"{self._path}: {error}", remedy="check the disk, the file and its owner")
