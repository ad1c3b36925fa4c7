"""The tables of a ledger on PostgreSQL: how they are made and brought up to date, filled, and read.

Every statement names its tables bare; the transaction around it says which schema they are in. All of a batch
goes to the server in one flight, each table's rows as arrays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Connection

from consentkit.errors import InvalidProof, LedgerCorrupt
from consentkit.evidence.entry import record_commitment
from consentkit.evidence.opening import Opening
from consentkit.evidence.store import Answered, Batch, Head, Hold, Removal, Tail
from consentkit.tlog import HASH_SIZE, Frontier

__all__ = ["HEAD", "MARK", "MIGRATIONS", "PostgresView", "State", "write"]

MARK: Final = "consentkit"
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
)

HEAD: Final[LiteralString] = (
    "SELECT version, number, size, frontier, checkpoint, time FROM consentkit LEFT JOIN head ON true"
)
_INSERT_HEAD: Final = "INSERT INTO head VALUES (1, %b, %b, %b, %b) ON CONFLICT DO NOTHING"
_SWAP_HEAD: Final = (
    "UPDATE head SET size = %b, frontier = %b, checkpoint = %b, time = %b WHERE size = %b AND checkpoint = %b"
)
_KEEP_CHECKPOINT: Final = (
    "INSERT INTO checkpoint VALUES (%b, %b, %b)"
    " ON CONFLICT (day) DO UPDATE SET size = excluded.size, note = excluded.note"
)
_ENTRIES: Final = (
    "INSERT INTO entry SELECT %b::bigint + number - 1, line"
    " FROM unnest(%b::bytea[]) WITH ORDINALITY AS new (line, number)"
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


class State(NamedTuple):
    """What `HEAD` finds: the format of the ledger, the number that tells it from any other, and its head."""

    version: int
    number: str
    head: Head | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> State:
        """Read a row. Raises LedgerCorrupt for a head that cannot be one."""
        version, number, size, frontier, checkpoint, time = row
        if size is None:
            return cls(version, str(number), None)
        hashes = tuple(frontier[i : i + HASH_SIZE] for i in range(0, len(frontier), HASH_SIZE))
        try:
            return cls(version, str(number), Head(Frontier(size, hashes), checkpoint, time))
        except InvalidProof as error:
            raise LedgerCorrupt(f"the head of the ledger is damaged: {error.message}") from error


def write(connection: Connection, batch: Batch) -> bool:
    """Write all of a batch within the transaction; False when the head was not the one that it was built on."""
    new = batch.new
    head: tuple[object, ...] = (new.size, b"".join(new.frontier.hashes), new.checkpoint, new.time)
    with connection.pipeline():
        if batch.old is None:
            swapped = connection.execute(_INSERT_HEAD, head)
        else:
            swapped = connection.execute(_SWAP_HEAD, (*head, batch.old.size, batch.old.checkpoint))
        connection.execute(_KEEP_CHECKPOINT, (batch.day, new.size, new.checkpoint))
        connection.execute(_ENTRIES, (batch.first, list(batch.entries)))
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
            if rows:
                connection.execute(statement, [list(column) for column in zip(*rows, strict=True)])
        if batch.removals:
            _, first, stop = (list(column) for column in zip(*batch.removals, strict=True))
            for statement in _REMOVE:
                connection.execute(statement, (first, stop, list(batch.spared)))
        if batch.answered:
            connection.execute(_FORGET, (new.time,))
    return swapped.rowcount == 1


class PostgresView:
    """A `View` inside a transaction. Long ranges are read page by page."""

    def __init__(self, connection: Connection, head: Head | None) -> None:
        self._connection, self._head = connection, head

    def _read(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
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
        rows = self._read(
            "SELECT last.history, last.sequence, (SELECT line FROM entry WHERE entry.idx = last.idx)"
            " FROM unnest(%b::text[]) AS wanted (history) CROSS JOIN LATERAL ("
            "SELECT * FROM opening WHERE opening.history = wanted.history ORDER BY sequence DESC LIMIT 1) AS last",
            list(histories),
        )
        return {history: Tail(sequence, _commitment(line)) for history, sequence, line in rows}

    def key_entries(self) -> Iterator[tuple[int, bytes]]:
        return iter(self._read("SELECT idx, line FROM key_entry JOIN entry USING (idx) ORDER BY idx"))

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


def _commitment(line: bytes | None) -> bytes:
    if line is None or (c := record_commitment(line)) is None:
        raise LedgerCorrupt("the entry of an opening is not that of a record")
    return c
