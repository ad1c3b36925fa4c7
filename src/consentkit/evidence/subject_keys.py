"""A key for every subject: what openings are sealed under, kept apart from the ledger so that it can be thrown away.

The keys are in a database of their own, which nobody backs up together with the ledger, nor for longer than erased
data may live. A copy of the ledger says nothing about a subject whose key is gone, wherever the copy is.

A subject is known here, and in a sealed ledger, by a token: an HMAC of the history's pseudonym under a secret of this
database. A key whose subject loses records is first marked, then the records go, then the key, if none is left; so
whoever dies in between leaves a mark, and the next one to write finishes it.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from attrs import field, frozen

from consentkit.errors import LedgerUnavailable
from consentkit.evidence._sqlite_file import SQLiteFile
from consentkit.evidence._sqlite_schema import bring_up, check_format
from consentkit.evidence.store import sqlite_path

__all__ = ["TOKEN_BYTES", "KeyRoom", "SubjectKeys", "open_subject_keys"]

TOKEN_BYTES: Final = 16
_KEY_BYTES: Final = 32
_APPLICATION_ID: Final = 0x636B_7331  # "cks1"
_WHAT: Final = "store of subject keys"
_MIGRATIONS: Final = (
    """
    CREATE TABLE room (id INTEGER PRIMARY KEY CHECK (id = 1), number TEXT NOT NULL, secret BLOB NOT NULL);
    CREATE TABLE subject_key (token BLOB PRIMARY KEY, key BLOB NOT NULL, marked INTEGER NOT NULL DEFAULT 0)
        WITHOUT ROWID;
    CREATE INDEX marked ON subject_key (token) WHERE marked;
    """,
)


@frozen
class KeyRoom:
    """What tells one database of subject keys from another, and the secret that makes its tokens."""

    number: str
    secret: bytes = field(repr=False)

    def token(self, history: str) -> bytes:
        """Return what a history is known by, 16 bytes."""
        return hmac.digest(self.secret, history.encode(), "sha256")[:TOKEN_BYTES]


class SubjectKeys(Protocol):
    """A database of subject keys, used by one thread at a time. Whoever changes it holds the ledger's lock.

    Errors: LedgerMissing when it is not there, LedgerUnavailable and LedgerCorrupt when it cannot be used.
    """

    def room(self, *, create: bool = False) -> KeyRoom:
        """Return what this database is; with `create` it is made when it is not there."""

    def find(self, tokens: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return the keys that there are of these subjects."""

    def obtain(self, tokens: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return a key for each of these subjects; those that are new are durable by then."""

    def mark(self, tokens: Iterable[bytes]) -> None:
        """Mark, durably, keys that may have to go."""

    def marked(self) -> tuple[bytes, ...]:
        """Return the subjects whose keys are marked."""

    def settle(self, gone: Collection[bytes], kept: Collection[bytes]) -> None:
        """Throw the keys of those that are gone away, and unmark those that are kept."""

    def scrub(self) -> bool:
        """Overwrite what was thrown away; False while somebody still reads it."""

    def recover(self) -> None:
        """Connect anew after an error, and make durable whatever is there."""

    def release(self) -> None:
        """Let go of every connection."""

    def abandon(self) -> None:
        """Forget connections that belong to the parent process."""


def open_subject_keys(url: str, *, read_only: bool = False) -> SubjectKeys:
    """Return the keys at a URL such as `sqlite:////srv/consent/keys/subjects.db`; raises LedgerUnavailable."""
    return SQLiteSubjectKeys(sqlite_path(url), read_only=read_only)


def _prepare(connection: sqlite3.Connection) -> None:
    bring_up(connection, _APPLICATION_ID, _MIGRATIONS, _WHAT)


def _check(connection: sqlite3.Connection) -> None:
    check_format(connection, _APPLICATION_ID, _MIGRATIONS, _WHAT)


class SQLiteSubjectKeys(SQLiteFile):
    """Subject keys in one file, for the processes of one machine."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__(path, _WHAT, _prepare, _check, create=False, read_only=read_only)
        self._room: KeyRoom | None = None

    def room(self, *, create: bool = False) -> KeyRoom:
        """Return what this database is."""
        if self._room is None:
            self._create = create and not self._read_only
            if self._create:
                self._change(self._found)
            with self._reading() as connection:
                row = connection.execute("SELECT number, CAST(secret AS BLOB) FROM room").fetchone()
            self._create = False
            if row is None:
                raise LedgerUnavailable(f"{self._path} holds no subject keys", remedy="check its URL")
            self._room = KeyRoom(*row)
        return self._room

    @staticmethod
    def _found(connection: sqlite3.Connection) -> None:
        new = (os.urandom(16).hex(), os.urandom(_KEY_BYTES))
        connection.execute("INSERT OR IGNORE INTO room VALUES (1, ?, ?)", new)

    def find(self, tokens: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return the keys that there are of these subjects."""
        with self._reading() as connection:
            return _find(connection, tokens)

    def obtain(self, tokens: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return a key for each of these subjects."""
        found = self.find(tokens)
        if new := {token: os.urandom(_KEY_BYTES) for token in tokens if token not in found}:
            self._change(
                lambda connection: connection.executemany(
                    "INSERT INTO subject_key (token, key) VALUES (?, ?)", new.items()
                ),
                len(new),
            )
        return {**found, **new}

    def mark(self, tokens: Iterable[bytes]) -> None:
        """Mark keys that may have to go."""
        rows = [(token,) for token in tokens]
        self._change(
            lambda connection: connection.executemany(
                "UPDATE subject_key SET marked = 1 WHERE token = ?", rows
            ),
            len(rows),
        )

    def marked(self) -> tuple[bytes, ...]:
        """Return the subjects whose keys are marked."""
        with self._reading() as connection:
            rows = connection.execute("SELECT token FROM subject_key WHERE marked")
            return tuple([token for (token,) in rows])

    def settle(self, gone: Collection[bytes], kept: Collection[bytes]) -> None:
        """Throw keys away; `secure_delete` overwrites them in the file, and `scrub` in what leads up to it."""

        def change(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM subject_key WHERE token = ?", [(token,) for token in gone])
            connection.executemany(
                "UPDATE subject_key SET marked = 0 WHERE token = ?", [(token,) for token in kept]
            )

        self._change(change, len(gone) + len(kept))

    def _change(self, change: Callable[[sqlite3.Connection], object], pages: int = 1) -> None:
        with self.lock():
            self._transact(change, pages)


def _find(connection: sqlite3.Connection, tokens: Collection[bytes]) -> dict[bytes, bytes]:
    query = "SELECT CAST(token AS BLOB), CAST(key AS BLOB) FROM subject_key WHERE token = ?"
    return dict(row for token in tokens for row in connection.execute(query, (token,)))
