"""The tables of the embedded store, how they came to be what they are, and how a connection is set up for them."""

from __future__ import annotations

import sqlite3
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
    """Set up a connection that writes, and the tables when the file is new or of an older version."""
    for pragma in PRAGMAS:
        connection.execute(pragma)
    if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise LedgerUnavailable(
            "no write-ahead log is possible here", remedy="keep the ledger on a local disk"
        )
    version = _version(connection)
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for step in "".join(MIGRATIONS[version:]).split(";"):
        connection.execute(step)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def check_schema(connection: sqlite3.Connection) -> None:
    """Refuse what is no ledger, or one of another version, to a connection that only reads."""
    version = _version(connection)
    if not version:
        raise LedgerUnavailable("the file holds no ledger", remedy="check the URL of the ledger")
    if version != len(MIGRATIONS):
        raise LedgerUnavailable("the ledger has an older format", remedy="open it for writing once")


def _version(connection: sqlite3.Connection) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != _APPLICATION_ID and (application or objects):
        raise LedgerUnavailable("the file is the database of another application")
    if version > len(MIGRATIONS):
        raise LedgerUnavailable(
            f"the ledger has format {version}, and this version knows {len(MIGRATIONS)}",
            remedy="update consentkit",
        )
    return int(version)
