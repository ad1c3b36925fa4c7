"""The store for many machines: one schema of a PostgreSQL database for each ledger.

The URL is that of libpq (`postgresql://user@host:5432/database?sslmode=verify-full`), with one parameter more:
`ledger` names the ledger, and with it the schema (`consentkit` where it is left out). A name is a lower-case
letter followed by at most 47 lower-case letters, digits and underscores. Ledgers in one database share nothing:
each has its tables, its lock, its format, and can be dropped by itself.

A batch is one transaction. It begins by waiting for an advisory lock, which PostgreSQL grants in the order in
which it was asked for, and then reads the head: where that has moved on nothing is written. The lock goes with the
transaction, so it is free the moment the outcome is settled, and whoever holds it after a failed COMMIT knows that
the outcome is settled. No state is kept in the session, so a pooler that hands out connections by transaction may
stand in between. Text that a server or a driver writes into an error can hold what nobody should read in a log, so
only its first line is passed on, and nothing that is quoted in it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from typing import Any, Final, LiteralString, NoReturn, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from consentkit.errors import (
    LedgerConflict,
    LedgerCorrupt,
    LedgerError,
    LedgerUnavailable,
    OutcomeUnknown,
)
from consentkit.evidence._postgres_schema import MIGRATIONS, only_row, prepare
from consentkit.evidence._postgres_tables import BASIS, HEAD, PostgresView, State, read_basis, write
from consentkit.evidence._postgres_url import Address, beside
from consentkit.evidence.store import Basis, Batch, View

__all__ = ["PostgresStore"]

_log = logging.getLogger(__name__)

_READ: Final[LiteralString] = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path TO {schema}; "
)
# Whoever waits outlasts a holder that is dead to the server: that one's transaction is ended before.
_WRITE: Final[LiteralString] = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL search_path TO {schema};"
    " SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true);"
    " SET LOCAL idle_in_transaction_session_timeout TO '30s'; SET LOCAL lock_timeout TO '60s';"
    " SET LOCAL jit TO off;"
    " SELECT pg_advisory_xact_lock({key}); "
)
_STILL_SEEN: Final = (
    "SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    " AND age(backend_xmin) >= age(%s::text::xid) LIMIT 1"
)
_THIS: Final = "SELECT pg_current_xact_id()::xid::text"
_PATIENCE: Final = 90.0  # seconds for an answer: longer than anybody waits for the lock
_T = TypeVar("_T")
_CONFLICTS: Final = (
    errors.UniqueViolation,
    errors.DivisionByZero,
    errors.SerializationFailure,
    errors.DeadlockDetected,
)
_RIGHTS: Final = (
    "who makes a ledger needs CREATE on the database, who writes to it owns the schema; see the docs"
)
_DAMAGE: Final = (errors.DataCorrupted, errors.IndexCorrupted)
_QUOTED: Final = re.compile(r"""(["'])(?:(?!\1).)*\1""")
_MISSING: Final = (errors.UndefinedTable, errors.InvalidSchemaName)


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that does not wait for ever: what stands between may be up, and pass nothing on."""

    def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        return super().wait(gen, interval, _PATIENCE if timeout is None else timeout)


class PostgresStore:
    """A `Store` in one schema of a database. With `create`, the schema is made when it is not there.

    Needs PostgreSQL 13 or later. Raises LedgerUnavailable for a URL that cannot be read.
    """

    def __init__(self, url: str, *, create: bool = False, read_only: bool = False) -> None:
        self._url = url
        self._name, self._parameters = Address.parse(url)
        if not read_only:
            self._parameters.setdefault("target_session_attrs", "read-write")
        here = {"schema": sql.Identifier(self._name), "key": sql.Literal(_lock_key(self._name))}
        self._reading = sql.SQL(_READ).format(**here).as_string() + HEAD
        self._basis = sql.SQL(BASIS).format(**here).as_string().encode()
        self._turning = sql.SQL(_WRITE).format(**here).as_string()
        self._create = create and not read_only
        self._read_only = read_only
        self._connection: psycopg.Connection | None = None
        self._number: str | None = None  # of the ledger that was there at first
        self._removed_by: str | None = None  # the transaction that removed rows last
        self._locked = False
        self._turn: State | None = None  # what was found when the transaction with the lock began

    @contextmanager
    def view(self) -> Iterator[View]:
        """Read one consistent state; while the lock is held, the one that it protects."""
        state = self._take_turn() if self._locked else self._begin(self._reading)
        try:
            with self._explaining():
                yield PostgresView(self._connect(), state.head)
        finally:
            if not self._locked:
                self._rollback()

    def basis(self, histories: Collection[str], requests: Collection[bytes]) -> Basis:
        """Read what a batch is built on, by one statement."""
        values = list(histories), list(requests)

        def ask(connection: psycopg.Connection) -> tuple[State, Basis]:
            return read_basis(connection.execute(self._basis, values, binary=True).fetchall())

        if not self._locked:
            return self._ask(ask)[1]
        self._take_turn()
        with self._explaining():
            return ask(self._connect())[1]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Wait for this process's turn to write; the server gives turns in order, and ends those of the dead."""
        self._take_turn()
        self._locked = True
        try:
            yield
        finally:
            self._locked = False
            self._rollback()

    def commit(self, batch: Batch) -> None:
        """Write a batch durably, or nothing of it; takes the lock unless the caller holds it."""
        if not self._locked:
            with self.lock():
                self.commit(batch)
            return
        if self._take_turn().head != batch.old:
            raise LedgerConflict("the ledger moved on while records were signed")

        def change(connection: psycopg.Connection) -> psycopg.Cursor | None:
            write(connection, batch)
            return connection.execute(_THIS) if batch.removals else None

        if removing := self._commit(change):
            (self._removed_by,) = only_row(removing.fetchall())

    def keep_cosigned(self, size: int, checkpoint: bytes, line: bytes) -> None:
        """Keep a witness's signature line for the checkpoint of `size`, together with those kept before."""
        self._change(
            "INSERT INTO cosigned VALUES (%(size)b, %(checkpoint)b::bytea || %(line)b::bytea)"
            " ON CONFLICT (size) DO UPDATE SET note = cosigned.note || %(line)b::bytea"
            " WHERE position(%(line)b::bytea IN cosigned.note) = 0",
            {"size": size, "checkpoint": checkpoint, "line": line},
        )

    def scrub(self) -> bool:
        """Vacuum what rows were removed from; False while a transaction runs that can still see them.

        Their space is free then, but nothing overwrites it until it is used again, and the write-ahead files are the
        server's own to recycle: see docs/postgresql.md for how to have it all gone at once.
        """
        connection = self._connect()
        with self._explaining():
            if self._removed_by and connection.execute(_STILL_SEEN, (self._removed_by,)).fetchone():
                return False
            said: list[str] = []
            with _noticing(connection, said):
                for table in ("opening", "held", "answered"):
                    vacuum = sql.SQL("VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) {}")
                    connection.execute(vacuum.format(sql.Identifier(self._name, table)))
        if said:  # to whom a table does not belong the server says so, and that is all
            raise LedgerUnavailable(f"{self._here} was not vacuumed: {said[0]}", remedy=_RIGHTS)
        self._removed_by = None
        return True

    def set_aside(self) -> str:
        """Rename the schema, once no other session of the ledger is there; returns the URL that it has from then on.

        A process that comes back later finds another ledger under the name, and refuses to go on. A password in
        the URL is left out of the one that is returned.
        """
        with self.lock():
            with self._explaining():
                aside = self._rename(self._connect())
            self._commit(lambda _: None)
        self._number = None
        return beside(self._url, aside)

    def recover(self) -> None:
        """Connect anew, wait until what was under way is settled, and make what is there durable.

        A backend that was lost in the middle of COMMIT holds the lock until that has succeeded or failed. Then
        one's own durable write puts everything before it on disk, and on the standbys that are waited for.
        """
        self.release()
        if self._read_only:
            self._connect()
        else:
            self._change("UPDATE head SET time = time", {})

    def release(self) -> None:
        """Close the connection; a transaction that is open is undone by that."""
        connection, self._connection = self._connection, None
        self._turn = None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """Let go of the parent's connection, so that it ends with the parent and not with this process.

        Only this process's copy of the socket goes. Were it kept, a dead parent's transaction would go on holding
        the lock; were it closed in the usual way, libpq would say goodbye in the parent's name.
        """
        connection = self._connection
        if connection is not None and not connection.closed:
            nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(nowhere, connection.fileno(), inheritable=False)
            os.close(nowhere)
        self._locked = False
        self.release()

    def _rename(self, connection: psycopg.Connection) -> str:
        others = (
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
            " AND pid <> pg_backend_pid()"
        )
        if connection.execute(others, (self._parameters["application_name"],)).rowcount:
            raise LedgerUnavailable(
                f"{self._here} is in use", remedy="stop everything that uses the ledger first"
            )
        taken = {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace")}
        aside = next(name for n in count(1) if (name := f"{self._name}_old_{n}") not in taken)
        rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
        connection.execute(rename.format(sql.Identifier(self._name), sql.Identifier(aside)))
        return aside

    # Transactions

    @property
    def _here(self) -> str:
        return f"the ledger {self._name} on PostgreSQL"

    def _take_turn(self) -> State:
        """Begin the transaction that holds the lock, unless it is under way."""
        if self._turn is None:
            self._turn = self._begin(self._turning + HEAD)
        return self._turn

    def _rollback(self) -> None:
        """Undo the transaction that is open, if any."""
        self._turn = None
        connection = self._connection
        if connection is not None and connection.info.transaction_status != TransactionStatus.IDLE:
            try:
                connection.execute("ROLLBACK")
            except psycopg.Error:
                self.release()

    def _begin(self, statements: str) -> State:
        """Begin a transaction with the head that the last of the statements finds."""

        def ask(connection: psycopg.Connection) -> tuple[State, None]:
            cursor = connection.execute(statements.encode())
            while cursor.nextset():
                pass
            return State.of(cursor.fetchall()), None

        return self._ask(ask)[0]

    def _ask(self, ask: Callable[[psycopg.Connection], tuple[State, _T]]) -> tuple[State, _T]:
        """Ask first of all for the state of the ledger, and for more.

        A connection may have died since it was last used, with the server or a firewall in between. Nothing has
        happened yet, so it is simply made anew.
        """
        again = self._connection is not None
        connection = self._connect()
        try:
            state, rest = ask(connection)
            return self._checked(state), rest
        except psycopg.Error as error:
            if not (again and connection.broken):
                self._fail(error)
        except BaseException:
            self.release()
            raise
        self.release()
        return self._ask(ask)

    def _checked(self, state: State) -> State:
        """Refuse a ledger that is not the one that it was. Whoever waited for the lock may find it changed."""
        if state.version != len(MIGRATIONS):
            raise LedgerUnavailable(
                f"{self._here} was given format {state.version} by another version of consentkit",
                remedy="run the same version everywhere",
            )
        if self._number not in (None, state.number):
            raise LedgerUnavailable(
                f"{self._here} is another one than it was", remedy="start the process anew"
            )
        self._number = state.number
        return state

    def _change(self, statement: LiteralString, values: dict[str, object]) -> None:
        """Run one statement in a durable transaction of its own."""
        with self.lock():
            self._commit(lambda connection: connection.execute(statement, values))

    def _commit(self, change: Callable[[psycopg.Connection], _T]) -> _T:
        """Make a change and end the transaction durably, in one flight; returns what `change` does."""
        connection = self._connect()
        try:
            with connection.pipeline():
                changed = change(connection)
                done = connection.execute("COMMIT")
        except psycopg.Error as error:
            if error.diag.severity_nonlocalized == "ERROR":  # the server lives, and has undone all
                self._fail(error)
            self.release()
            raise OutcomeUnknown(f"{self._here}: the commit failed: {_gist(error)}") from None
        self._turn = None
        if done.statusmessage != "COMMIT":
            raise LedgerUnavailable(f"{self._here}: the transaction had failed before it was committed")
        return changed

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            self._fail(error)

    def _fail(self, error: psycopg.Error) -> NoReturn:
        """End the transaction and raise what the error means, without the error itself."""
        if isinstance(error, _CONFLICTS) and self._turn is not None:
            self._rollback()
            raise LedgerConflict("the ledger moved on while records were signed") from None
        self.release()
        raise self._explained(error) from None

    def _explained(self, error: psycopg.Error) -> LedgerError:
        what = f"{self._here}: {_gist(error)}"
        if isinstance(error, _DAMAGE):
            return LedgerCorrupt(what, remedy="restore the ledger from a backup")
        if isinstance(error, errors.InsufficientPrivilege):
            return LedgerUnavailable(what, remedy=_RIGHTS)
        if isinstance(error, _MISSING):
            return LedgerUnavailable(what, remedy="check the name of the ledger; it may have been set aside")
        return LedgerUnavailable(what, remedy="check the server and the network")

    # Connections

    def _connect(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> psycopg.Connection:
        try:
            # Statements that were prepared would be lost where a pooler hands out another session.
            connection = _Connection.connect(
                make_conninfo(**self._parameters), autocommit=True, prepare_threshold=None
            )
        except psycopg.Error as error:
            raise LedgerUnavailable(
                f"{self._here} cannot be reached: {_gist(error)}",
                remedy="check the URL of the ledger, the server and the network",
            ) from None
        try:
            prepare(connection, self._name, self._turning, create=self._create, read_only=self._read_only)
        except BaseException as error:
            connection.close()
            if isinstance(error, psycopg.Error):
                raise self._explained(error) from None
            raise
        return connection


@contextmanager
def _noticing(connection: psycopg.Connection, said: list[str]) -> Iterator[None]:
    """Gather what the server warns of meanwhile."""

    def hear(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            said.append(_QUOTED.sub("...", diagnostic.message_primary or ""))

    connection.add_notice_handler(hear)
    try:
        yield
    finally:
        connection.remove_notice_handler(hear)


def _lock_key(name: str) -> int:
    return int.from_bytes(sha256(f"consentkit {name}".encode()).digest()[:8], "big", signed=True)


def _gist(error: psycopg.Error) -> str:
    """Return what went wrong without names, addresses and values: the first line, from the last colon's cause on."""
    text = error.diag.message_primary
    if text is None:
        lines = str(error).splitlines() or [type(error).__name__]
        line = next((line for line in reversed(lines) if "failed: " in line), lines[0])
        text = line.rpartition("failed: ")[2]
    return _QUOTED.sub("...", text.strip())
