"""The tables of a ledger on PostgreSQL: how they are filled and read.

Every statement names its tables bare; the transaction around it says which schema they are in. All of a batch
goes to the server in one flight, each table's rows as arrays, and so does all that it is built on come back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Connection

from consentkit.errors import InvalidProof, LedgerCorrupt
from consentkit.evidence._postgres_schema import Rows, only_row
from consentkit.evidence.entry import record_commitment
from consentkit.evidence.opening import Opening
from consentkit.evidence.store import Answered, Basis, Batch, Head, Hold, Removal, Tail
from consentkit.tlog import HASH_SIZE, Frontier

__all__ = ["BASIS", "HEAD", "PostgresView", "State", "read_basis", "write"]

HEAD: Final[LiteralString] = (
    "SELECT version, number, size, frontier, checkpoint, time FROM consentkit LEFT JOIN head ON id = 1"
)
_KEY_ENTRIES: Final[LiteralString] = (
    # not a join: of a table that nobody has analysed the planner expects thousands of rows, and reads all entries
    "SELECT idx, (SELECT line FROM entry WHERE entry.idx = key_entry.idx) FROM key_entry ORDER BY idx"
)
_TAILS: Final[LiteralString] = (
    "SELECT last.history, last.sequence, (SELECT line FROM entry WHERE entry.idx = last.idx)"
    " FROM unnest(%b::text[]) AS wanted (history) CROSS JOIN LATERAL ("
    "SELECT * FROM opening WHERE opening.history = wanted.history ORDER BY sequence DESC LIMIT 1) AS last"
)
# All that a batch is built on, in one statement: that is one state of the ledger, one message there and one back. Its
# values are no part of its text, so that a server that logs what it ends does not log pseudonyms.
BASIS: Final[LiteralString] = (
    "SELECT 0 AS kind, version::bigint, size, time, number::text, frontier, checkpoint"
    " FROM {schema}.consentkit LEFT JOIN {schema}.head ON id = 1"
    " UNION ALL (SELECT 1, idx, NULL, NULL, NULL,"
    " (SELECT line FROM {schema}.entry WHERE entry.idx = key_entry.idx), NULL"
    " FROM {schema}.key_entry ORDER BY idx)"
    " UNION ALL SELECT 2, last.sequence, NULL, NULL, last.history,"
    " (SELECT line FROM {schema}.entry WHERE entry.idx = last.idx), NULL"
    " FROM unnest(%b::text[]) AS wanted (history) CROSS JOIN LATERAL (SELECT * FROM {schema}.opening"
    " WHERE opening.history = wanted.history ORDER BY sequence DESC LIMIT 1) AS last"
    " UNION ALL SELECT 3, idx, expires, NULL, NULL, key, digest"
    " FROM {schema}.answered WHERE key = ANY (%b::bytea[])"
)
# Whoever finds another head divides by zero, and nothing of what follows happens. One statement, since each costs
# as much as a good many rows.
_REST: Final[LiteralString] = (
    ", kept AS (INSERT INTO checkpoint VALUES (%(day)b, %(size)b, %(note)b)"
    " ON CONFLICT (day) DO UPDATE SET size = excluded.size, note = excluded.note),"
    " entered AS (INSERT INTO entry SELECT %(first)b::bigint + number - 1, line"
    " FROM unnest(%(lines)b::bytea[]) WITH ORDINALITY AS new (line, number))"
    " SELECT 1 / count(*) FROM swapped"
)
_FIRST_HEAD: Final[LiteralString] = (
    "WITH swapped AS ("  # noqa: S608  constants
    "INSERT INTO head VALUES (1, %(size)b, %(frontier)b, %(note)b, %(time)b) RETURNING id)" + _REST
)
_SWAP_HEAD: Final[LiteralString] = (
    "WITH swapped AS (UPDATE head"  # noqa: S608  constants
    " SET size = %(size)b, frontier = %(frontier)b, checkpoint = %(note)b, time = %(time)b"
    " WHERE size = %(first)b AND checkpoint = %(old)b RETURNING id)" + _REST
)
_NODES: Final = "INSERT INTO node SELECT * FROM unnest(%b::smallint[], %b::bigint[], %b::bytea[])"
_OPENINGS: Final = (
    "INSERT INTO opening"
    " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::bytea[])"
)
_PUBLISHED: Final = (
    "INSERT INTO published SELECT * FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bytea[])"
)
_KEYS: Final = "INSERT INTO key_entry SELECT * FROM unnest(%b::bigint[])"
_ANSWERED: Final = (
    "INSERT INTO answered SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bigint[], %b::bigint[])"
    " ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, idx = excluded.idx, expires = excluded.expires"
)
_FORGET: Final = "DELETE FROM answered WHERE expires < %b"
_REMOVALS: Final = "INSERT INTO removal SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[])"
_GONE: Final = (
    " USING unnest(%b::bigint[], %b::bigint[]) AS gone (first, stop)"
    " WHERE idx >= gone.first AND idx < gone.stop AND idx <> ALL (%b::bigint[])"
)
_REMOVE: Final[tuple[LiteralString, ...]] = (
    "DELETE FROM opening" + _GONE,  # noqa: S608  constants
    "DELETE FROM held" + _GONE,  # noqa: S608  constants
    "DELETE FROM answered" + _GONE,  # noqa: S608  constants
)
_HOLDS: Final = "INSERT INTO hold SELECT * FROM unnest(%b::text[], %b::bigint[], %b::bigint[])"
_HELD: Final = "INSERT INTO held SELECT * FROM unnest(%b::bigint[], %b::text[])"
_RELEASE: Final = (
    "UPDATE hold SET released = new.released FROM unnest(%b::text[], %b::bigint[]) AS new (id, released)"
    " WHERE hold.id = new.id"
)

_PAGE: Final = 1024
_FLOCK: Final = 256  # rows in one statement: the server writes some while the next are made ready


class State(NamedTuple):
    """What `HEAD` finds: the format of the ledger, the number that tells it from any other, and its head."""

    version: int
    number: str
    head: Head | None

    @classmethod
    def of(cls, rows: Rows) -> State:
        """Read what was found. Raises LedgerCorrupt for a head that cannot be one."""
        version, number, size, frontier, checkpoint, time = only_row(rows)
        if size is None:
            return cls(version, str(number), None)
        hashes = tuple(frontier[i : i + HASH_SIZE] for i in range(0, len(frontier), HASH_SIZE))
        try:
            return cls(version, str(number), Head(Frontier(size, hashes), checkpoint, time))
        except InvalidProof as error:
            raise LedgerCorrupt(f"the head of the ledger is damaged: {error.message}") from error


def read_basis(rows: Rows) -> tuple[State, Basis]:
    """Return what `BASIS` finds: the state of the ledger, and what a batch is built on."""
    kinds: tuple[Rows, Rows, Rows, Rows] = ([], [], [], [])
    for kind, *rest in rows:
        kinds[kind].append(tuple(rest))
    states, keys, tails, answered = kinds
    state = State.of([(row[0], row[3], row[1], row[4], row[5], row[2]) for row in states])
    basis = Basis(
        state.head,
        tuple((index, line) for index, _, _, _, line, _ in keys),
        _tails([(history, sequence, line) for sequence, _, _, history, line, _ in tails]),
        {key: Answered(key, digest, index, expires) for index, expires, _, _, key, digest in answered},
    )
    return state, basis


def write(connection: Connection, batch: Batch) -> None:
    """Send all of a batch, within a transaction and a pipeline; it fails when the head has moved on."""
    new = batch.new
    head = {
        "size": new.size, "frontier": b"".join(new.frontier.hashes), "note": new.checkpoint, "time": new.time,
        "day": batch.day, "first": batch.first, "lines": list(batch.entries),
    }  # fmt: skip
    if batch.old is None:
        connection.execute(_FIRST_HEAD, head)
    else:
        connection.execute(_SWAP_HEAD, {**head, "old": batch.old.checkpoint})
    nodes = [(g.level, at, node) for g in batch.nodes for at, node in enumerate(g.hashes, g.first)]
    openings = [
        (o.index, history, sequence, o.record, "~".join(o.disclosures), o.blind)
        for o, history, sequence in batch.openings
    ]
    published = [(p.kind, p.digest, p.index, p.body) for p in batch.published]
    keys = [(index,) for index in batch.keys]
    for statement, rows in (
        (_NODES, nodes),
        (_OPENINGS, openings),
        (_PUBLISHED, published),
        (_KEYS, keys),
        (_ANSWERED, batch.answered),
        (_REMOVALS, batch.removals),
        (_HOLDS, [(hold.hold_id, hold.placed, hold.released) for hold in batch.holds]),
        (_HELD, [(index, hold.hold_id) for hold in batch.holds for index in hold.indexes]),
        (_RELEASE, batch.released),
    ):
        for at in range(0, len(rows), _FLOCK):
            columns = zip(*rows[at : at + _FLOCK], strict=True)
            connection.execute(statement, [list(column) for column in columns])
    if batch.removals:
        _, first, stop = (list(column) for column in zip(*batch.removals, strict=True))
        for statement in _REMOVE:
            connection.execute(statement, (first, stop, list(batch.spared)))
    if batch.answered:
        connection.execute(_FORGET, (new.time,))


class PostgresView:
    """A `View` inside a transaction. Long ranges are read page by page."""

    def __init__(self, connection: Connection, head: Head | None) -> None:
        self._connection, self._head = connection, head

    def _read(self, query: LiteralString, *values: object) -> Rows:
        return self._connection.execute(query, values, binary=True).fetchall()

    def _pages(
        self, query: LiteralString, start: int, stop: int, *values: object
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of `query`, which begin with their index and are ordered by it, from `start` to `stop`."""
        while start < stop:
            rows = self._read(query, *values, start, stop, _PAGE)
            yield from rows
            if len(rows) < _PAGE:
                return
            start = rows[-1][0] + 1

    def head(self) -> Head | None:
        return self._head

    def tails(self, histories: Collection[str]) -> Mapping[str, Tail]:
        return _tails(self._read(_TAILS, list(histories)))

    def key_entries(self) -> Iterator[tuple[int, bytes]]:
        return iter(self._read(_KEY_ENTRIES))

    def has(self, kind: str, digest: str) -> bool:
        return bool(self._read("SELECT FROM published WHERE kind = %b AND digest = %b", kind, digest))

    def published(self, kind: str) -> Iterator[tuple[str, bytes]]:
        return iter(self._read("SELECT digest, body FROM published WHERE kind = %b ORDER BY idx", kind))

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        query = "SELECT idx, line FROM entry WHERE idx >= %b AND idx < %b ORDER BY idx LIMIT %b"
        return (line for _, line in self._pages(query, start, stop))

    def nodes(self, level: int, start: int, stop: int) -> Iterator[bytes]:
        query = "SELECT idx, hash FROM node WHERE level = %b AND idx >= %b AND idx < %b ORDER BY idx LIMIT %b"
        return (node for _, node in self._pages(query, start, stop, level))

    def openings(self, start: int, stop: int) -> Iterator[Opening]:
        query = (
            "SELECT idx, record, disclosures, blind FROM opening"
            " WHERE idx >= %b AND idx < %b ORDER BY idx LIMIT %b"
        )
        rows = self._pages(query, start, stop)
        return (Opening(index, record, tuple(told.split("~")), blind) for index, record, told, blind in rows)

    def history(self, history: str) -> Iterator[Opening]:
        query: LiteralString = (
            "SELECT idx, record, disclosures, blind FROM opening WHERE history = %b ORDER BY sequence"
        )
        rows = self._read(query, history)
        return (Opening(index, record, tuple(told.split("~")), blind) for index, record, told, blind in rows)

    def indexes(self, history: str) -> Iterator[int]:
        rows = self._read("SELECT idx FROM opening WHERE history = %b ORDER BY idx", history)
        return (index for (index,) in rows)

    def histories(self, start: int, stop: int) -> Iterator[str]:
        rows = self._read("SELECT DISTINCT history FROM opening WHERE idx >= %b AND idx < %b", start, stop)
        return (history for (history,) in rows)

    def removals(self, since: int = 0) -> Iterator[Removal]:
        rows = self._read("SELECT at, first, stop FROM removal WHERE at >= %b ORDER BY at", since)
        return map(Removal._make, rows)

    def holds(self) -> Iterator[Hold]:
        rows = self._read(
            "SELECT id, placed, released,"
            " ARRAY(SELECT idx FROM held WHERE held.hold = hold.id ORDER BY idx) FROM hold ORDER BY placed"
        )
        return (Hold(name, placed, released, tuple(indexes)) for name, placed, released, indexes in rows)

    def answered(self, keys: Collection[bytes]) -> Mapping[bytes, Answered]:
        rows = self._read("SELECT * FROM answered WHERE key = ANY (%b::bytea[])", list(keys))
        return {row[0]: Answered._make(row) for row in rows}

    def checkpoints(self) -> Iterator[tuple[int, bytes]]:
        return iter(self._read("SELECT size, note FROM checkpoint ORDER BY size"))

    def cosigned(self, start: int = 0, limit: int | None = None) -> Iterator[tuple[int, bytes]]:
        query = "SELECT size, note FROM cosigned WHERE size >= %b ORDER BY size DESC LIMIT %b"
        return iter(self._read(query, start, limit))


def _tails(rows: Rows) -> dict[str, Tail]:
    return {history: Tail(sequence, _commitment(line)) for history, sequence, line in rows}


def _commitment(line: bytes | None) -> bytes:
    if line is None or (c := record_commitment(line)) is None:
        raise LedgerCorrupt("the entry of an opening is not that of a record")
    return c
