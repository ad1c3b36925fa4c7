"""How a ledger is written: what a process keeps of it, and how one batch after another gets there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import RLock
from typing import Protocol

from attrs import evolve

from consentkit.errors import (
    ConsentkitError,
    LedgerConflict,
    LedgerCorrupt,
    LedgerError,
    LedgerUnavailable,
    OutcomeUnknown,
)
from consentkit.evidence._gone import Gone
from consentkit.evidence.batch import Appended, Builder, Built, Publication, RecordWork, Snapshot, Work
from consentkit.evidence.entry import KeyEntry, NoticeEntry, PolicyEntry, entry_line
from consentkit.evidence.heads import check_stored, foreign
from consentkit.evidence.keyring import keyring
from consentkit.evidence.outside import Outside
from consentkit.evidence.removal import Action
from consentkit.evidence.sealed import check_seal
from consentkit.evidence.store import Batch, Head, Store, View
from consentkit.keys import Keys
from consentkit.tlog import NoteSigner

__all__ = ["BatchUnknown", "EventHook", "Writer"]

_log = logging.getLogger(__name__)


class EventHook(Protocol):
    """What is told of `ledger.busy`, `.unavailable`, `.reopened`, `witness.late`, `.refused`, `highwater.late`."""

    def __call__(self, event: str, /, **data: object) -> object:
        """Take note of an event. There is nothing personal in `data`; what this raises is logged."""


class BatchUnknown(OutcomeUnknown):
    """Whether a batch was written could not be found out; `outcomes` tells each who waits for it what may be there."""

    def __init__(self, message: str, *, remedy: str, built: Built) -> None:
        super().__init__(message, remedy=remedy)
        self._built = built

    def outcomes(self) -> tuple[OutcomeUnknown, ...]:
        """Return what to tell those who wait for the batch's outcomes, in their order."""
        return tuple(
            OutcomeUnknown(self.message, remedy=self.remedy, attempted=_attempted(outcome))
            for outcome in self._built.outcomes
        )


def _attempted(outcome: object) -> tuple[int, bytes] | None:
    if not isinstance(outcome, Appended):
        return None
    return outcome.index, entry_line(outcome.opening.commitment)


