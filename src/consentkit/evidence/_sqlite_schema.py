"""The tables of the embedded store, how they came to be what they are, and how a connection is set up for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from consentkit.errors import LedgerUnavailable

_APPLICATION_ID: Final = 0x636B_7431  # "ckt1": tells this database from any other
PRAGMAS: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cache_size = -32768",
    "PRAGMA wal_autocheckpoint = 0",  # it would not say when it fails
)
# Script n brings a database from schema version n to n + 1; `user_version` says where it is.
MIGRATIONS: Final = (
    """
    CREATE TABLE entry (idx INTEGER PRIMARY KEY, line BLOB NOT NULL);
    CREATE TABLE node (level INTEGER, idx INTEGER, hash BLOB NOT NULL, PRIMARY KEY (level, idx)) WITHOUT ROWID;
    CREATE TABLE head (
        id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, frontier BLOB NOT NULL,
        checkpoint BLOB NOT NULL, time INTEGER NOT NULL
    );
    CREATE TABLE checkpoint (day INTEGER PRIMARY KEY, size INTEGER NOT NULL, note BLOB NOT NULL);
    CREATE TABLE opening (
        idx INTEGER PRIMARY KEY REFERENCES entry, history TEXT NOT NULL, sequence INTEGER NOT NULL,
        record TEXT NOT NULL, disclosures TEXT NOT NULL, blind BLOB NOT NULL, UNIQUE (history, sequence)
    );
    CREATE TABLE published (
        kind TEXT, digest TEXT, idx INTEGER NOT NULL UNIQUE REFERENCES entry, body BLOB NOT NULL,
        PRIMARY KEY (kind, digest)
    );
    CREATE TABLE key_entry (idx INTEGER PRIMARY KEY REFERENCES entry);
    """,
    """
    CREATE TABLE cosigned (size INTEGER PRIMARY KEY, note BLOB NOT NULL);
    """,
    """
    CREATE TABLE removal (at INTEGER PRIMARY KEY REFERENCES entry, first INTEGER NOT NULL, stop INTEGER NOT NULL);
    CREATE TABLE hold (id TEXT PRIMARY KEY, placed INTEGER NOT NULL UNIQUE REFERENCES entry,
        released INTEGER REFERENCES entry) WITHOUT ROWID;
    CREATE TABLE held (idx INTEGER, hold TEXT REFERENCES hold, PRIMARY KEY (idx, hold)) WITHOUT ROWID;
    CREATE INDEX held_by ON held (hold);
    CREATE TABLE answered (key BLOB PRIMARY KEY, digest BLOB NOT NULL, idx INTEGER NOT NULL, expires INTEGER NOT NULL)
        WITHOUT ROWID;
    CREATE INDEX answered_expires ON answered (expires);
    CREATE INDEX answered_idx ON answered (idx);
    """,
)


def prepare(connection: sqlite3.Connection) -> None:
    """Set up a connection that writes to a ledger, and the tables when the file is new or of an older version."""
    bring_up(connection, _APPLICATION_ID, MIGRATIONS, "ledger")


def check_schema(connection: sqlite3.Connection) -> None:
    """Refuse what is no ledger, or one of another version, to a connection that only reads."""
    check_format(connection, _APPLICATION_ID, MIGRATIONS, "ledger")


def bring_up(connection: sqlite3.Connection, application: int, migrations: Sequence[str], what: str) -> None:
    """Set up a connection that writes, and bring the tables to the format that the last migration makes."""
    for pragma in PRAGMAS:
        connection.execute(pragma)
    if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise LedgerUnavailable(
            "no write-ahead log is possible here", remedy=f"keep the {what} on a local disk"
        )
    version = _version(connection, application, len(migrations), what)
    if version == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    for step in "".join(migrations[version:]).split(";"):
        connection.execute(step)
    connection.execute(f"PRAGMA application_id = {application}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
    connection.execute("COMMIT")


def check_format(
    connection: sqlite3.Connection, application: int, migrations: Sequence[str], what: str
) -> None:
    """Refuse a file that does not hold `what`, in the newest format, to a connection that only reads."""
    version = _version(connection, application, len(migrations), what)
    if not version:
        raise LedgerUnavailable(f"the file holds no {what}", remedy=f"check the URL of the {what}")
    if version != len(migrations):
        raise LedgerUnavailable(f"the {what} has an older format", remedy="open it for writing once")


def _version(connection: sqlite3.Connection, application: int, newest: int, what: str) -> int:
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if found != application and (found or objects):
        raise LedgerUnavailable("the file is the database of another application")
    if version > newest:
        raise LedgerUnavailable(
            f"the {what} has format {version}, and this version knows {newest}", remedy="update consentkit"
        )
    return int(version)
