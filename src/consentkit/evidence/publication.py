"""The log as static files, as c2sp.org/tlog-tiles has it: tiles, entry bundles, checkpoints, the head last.

What is written is public: commitments, digests and hashes, and nothing that opens them. Files are written once, so
that several processes may publish one ledger to one place, and one that was interrupted is carried on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Final

from attrs import define, evolve, field

from consentkit.errors import (
    ConsentkitError,
    InvalidNote,
    InvalidProof,
    InvalidTile,
    LedgerError,
    LedgerUnavailable,
)
from consentkit.evidence._follower import Next, pause
from consentkit.evidence.bucket import Bucket, File, Found
from consentkit.evidence.hashes import StoredHashes, check_head
from consentkit.evidence.heads import with_cosignatures
from consentkit.evidence.store import Head, Store, View, open_store
from consentkit.tlog import (
    TILE_WIDTH,
    Checkpoint,
    Tile,
    check_consistency,
    encode_bundle,
    new_tiles,
    parse_note,
    parse_tile_path,
    partial_tiles,
    prove_consistency,
)

__all__ = ["LogFiles", "Publisher", "log_file", "publish"]

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 5
_INTERVAL: Final = 1.0
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,14}")
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 120.0


class LogFiles:
    """The files of one log at one place, as far as the head of `view` reaches; `prefix` begins all their names.

    `found` is the checkpoint that was there before the head was read. `view` may be a single state, or one that each
    call reads anew: what lies below the head never changes.
    """

    def __init__(self, bucket: Bucket, found: Found | None, view: View, head: Head, prefix: str = "") -> None:
        self.bucket: Bucket = bucket
        self.found: Found | None = found
        self.view: View = view
        self.head: Head = head
        self.prefix: str = prefix
        self.read: StoredHashes = StoredHashes(view)

    def published_size(self) -> int | None:
        """Return the size of the log that is there, once it is known to be this one's beginning; None for none.

        Raises LedgerError when it is another log, a longer one, or a fork.
        """
        if self.found is None:
            return None
        try:
            old = Checkpoint.parse(parse_note(self.found.data)[0])
        except InvalidNote as error:
            raise self.unfit(f"its checkpoint is damaged: {error.message}") from error
        new = Checkpoint.parse(parse_note(self.head.checkpoint)[0])
        if old.log_name != new.log_name:
            raise self.unfit(f"it is that of the log {old.log_name}, not of {new.log_name}")
        if old.size > new.size:
            raise self.unfit(f"it has {old.size} entries, and the ledger has {new.size}")
        try:
            proof = prove_consistency(old.size, new.size, self.read)
            check_consistency(old.size, new.size, old.root, new.root, proof)
        except InvalidProof as error:
            raise self.unfit(f"the ledger does not continue it: {error.message}") from error
        return old.size

    def unfit(self, why: str) -> LedgerError:
        """Make the error for a place that cannot be brought up to date."""
        return LedgerError(
            f"the log at {self.bucket.place} is not an earlier state of this ledger: {why}",
            remedy="keep it, find out why, and write to another place",
        )

    def files(self, tile: Tile) -> Iterator[File]:
        """Yield what is written for a tile; the hashes of level 0 come with the bundle that they are made from."""
        if tile.level is None:
            entries = encode_bundle(self.view.entries(tile.first, tile.first + tile.width))
            yield File(f"{self.prefix}{tile.path}", entries)
            yield from self.hashes(evolve(tile, level=0))
        elif tile.level:
            yield from self.hashes(tile)

    def hashes(self, tile: Tile) -> Iterator[File]:
        """Yield a tile of hashes."""
        hashes = self.read.tile(tile.level or 0, tile.index)[: tile.width]
        yield File(f"{self.prefix}{tile.path}", b"".join(hashes))

    def publish_head(self, note: bytes) -> bool:
        """Make `note` the log's checkpoint, all else being durable; False if somebody else replaced it meanwhile."""
        self.bucket.settle()
        if self.found is not None and self.found.data == note:
            return True
        return self.bucket.swap(f"{self.prefix}checkpoint", note, self.found)

    def drop_partial(self, old: int) -> None:
        """Remove partial tiles that full ones have replaced, as c2sp.org/tlog-tiles allows."""
        for tile in partial_tiles(old):
            if (tile.index + 1) * TILE_WIDTH <= self.head.size >> 8 * (tile.level or 0):
                self.bucket.drop(f"{self.prefix}{evolve(tile, width=TILE_WIDTH).path}.p")


