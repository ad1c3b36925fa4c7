"""The embedded store: one SQLite file, shared by the worker processes of one machine."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from consentkit.errors import InvalidProof, LedgerConflict, LedgerCorrupt, LedgerUnavailable
from consentkit.evidence._files import sync_folder
from consentkit.evidence._sqlite_file import SQLiteFile
from consentkit.evidence._sqlite_schema import check_schema, prepare
from consentkit.evidence.entry import record_commitment
from consentkit.evidence.opening import Opening
from consentkit.evidence.store import Answered, Basis, Batch, Head, Hold, Removal, Tail
from consentkit.tlog import HASH_SIZE, Frontier

__all__ = ["SQLiteStore"]

_COMMIT_PAGES: Final = 10  # about so many for a commit, and one for each entry


class SQLiteStore(SQLiteFile):
    """A `Store` in one file. With `create`, the file is made when it is not there; its folder has to be."""

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        super().__init__(path, "ledger", prepare, check_schema, create=create, read_only=read_only)

    @contextmanager
    def view(self) -> Iterator[_View]:
        """Read one consistent state."""
        with self._reading() as connection:
            yield _View(connection)

    def basis(self, histories: Collection[str], requests: Collection[bytes]) -> Basis:
        """Read what a batch is built on."""
        with self.view() as view:
            return Basis(
                view.head(),
                tuple(view.key_entries()),
                view.tails(histories) if histories else {},
                view.answered(requests) if requests else {},
            )

    def commit(self, batch: Batch) -> None:
        """Write a batch durably, or nothing of it; the caller holds the lock."""
        self._transact(lambda connection: _write(connection, batch), _COMMIT_PAGES + len(batch.entries))

    def keep_cosigned(self, size: int, checkpoint: bytes, line: bytes) -> None:
        """Keep a witness's signature line for the checkpoint of `size`, together with those kept before."""
        connection = self._connect()
        with self.lock():
            try:
                connection.execute(
                    "INSERT INTO cosigned VALUES (?, ?) ON CONFLICT (size) DO UPDATE"
                    " SET note = CAST(note || ? AS BLOB) WHERE instr(note, ?) = 0",
                    (size, checkpoint + line, line, line),
                )
            except sqlite3.Error as error:
                raise self._explained(error) from error

    def set_aside(self) -> str:
        """Rename the file, once nobody else has it open; returns the URL that it has from then on.

        A damaged one is renamed as it is, with what SQLite left beside it.
        """
        names = (self._path.with_name(f"{self._path.name}.old-{n}") for n in count(1))
        aside = next(path for path in names if not path.exists())
        try:
            self._close_for_good()
        except LedgerCorrupt:
            self.release()
        with self.lock():
            for suffix in ("", "-wal", "-shm"):
                if (path := Path(f"{self._path}{suffix}")).exists():
                    path.rename(f"{aside}{suffix}")
            sync_folder(self._path.parent)
        return f"sqlite:///{aside}"

    def _close_for_good(self) -> None:
        """Move the write-ahead log into the file and close it, if it is nobody else's."""
        with closing(self._connect()) as connection, self.lock():
            self._connection = None
            try:
                # Leaving the write-ahead log needs the file for oneself, and moves all that is there into it.
                connection.execute("PRAGMA busy_timeout = 0")
                connection.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError as error:
                raise LedgerUnavailable(
                    f"{self._path} is in use ({error})", remedy="stop everything that uses the ledger first"
                ) from error
            except sqlite3.Error as error:
                raise self._explained(error) from error


