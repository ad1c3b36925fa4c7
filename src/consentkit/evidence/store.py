"""What a ledger asks of a database: the seam between the log and SQLite, PostgreSQL or anything else.

A store holds entries, the hashes above them, openings, published policies and notices, and one head. It knows
nothing of signatures. The log changes by `commit` alone, in one durable transaction that replaces the head only
if it is still the one that the batch was built on. What witnesses say about it later is kept beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from attrs import field, frozen

from consentkit.errors import LedgerUnavailable
from consentkit.evidence.opening import Opening
from consentkit.tlog import Frontier, Growth

__all__ = [
    "Answered",
    "Basis",
    "Batch",
    "Head",
    "Hold",
    "NewOpening",
    "Published",
    "Removal",
    "Store",
    "Tail",
    "View",
    "open_store",
    "shown_url",
    "sqlite_path",
]

_REMEDY = "write it like sqlite:///path/consent.db, or postgresql://user@host/database?ledger=name"


@frozen
class Head:
    """The state of the log that the next append builds on.

    `checkpoint` is the signed note over `frontier`; `time` the latest time of any record so far, UTC
    milliseconds.
    """

    frontier: Frontier
    checkpoint: bytes = field(repr=False)
    time: int

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.frontier.size


class Tail(NamedTuple):
    """The newest record of a history: its number and its commitment, 32 bytes."""

    sequence: int
    commitment: bytes


class NewOpening(NamedTuple):
    """An opening to be stored, with its place in its history. A tuple: one is made for every record."""

    opening: Opening
    history: str
    sequence: int


@frozen
class Published:
    """A policy or notice to be stored: `kind` is `policy` or `notice`, `digest` the hex SHA-256 of `body`."""

    kind: str
    digest: str
    index: int
    body: bytes = field(repr=False)


class Removal(NamedTuple):
    """What the entry at index `at` says is gone: the openings of entries `first` up to before `stop`."""

    at: int
    first: int
    stop: int


@frozen
class Hold:
    """A hold: the entry that placed it, the one that released it or None, and the records that it is about.

    `indexes`, in order, are of records whose openings are there: once a hold is released they may go.
    """

    hold_id: str
    placed: int
    released: int | None
    indexes: tuple[int, ...]


class Answered(NamedTuple):
    """What was recorded for a request that carried an idempotency key, until `expires`, UTC milliseconds.

    `key` and `digest` have 32 bytes each: what the request is known by, and what it asked for; `at` is the index
    of the entry that came of it.
    """

    key: bytes
    digest: bytes
    at: int
    expires: int


@frozen
class Batch:
    """What one transaction writes: entries from the old head's size on, and all that belongs to them.

    `old` is None for the first batch of a new log. `keys` are the indexes of entries about keys. `day` is the
    UTC day of the commit, counted from 1970.

    `removals` take openings away, with their place in a history, in a hold and among the answered, but for those
    of the indexes that are `spared`. `holds` begin, `released` maps others to the entry that ends them. `answered`
    is remembered; what expired before the new head's time is forgotten then.
    """

    old: Head | None
    new: Head
    entries: tuple[bytes, ...]
    nodes: tuple[Growth, ...]
    openings: tuple[NewOpening, ...] = ()
    published: tuple[Published, ...] = ()
    keys: tuple[int, ...] = ()
    day: int = 0
    removals: tuple[Removal, ...] = ()
    spared: tuple[int, ...] = ()
    holds: tuple[Hold, ...] = ()
    released: tuple[tuple[str, int], ...] = ()
    answered: tuple[Answered, ...] = ()

    @property
    def first(self) -> int:
        """Index of the first new entry."""
        return self.old.size if self.old else 0


class Basis(NamedTuple):
    """What a batch of records is built on, at one moment of the log.

    `keys` are index and line of every entry about keys; `tails` and `answered` tell of those that were asked for.
    """

    head: Head | None
    keys: tuple[tuple[int, bytes], ...]
    tails: Mapping[str, Tail]
    answered: Mapping[bytes, Answered]


class View(Protocol):
    """One consistent state of a store. Ranges end before `stop` and may reach beyond what there is."""

    def head(self) -> Head | None:
        """Return the head; None before the first batch."""

    def tails(self, histories: Collection[str]) -> Mapping[str, Tail]:
        """Return the newest record of each of these histories that has one."""

    def key_entries(self) -> Iterator[tuple[int, bytes]]:
        """Yield index and line of every entry about keys, in order."""

    def has(self, kind: str, digest: str) -> bool:
        """Say whether a policy or notice was published."""

    def published(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """Yield digest and body of all policies or notices, in the order of their entries."""

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield entries in order."""

    def nodes(self, level: int, start: int, stop: int) -> Iterator[bytes]:
        """Yield hashes of complete subtrees of 2**`level` leaves, in order; `level` is 8, 16, 24..."""

    def openings(self, start: int, stop: int) -> Iterator[Opening]:
        """Yield the openings of these entries that there are, in order."""

    def history(self, history: str) -> Iterator[Opening]:
        """Yield the openings of one history, in order of their numbers."""

    def indexes(self, history: str) -> Iterator[int]:
        """Yield the indexes of the records of one history, in order."""

    def histories(self, start: int, stop: int) -> Iterator[str]:
        """Yield the histories of these entries that there are, each once."""

    def removals(self, since: int = 0) -> Iterator[Removal]:
        """Yield what the entries from index `since` on say is gone, in order."""

    def holds(self) -> Iterator[Hold]:
        """Yield all holds, released ones too, in the order in which they were placed."""

    def answered(self, keys: Collection[bytes]) -> Mapping[bytes, Answered]:
        """Return what is remembered of requests, by their keys."""

    def checkpoints(self) -> Iterator[tuple[int, bytes]]:
        """Yield size and note of the checkpoints that were kept, the last one of each UTC day, in order."""

    def cosigned(self, start: int = 0, limit: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield size and note of the checkpoints that witnesses cosigned, of size `start` and up, newest first.

        A note carries every cosignature that was kept for its size. `limit` is the most that are wanted.
        """


class Store(Protocol):
    """A database for one ledger, used by one thread at a time; connects when it is first used.

    Errors: LedgerUnavailable when it cannot be used, LedgerCorrupt when it holds nonsense.
    """

    def view(self) -> AbstractContextManager[View]:
        """Read one consistent state."""

    def basis(self, histories: Collection[str], requests: Collection[bytes]) -> Basis:
        """Read what records in these histories, asked for by these requests, are built on; as `view` otherwise."""

    def lock(self) -> AbstractContextManager[None]:
        """Wait for this process's turn to write; fair among processes."""

    def commit(self, batch: Batch) -> None:
        """Write a batch durably, or nothing of it.

        Raises LedgerConflict when the head is not `batch.old` any more, and OutcomeUnknown when it cannot tell
        whether the batch was written.
        """

    def keep_cosigned(self, size: int, checkpoint: bytes, line: bytes) -> None:
        """Keep, durably, a witness's signature line for the checkpoint of `size` that the log signed.

        It is added to those that were kept for that size before; one that is there already changes nothing.
        Takes its turn to write by itself: the caller does not hold the lock.
        """

    def scrub(self) -> bool:
        """Overwrite, as far as this store can, what batches have removed; False while somebody still reads it.

        Takes its turn to write by itself, and waits for no reader.
        """

    def set_aside(self) -> str:
        """Move the ledger out of the way for good, under a name that nothing else has; returns its new URL.

        Raises LedgerUnavailable when there is none, or while another process has it open.
        """

    def recover(self) -> None:
        """Connect anew after an error, and make durable whatever is there. Raises as all methods do."""

    def release(self) -> None:
        """Let go of every connection and lock; the next use connects anew."""

    def abandon(self) -> None:
        """Forget connections that belong to the parent process, without touching them."""


def open_store(url: str, *, create: bool = False, read_only: bool = False) -> Store:
    """Return the store that a ledger's URL names; `sqlite:///consent.db` is relative, `sqlite:////...` absolute.

    `consentkit.evidence.postgres` tells what a `postgresql://` URL may say. Raises LedgerUnavailable for a scheme
    that is not known, for a URL without a file, and when a driver is not installed.
    """
    if url.startswith("postgresql://"):
        return _postgres(url, create=create, read_only=read_only)
    path = sqlite_path(url)
    from consentkit.evidence.sqlite import SQLiteStore  # noqa: PLC0415  no other store needs SQLite

    return SQLiteStore(path, create=create, read_only=read_only)


def sqlite_path(url: str) -> Path:
    """Return the file that a `sqlite:///` URL names. Raises LedgerUnavailable for any other URL."""
    scheme, _, path = url.partition("://")
    if scheme != "sqlite" or not path:
        raise LedgerUnavailable(f"{shown_url(url)!r} is not the URL of a ledger", remedy=_REMEDY)
    if not path.startswith("/") or path in ("/", "/:memory:") or "?" in path or "\0" in path:
        raise LedgerUnavailable(f"{url!r} names no database file", remedy=_REMEDY)
    return Path(path[1:])


def shown_url(url: str) -> str:
    """Return a ledger's URL as it may be shown: without user, password and parameters."""
    scheme, found, rest = url.partition("://")
    return url if scheme == "sqlite" else f"{scheme}{found}{rest.partition('?')[0].rpartition('@')[2]}"


def _postgres(url: str, *, create: bool, read_only: bool) -> Store:
    try:
        from consentkit.evidence.postgres import PostgresStore  # noqa: PLC0415  an extra, for those who need it
    except ImportError as error:
        raise LedgerUnavailable(
            f"psycopg cannot be loaded: {error}", remedy="pip install 'consentkit[postgres]'"
        ) from error
    return PostgresStore(url, create=create, read_only=read_only)