def checkpoints(bucket: Bucket, view: View, *, least: int = 0) -> None:
    """Write the checkpoints that were kept, from size `least` on, with their cosignatures; those that grew, anew."""
    kept = {size: note for size, note in view.checkpoints() if size >= least}
    for size, note in (kept | dict(view.cosigned(least))).items():
        if bucket.length(f"checkpoints/{size}") != len(note):  # cosignatures come in one after another
            bucket.write([File(f"checkpoints/{size}", note, fixed=False)])


def log_file(view: View, name: str) -> bytes | None:
    """Return one file of the public log, as `publish` would write it; None for what is not there."""
    if (head := view.head()) is None:
        return None
    if name == "checkpoint":
        return with_cosignatures(view, head)
    kind, _, number = name.partition("/")
    if kind == "checkpoints":
        return _kept(view, int(number)) if _SIZE.fullmatch(number) else None
    try:
        tile = parse_tile_path(name)
    except InvalidTile:
        return None
    if tile.first + tile.width > head.size >> 8 * (tile.level or 0):
        return None
    if tile.level is None:
        return encode_bundle(view.entries(tile.first, tile.first + tile.width))
    return b"".join(StoredHashes(view).tile(tile.level, tile.index)[: tile.width])


def _kept(view: View, size: int) -> bytes | None:
    """Return the checkpoint of a size, if it was kept: the one with cosignatures, where there is one."""
    kept = (*view.cosigned(size), *view.checkpoints())
    return next((note for found, note in kept if found == size), None)


class _Anew:
    """A view that is opened anew for each question, so that a slow place does not keep one open."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield entries in order."""
        with self._store.view() as view:
            return iter(list(view.entries(start, stop)))

    def nodes(self, level: int, start: int, stop: int) -> Iterator[bytes]:
        """Yield hashes in order."""
        with self._store.view() as view:
            return iter(list(view.nodes(level, start, stop)))


def publish(url: str, bucket: Bucket) -> int:
    """Bring the public log at a place up to date with the ledger at `url`; returns its size.

    Reads what is committed and nothing else, while the site goes on. Raises LedgerUnavailable when one of them
    cannot be reached, LedgerCorrupt when the store does not hold what it signed, LedgerError when the place does not
    keep its promises (see `Bucket.check`), or what is there is no earlier state of this log.
    """
    bucket.check()
    return _bring_up(url, bucket)


def _bring_up(url: str, bucket: Bucket) -> int:
    """Publish to a place that has been checked."""
    store = open_store(url, read_only=True)
    try:
        for _ in range(_ATTEMPTS):
            if (size := _publish(store, bucket)) is not None:
                return size
    finally:
        store.release()
    raise LedgerUnavailable(f"others keep writing to {bucket.place}", remedy="it will be tried again")


def _publish(store: Store, bucket: Bucket) -> int | None:
    """Publish once; None if somebody else was quicker."""
    found = bucket.read("checkpoint")  # first, since whoever wrote it had committed what it covers
    with store.view() as view:
        if (head := view.head()) is None:
            raise LedgerUnavailable("the ledger is empty", remedy="open it with its keys once")
        check_head(view, head)
        note = with_cosignatures(view, head)
        known: View = _Anew(store)  # type: ignore[assignment]  # all that tiles and proofs are made of
    files = LogFiles(bucket, found, known, head)
    old = files.published_size()
    bucket.write(file for tile in new_tiles(old or 0, head.size) for file in files.files(tile))
    with store.view() as view:
        checkpoints(bucket, view, least=old or 0)
    if not files.publish_head(note):
        return None
    files.drop_partial(old or 0)
    return head.size


@define(eq=False)
class Publisher:
    """Publishes after each commit; `step` is a follower's. `emit` tells of `publish.late` and `publish.refused`."""

    url: str
    bucket: Bucket
    emit: Callable[..., object]
    interval: float = _INTERVAL
    _checked: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)
    _told: set[str] = field(factory=set, init=False)

    def step(self) -> Next:
        """Bring the place up to date, and rest for `interval` seconds."""
        try:
            if not self._checked:
                self.bucket.check()
                self._checked = True
            size = _bring_up(self.url, self.bucket)
        except ConsentkitError as error:
            return self._failed(error)
        if self._failures:
            _log.info("%s is up to date again, with %d entries", self.bucket.place, size)
        self._failures = 0
        self._told.clear()
        return Next(self.interval)

    def _failed(self, error: ConsentkitError) -> Next:
        self._failures += 1
        event = "publish.late" if isinstance(error, LedgerUnavailable) else "publish.refused"
        if event not in self._told:
            self._told.add(event)
            _log.warning("the log is not published to %s: %s", self.bucket.place, error)
            self.emit(event, place=self.bucket.place, reason=error.message)
        return pause(self._failures, _FIRST_PAUSE, _LONGEST_PAUSE)