def _write(connection: sqlite3.Connection, batch: Batch) -> None:
    _swap_head(connection, batch)
    nodes = [(g.level, at, node) for g in batch.nodes for at, node in enumerate(g.hashes, g.first)]
    openings = [
        (o.index, history, sequence, o.record, "~".join(o.disclosures), o.blind)
        for o, history, sequence in batch.openings
    ]
    published = [(p.kind, p.digest, p.index, p.body) for p in batch.published]
    for statement, rows in (
        ("INSERT INTO entry VALUES (?, ?)", list(enumerate(batch.entries, batch.first))),
        ("INSERT INTO node VALUES (?, ?, ?)", nodes),
        ("INSERT INTO opening VALUES (?, ?, ?, ?, ?, ?)", openings),
        ("INSERT INTO published VALUES (?, ?, ?, ?)", published),
        ("INSERT INTO key_entry VALUES (?)", [(index,) for index in batch.keys]),
        ("REPLACE INTO answered VALUES (?, ?, ?, ?)", batch.answered),
        ("INSERT INTO removal VALUES (?, ?, ?)", batch.removals),
        ("INSERT INTO hold VALUES (?, ?, ?)", [(h.hold_id, h.placed, h.released) for h in batch.holds]),
        ("INSERT INTO held VALUES (?, ?)", [(at, h.hold_id) for h in batch.holds for at in h.indexes]),
        ("UPDATE hold SET released = ? WHERE id = ?", [(index, name) for name, index in batch.released]),
    ):
        if rows:
            connection.executemany(statement, rows)
    if batch.removals:
        _remove(connection, batch)
    if batch.answered:
        connection.execute("DELETE FROM answered WHERE expires < ?", (batch.new.time,))


def _remove(connection: sqlite3.Connection, batch: Batch) -> None:
    """Take away what the batch's entries say is gone; `secure_delete` overwrites it."""
    spared = json.dumps(batch.spared)
    ranges = [(first, stop, spared) for _, first, stop in batch.removals]
    for statement in (
        "DELETE FROM opening WHERE idx >= ? AND idx < ? AND idx NOT IN (SELECT value FROM json_each(?))",
        "DELETE FROM held WHERE idx >= ? AND idx < ? AND idx NOT IN (SELECT value FROM json_each(?))",
        "DELETE FROM answered WHERE idx >= ? AND idx < ? AND idx NOT IN (SELECT value FROM json_each(?))",
    ):
        connection.executemany(statement, ranges)


def _swap_head(connection: sqlite3.Connection, batch: Batch) -> None:
    """Replace the head, only if it is the one that the batch was built on."""
    new = batch.new
    values = (new.size, b"".join(new.frontier.hashes), new.checkpoint, new.time)
    if batch.old is None:
        connection.execute("INSERT INTO head VALUES (1, ?, ?, ?, ?)", values)
    else:
        swapped = connection.execute(
            "UPDATE head SET size = ?, frontier = ?, checkpoint = ?, time = ? WHERE size = ? AND checkpoint = ?",
            (*values, batch.old.size, batch.old.checkpoint),
        )
        if swapped.rowcount != 1:
            raise LedgerConflict("the ledger moved on while records were signed")
    connection.execute(
        "INSERT INTO checkpoint VALUES (?, ?, ?)"
        " ON CONFLICT (day) DO UPDATE SET size = excluded.size, note = excluded.note",
        (batch.day, new.size, new.checkpoint),
    )


