"""The schema of a ledger on PostgreSQL: how it is made and brought up to date, and what a server must be to hold it."""

from __future__ import annotations

import logging
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from consentkit.errors import LedgerCorrupt, LedgerMissing, LedgerUnavailable

__all__ = ["MIGRATIONS", "Rows", "only_row", "prepare"]

Rows = list[tuple[Any, ...]]

_log = logging.getLogger(__name__)

_OLDEST_SERVER: Final = 130_000  # gen_random_uuid()

_MARK: Final = "consentkit"
"""The table that says that a schema holds a ledger: its format, and a number that no other ledger has."""

# Script n brings a ledger from format n to n + 1. There are no foreign keys: rows come and go by whole batches,
# and a check for each row would cost as much as writing it. Collation "C" compares bytes. Records do not shrink
# by compression, so nothing is compressed, and a row stays in one piece as long as it fits a page. Rows that are
# replaced have room on their page for it, so that no index changes.
MIGRATIONS: Final[tuple[LiteralString, ...]] = (
    """
    CREATE TABLE entry (idx bigint PRIMARY KEY, line bytea NOT NULL);
    CREATE TABLE node (level smallint, idx bigint, hash bytea NOT NULL, PRIMARY KEY (level, idx));
    CREATE TABLE head (
        id smallint PRIMARY KEY CHECK (id = 1), size bigint NOT NULL, frontier bytea NOT NULL,
        checkpoint bytea NOT NULL, time bigint NOT NULL
    ) WITH (fillfactor = 20);
    CREATE TABLE checkpoint (
        day bigint PRIMARY KEY, size bigint NOT NULL, note bytea NOT NULL
    ) WITH (fillfactor = 50);
    CREATE TABLE opening (
        idx bigint PRIMARY KEY, history text COLLATE "C" NOT NULL, sequence bigint NOT NULL,
        record text COLLATE "C" NOT NULL, disclosures text COLLATE "C" NOT NULL, blind bytea NOT NULL,
        UNIQUE (history, sequence)
    ) WITH (toast_tuple_target = 8160);
    ALTER TABLE opening ALTER record SET STORAGE EXTERNAL;
    CREATE TABLE published (
        kind text COLLATE "C", digest text COLLATE "C", idx bigint NOT NULL UNIQUE, body bytea NOT NULL,
        PRIMARY KEY (kind, digest)
    );
    CREATE TABLE key_entry (idx bigint PRIMARY KEY);
    CREATE TABLE cosigned (size bigint PRIMARY KEY, note bytea NOT NULL);
    """,
    """
    CREATE TABLE removal (at bigint PRIMARY KEY, first bigint NOT NULL, stop bigint NOT NULL);
    CREATE TABLE hold (id text COLLATE "C" PRIMARY KEY, placed bigint NOT NULL UNIQUE, released bigint);
    CREATE TABLE held (idx bigint, hold text COLLATE "C", PRIMARY KEY (idx, hold));
    CREATE INDEX ON held (hold);
    CREATE TABLE answered (key bytea PRIMARY KEY, digest bytea NOT NULL, idx bigint NOT NULL, expires bigint NOT NULL);
    CREATE INDEX ON answered (expires);
    CREATE INDEX ON answered (idx);
    """,
    # ANALYZE copies samples of a column into the server's statistics, where what is erased would stay. A change of
    # type, to the same one, has those forgotten that are there; it leaves the rows as they are.
    """
    ALTER TABLE opening
        ALTER history TYPE text COLLATE "C", ALTER record TYPE text COLLATE "C",
        ALTER disclosures TYPE text COLLATE "C", ALTER blind TYPE bytea;
    ALTER TABLE opening
        ALTER record SET STORAGE EXTERNAL, ALTER history SET STATISTICS 0, ALTER record SET STATISTICS 0,
        ALTER disclosures SET STATISTICS 0, ALTER blind SET STATISTICS 0;
    ALTER TABLE answered ALTER key TYPE bytea, ALTER digest TYPE bytea;
    ALTER TABLE answered ALTER key SET STATISTICS 0, ALTER digest SET STATISTICS 0;
    """,
)

_FOUND: Final[LiteralString] = (
    "SELECT to_regnamespace({name}) IS NOT NULL, to_regclass({mark}) IS NOT NULL,"
    " (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace({name})),"
    " current_setting('fsync'), current_setting('full_page_writes')"
)


def prepare(connection: psycopg.Connection, name: str, turn: str, *, create: bool, read_only: bool) -> None:
    """Check what the server is and what the schema `name` holds; make the tables, or bring them up to date.

    `turn` begins the transaction in which that is done, behind whoever else does it at this moment.
    """
    here = f"the ledger {name} on PostgreSQL"
    if (server := connection.info.server_version) < _OLDEST_SERVER:
        raise LedgerUnavailable(
            f"{here}: the server is PostgreSQL {server // 10_000}", remedy="PostgreSQL 13 or later is needed"
        )
    version, unsafe = _look(connection, name)
    if unsafe and not read_only:
        _log.warning(
            "%s may lose what it has acknowledged: the server has %s off", here, " and ".join(unsafe)
        )
    if version == len(MIGRATIONS):
        return
    if version is None and not create:
        raise LedgerMissing(f"there is no {here[4:]}", remedy="check the URL of the ledger")
    if read_only and version:
        raise LedgerUnavailable(f"{here} has an older format", remedy="open it for writing once")
    if read_only:
        raise LedgerUnavailable(f"the schema {name} holds no ledger", remedy="check the URL of the ledger")
    connection.execute(turn.encode())
    _migrate(connection, name, _look(connection, name)[0])
    connection.execute("COMMIT")


def _look(connection: psycopg.Connection, name: str) -> tuple[int | None, list[str]]:
    """Return the format of what is there, and which settings of the server are not safe.

    The format is 0 for an empty schema, None for no schema at all.
    """
    mark = sql.Identifier(name, _MARK)
    look = sql.SQL(_FOUND).format(name=name, mark=mark.as_string())
    exists, marked, relations, *settings = only_row(connection.execute(look).fetchall())
    unsafe = [what for what, on in zip(("fsync", "full_page_writes"), settings, strict=True) if on != "on"]
    if marked:
        (version,) = only_row(connection.execute(sql.SQL("SELECT version FROM {}").format(mark)).fetchall())
        if version > len(MIGRATIONS):
            raise LedgerUnavailable(
                f"the ledger {name} on PostgreSQL has format {version}, and this version knows {len(MIGRATIONS)}",
                remedy="update consentkit",
            )
        return int(version), unsafe
    if relations:
        raise LedgerUnavailable(
            f"the schema {name} is that of another application", remedy="give the ledger another name"
        )
    return (0 if exists else None), unsafe


def _migrate(connection: psycopg.Connection, name: str, version: int | None) -> None:
    if version is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    for script in MIGRATIONS[version or 0 :]:
        connection.execute(script)
    if not version:
        connection.execute("CREATE TABLE consentkit (version integer NOT NULL, number uuid NOT NULL)")
        connection.execute("INSERT INTO consentkit VALUES (0, gen_random_uuid())")
    connection.execute("UPDATE consentkit SET version = %s", (len(MIGRATIONS),))


def only_row(rows: Rows) -> tuple[Any, ...]:
    """Return the row of a table that has one. Raises LedgerCorrupt where it has none."""
    if not rows:
        raise LedgerCorrupt("a table that has one row has none")
    return rows[0]