class Writer:
    """The part of a ledger that writes: its store, its state, and the gate that one thread at a time passes."""

    _outside: Outside

    def __init__(
        self,
        store: Store,
        keys: Keys,
        *,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
        on_event: EventHook | None,
        lag: float,
    ) -> None:
        self._store, self._keys = store, keys
        self._clock, self._random, self._on_event = clock, random, on_event
        self._builder = Builder(keys, clock, random)
        self._verifier = NoteSigner(keys.log_name, keys.log).verifier
        self._name_line = f"{keys.log_name}\n".encode()
        self._gate = RLock()
        self._size = 0
        self._sound = True
        self._gone = Gone()
        self._known_until = 0.0  # how long what is known of removals holds, by the monotonic clock
        self._lag = lag
        self._unscrubbed = False

    def _act(self, action: Action) -> tuple[int, ...]:
        """Enter what an action comes to, and return the indexes that it is about."""
        (outcome,) = self._write([action]).outcomes
        if isinstance(outcome, ConsentkitError):
            raise outcome
        return outcome if isinstance(outcome, tuple) else ()

    def _publish(self, entry: PolicyEntry | NoticeEntry | KeyEntry, body: bytes = b"") -> int | None:
        (outcome,) = self._write([Publication(entry, body)]).outcomes
        if isinstance(outcome, ConsentkitError):
            raise outcome
        return outcome if isinstance(outcome, int) else None

    def _write(self, works: Sequence[Work]) -> Built:
        """Build, sign and commit. Records are signed outside the lock, and again if the log has moved on."""
        with self._gate:
            if not self._sound:
                self._reopen()
            snapshot = self._snapshot(works)
        built = self._builder.build(snapshot, works)
        if built.batch is None:
            return built
        with self._gate:
            try:
                with self._store.lock():
                    try:
                        return self._commit(built)
                    except LedgerConflict:
                        # Only what is stale is signed anew; while the lock is held nobody else moves on.
                        built = self._builder.build(self._snapshot(works), works)
                        return self._commit(built)
            except (LedgerUnavailable, LedgerCorrupt) as error:
                return self._settle_unknown(built, error)

    def _commit(self, built: Built) -> Built:
        if built.batch is not None:
            self._store.commit(built.batch)
            self._written(built.batch)
            self._outside.wake()
        return built

    def _written(self, batch: Batch) -> None:
        self._size = batch.new.size
        self._gone.take(batch.removals)
        self._unscrubbed = self._unscrubbed or bool(batch.removals)

    def _settle_unknown(self, built: Built, error: LedgerError) -> Built:
        """Find out whether a batch whose commit failed is there; return it if so."""
        self._sound = False
        try:
            self._reopen()
            found = built.batch is not None and self._holds(built.batch)
        except LedgerError as worse:
            raise BatchUnknown(
                f"{error.message}; then: {worse.message}", remedy=worse.remedy, built=built
            ) from error
        if not found:
            raise LedgerUnavailable(f"nothing was recorded: {error.message}", remedy=error.remedy) from error
        if built.batch is not None:
            self._gone.take(built.batch.removals)
            self._unscrubbed = self._unscrubbed or bool(built.batch.removals)
        return built

    def _holds(self, batch: Batch) -> bool:
        # Commitments are blinded with random bytes, so equal entries are these very records.
        with self._view() as view:
            return tuple(view.entries(batch.first, batch.new.size)) == batch.entries

    def _reopen(self) -> None:
        """Connect anew and verify what is there; until that has worked the ledger refuses to write."""
        try:
            self._store.recover()
            self._verify()
        except LedgerError as error:
            self._emit("ledger.unavailable", reason=error.message)
            raise
        self._sound = True
        self._emit("ledger.reopened", size=self._size)

    def _verify(self) -> None:
        """Check that the stored head is this log's, signed with its key, and that the stored tree is its tree."""
        with self._view() as view:
            head = view.head()
            check_seal(self._store, view)
            if head is not None:
                check_stored(view, head, self._verifier, least=self._size)
            self._outside.check(view, head)
            self._learn(view, head)

    def _snapshot(self, works: Sequence[Work]) -> Snapshot:
        histories = {work.draft.history for work in works if isinstance(work, RecordWork)}
        digests = [
            ("policy" if isinstance(work.entry, PolicyEntry) else "notice", work.entry.digest)
            for work in works
            if isinstance(work, Publication) and isinstance(work.entry, PolicyEntry | NoticeEntry)
        ]
        keys = {work.once.key for work in works if isinstance(work, RecordWork) and work.once}
        actions = [work for work in works if not isinstance(work, RecordWork | Publication)]
        today = datetime.fromtimestamp(self._clock() / 1000, UTC).date()
        with self._gate:
            head, entries, tails, answered = self._store.basis(histories, keys)
        if head is not None and not head.checkpoint.startswith(self._name_line):
            # Another ledger took this one's place meanwhile: its log is not ours to sign.
            raise foreign(head, self._keys.log_name) or LedgerCorrupt("the ledger's head is damaged")
        snapshot = Snapshot(head, dict(tails), keyring(entries), frozenset(), answered)
        attempted = {work.attempted for work in works if isinstance(work, RecordWork) and work.attempted}
        if not digests and not actions and not attempted:
            return snapshot
        with self._view() as view:  # the same state or a later one, and then this batch is not written
            published = frozenset(digest for kind, digest in digests if view.has(kind, digest))
            return evolve(
                snapshot,
                published=published,
                plans={action: action.plan(view, today) for action in actions},
                landed=frozenset(one for one in attempted if [one[1]] == [*view.entries(one[0], one[0] + 1)]),
            )

    def _scrub(self) -> bool:
        """Have what was removed overwritten, unless somebody reads the store at this moment."""
        try:
            with self._gate:
                self._unscrubbed = not self._store.scrub()
        except LedgerError as error:
            _log.warning("what was removed could not be overwritten yet: %s", error)
        return not self._unscrubbed

    def _look(self) -> None:
        """Learn how far the log has come and what was removed from it, by whatever process."""
        with self._view() as view:
            self._learn(view, self._head(view))

    def _learn(self, view: View, head: Head | None) -> None:
        self._gone.take(view.removals(self._gone.seen))
        self._size = self._gone.seen = head.size if head else 0
        self._known_until = time.monotonic() + self._lag

    @contextmanager
    def _view(self) -> Iterator[View]:
        with self._gate, self._store.view() as view:
            yield view

    def _head(self, view: View) -> Head:
        if (head := view.head()) is None:
            raise LedgerCorrupt("the ledger has no head")
        self._size = head.size
        return head

    def _emit(self, event: str, **data: object) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event, **data)
        except Exception:  # noqa: BLE001  a hook's failure must not become the ledger's
            _log.exception("the event hook failed on %s", event)