class _View:
    """A `View` inside a read transaction. Columns are cast: SQLite keeps any type in any of them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def head(self) -> Head | None:
        row = self._execute(
            "SELECT CAST(size AS INTEGER), CAST(frontier AS BLOB), CAST(checkpoint AS BLOB), CAST(time AS INTEGER)"
            " FROM head"
        ).fetchone()
        if row is None:
            return None
        size, frontier, checkpoint, time = row
        hashes = tuple(frontier[i : i + HASH_SIZE] for i in range(0, len(frontier), HASH_SIZE))
        try:
            return Head(Frontier(size, hashes), checkpoint, time)
        except InvalidProof as error:
            raise LedgerCorrupt(f"the head of the ledger is damaged: {error.message}") from error

    def tails(self, histories: Collection[str]) -> Mapping[str, Tail]:
        rows = self._execute(
            "SELECT o.history, o.sequence, CAST(e.line AS BLOB) FROM json_each(?) h"
            " JOIN opening o ON o.history = h.value AND o.sequence ="
            " (SELECT max(sequence) FROM opening WHERE history = h.value) JOIN entry e ON e.idx = o.idx",
            (json.dumps(list(histories)),),
        )
        return {history: Tail(sequence, _commitment(line)) for history, sequence, line in rows}

    def key_entries(self) -> Iterator[tuple[int, bytes]]:
        return iter(
            self._execute("SELECT idx, CAST(line AS BLOB) FROM key_entry JOIN entry USING (idx) ORDER BY idx")
        )

    def has(self, kind: str, digest: str) -> bool:
        query = "SELECT 1 FROM published WHERE kind = ? AND digest = ?"
        return self._execute(query, (kind, digest)).fetchone() is not None

    def published(self, kind: str) -> Iterator[tuple[str, bytes]]:
        return iter(
            self._execute(
                "SELECT digest, CAST(body AS BLOB) FROM published WHERE kind = ? ORDER BY idx", (kind,)
            )
        )

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        rows = self._execute(
            "SELECT CAST(line AS BLOB) FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", (start, stop)
        )
        return (line for (line,) in rows)

    def nodes(self, level: int, start: int, stop: int) -> Iterator[bytes]:
        query = "SELECT CAST(hash AS BLOB) FROM node WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx"
        return (node for (node,) in self._execute(query, (level, start, stop)))

    def openings(self, start: int, stop: int) -> Iterator[Opening]:
        rows = self._execute(
            "SELECT idx, CAST(record AS TEXT), CAST(disclosures AS TEXT), CAST(blind AS BLOB) FROM opening"
            " WHERE idx >= ? AND idx < ? ORDER BY idx",
            (start, stop),
        )
        return (Opening(index, record, tuple(told.split("~")), blind) for index, record, told, blind in rows)

    def history(self, history: str) -> Iterator[Opening]:
        rows = self._execute(
            "SELECT idx, CAST(record AS TEXT), CAST(disclosures AS TEXT), CAST(blind AS BLOB) FROM opening"
            " WHERE history = ? ORDER BY sequence",
            (history,),
        )
        return (Opening(index, record, tuple(told.split("~")), blind) for index, record, told, blind in rows)

    def indexes(self, history: str) -> Iterator[int]:
        rows = self._execute("SELECT idx FROM opening WHERE history = ? ORDER BY idx", (history,))
        return (index for (index,) in rows)

    def histories(self, start: int, stop: int) -> Iterator[str]:
        query = "SELECT DISTINCT history FROM opening WHERE idx >= ? AND idx < ?"
        return (history for (history,) in self._execute(query, (start, stop)))

    def removals(self, since: int = 0) -> Iterator[Removal]:
        rows = self._execute("SELECT at, first, stop FROM removal WHERE at >= ? ORDER BY at", (since,))
        return map(Removal._make, rows)

    def holds(self) -> Iterator[Hold]:
        indexes = "SELECT idx FROM held WHERE hold = ? ORDER BY idx"
        for name, placed, released in self._execute("SELECT id, placed, released FROM hold ORDER BY placed"):
            yield Hold(name, placed, released, tuple([index for (index,) in self._execute(indexes, (name,))]))

    def answered(self, keys: Collection[bytes]) -> Mapping[bytes, Answered]:
        query = "SELECT CAST(key AS BLOB), CAST(digest AS BLOB), idx, expires FROM answered WHERE key = ?"
        rows = [row for key in keys for row in self._execute(query, (key,))]
        return {row[0]: Answered._make(row) for row in rows}

    def checkpoints(self) -> Iterator[tuple[int, bytes]]:
        return iter(self._execute("SELECT size, CAST(note AS BLOB) FROM checkpoint ORDER BY size"))

    def cosigned(self, start: int = 0, limit: int | None = None) -> Iterator[tuple[int, bytes]]:
        query = "SELECT size, CAST(note AS BLOB) FROM cosigned WHERE size >= ? ORDER BY size DESC LIMIT ?"
        return iter(self._execute(query, (start, -1 if limit is None else limit)))


def _commitment(line: bytes) -> bytes:
    if (c := record_commitment(line)) is None:
        raise LedgerCorrupt("the entry of an opening is not that of a record")
    return c
