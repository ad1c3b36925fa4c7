"""The ledger: where a decision becomes evidence, and from where the evidence is had again.

Everyone who appends waits for the sequencer's next batch to be durable. Processes share a ledger through its
store; none of them is special.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from consentkit.errors import (
    ConsentkitError,
    InvalidRecord,
    LedgerBusy,
    LedgerConflict,
    LedgerCorrupt,
    LedgerError,
    LedgerUnavailable,
    OutcomeUnknown,
)
from consentkit.evidence._forks import follow
from consentkit.evidence._inside import Inside
from consentkit.evidence.batch import (
    MAX_SKEW,
    Appended,
    Builder,
    Built,
    Publication,
    RecordWork,
    Snapshot,
    Work,
)
from consentkit.evidence.entry import KeyEntry, NoticeEntry, PolicyEntry, PredecessorEntry
from consentkit.evidence.export import Progress, export
from consentkit.evidence.heads import check_stored, foreign, with_cosignatures
from consentkit.evidence.keyring import keyring_of
from consentkit.evidence.opening import Opening
from consentkit.evidence.outside import Outside
from consentkit.evidence.receipt import Receipt, make_receipt
from consentkit.evidence.record import RecordDraft, disclosed, parse_record
from consentkit.evidence.sequencer import QUEUE_LIMIT, Item, Sequencer, settle
from consentkit.evidence.store import Batch, Head, Store, View, open_store
from consentkit.keys import Keys
from consentkit.tlog import NoteSigner

if TYPE_CHECKING:
    import asyncio

    from consentkit.evidence.witness import Witness
    from consentkit.policy import Policy

__all__ = ["EventHook", "Ledger", "system_clock"]

_log = logging.getLogger(__name__)

_URGENT: Final = frozenset({"refused", "withdrawn", "objected"})


class EventHook(Protocol):
    """What is told of `ledger.busy`, `.unavailable`, `.reopened`, `witness.late`, `.refused`, `highwater.late`."""

    def __call__(self, event: str, /, **data: object) -> object:
        """Take note of an event. There is nothing personal in `data`; what this raises is logged."""


def system_clock() -> int:
    """Return the time in UTC milliseconds."""
    return time.time_ns() // 1_000_000


class Ledger:
    """A consent log that is open for appending. Make one with `open`; it may be shared by threads.

    A process that is forked off may go on using it: the child connects and starts its thread by itself.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        *,
        url: str,
        clock: Callable[[], int] = system_clock,
        random: Callable[[int], bytes] = os.urandom,
        on_event: EventHook | None = None,
        queue_limit: int = QUEUE_LIMIT,
        witnesses: Sequence[Witness] = (),
        high_water: str | None = None,
    ) -> None:
        self._store, self._keys, self._url = store, keys, url
        self._clock, self._on_event = clock, on_event
        self._builder = Builder(keys, clock, random)
        self._verifier = NoteSigner(keys.log_name, keys.log).verifier
        self._name_line = f"{keys.log_name}\n".encode()
        self._sequencer: Sequencer[RecordWork] = Sequencer(self._process, limit=queue_limit)
        self._gate = RLock()
        self._size = 0
        self._sound = True
        self._closed = False
        inside = self._inside = Inside(self)
        self._outside = Outside(
            inside, self._emit, self._verifier, witnesses=witnesses, high_water=high_water
        )
        follow(inside)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        keys: Keys,
        clock: Callable[[], int] = system_clock,
        random: Callable[[int], bytes] = os.urandom,
        on_event: EventHook | None = None,
        create: bool = True,
        queue_limit: int = QUEUE_LIMIT,
        witnesses: Sequence[Witness] = (),
        high_water: str | None = None,
        predecessor: PredecessorEntry | None = None,
    ) -> Self:
        """Open the ledger at `url` (`sqlite:///path/consent.db`), and make it when it is not there.

        The stored head is verified under the log key, and the record key is introduced if it is new. `clock`
        gives UTC milliseconds, `random` as many random bytes as it is asked for. `witnesses` cosign its heads in
        the background; `high_water` is the URL of the place by which a restored backup is noticed (see
        `consentkit.evidence.highwater`); `predecessor` begins a new log that carries on after another.

        Raises LedgerUnavailable when there is none or it cannot be used, LedgerCorrupt when it is not what the log
        key signed, LedgerRolledBack when it has gone back behind its high-water mark, LedgerError when it is the
        ledger of another log name, InvalidKey when the record key was retired.
        """
        ledger = cls(
            open_store(url, create=create),
            keys,
            url=url,
            clock=clock,
            random=random,
            on_event=on_event,
            queue_limit=queue_limit,
            witnesses=witnesses,
            high_water=high_water,
        )
        try:
            ledger._verify()
            ledger.introduce_keys(predecessor)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Record what is queued, then let go of the store. The ledger takes no more decisions."""
        self._sequencer.close()
        self._outside.close()
        with self._gate:
            self._closed = True
            self._store.release()

    # What is there

    @property
    def log_name(self) -> str:
        """The log's name: C2SP's origin line."""
        return self._keys.log_name

    @property
    def size(self) -> int:
        """Number of entries, those of other processes included."""
        with self._view() as view:
            return self._head(view).size

    def checkpoint(self) -> bytes:
        """Return the log's signed head, a C2SP checkpoint, with the cosignatures that it has so far."""
        with self._view() as view:
            return with_cosignatures(view, self._head(view))

    def cosigned(self, limit: int | None = None) -> tuple[bytes, ...]:
        """Return the checkpoints that witnesses cosigned, newest first, `limit` at most."""
        with self._view() as view:
            return tuple(note for _, note in view.cosigned(limit=limit))

    def cosign(self) -> bytes:
        """Have the witnesses cosign the head now, and return it with what they signed; see `on_event` for the rest."""
        self._outside.cosign()
        return self.checkpoint()

    def policies(self) -> tuple[bytes, ...]:
        """Return the canonical forms of all policies that were in force, oldest first."""
        with self._view() as view:
            return tuple(body for _, body in view.published("policy"))

    def has_policy(self, digest: str) -> bool:
        """Say whether a policy was published, by its digest in hex."""
        with self._view() as view:
            return view.has("policy", digest)

    def has_notice(self, digest: str) -> bool:
        """Say whether a notice was published, by its digest in hex."""
        with self._view() as view:
            return view.has("notice", digest)

    def usable(self, log_name: str, index: int) -> bool:
        """Say whether a decision that names this log and entry can still be proven.

        Reads the store only for an index beyond what this process has seen.
        """
        if log_name != self.log_name or index < 0:
            return False
        try:
            return index < self._size or index < self.size
        except LedgerError:  # what cannot be proven now counts as not there
            return False

    def entries(self, start: int, stop: int) -> tuple[bytes, ...]:
        """Return entries `start` up to `stop`, as many as there are."""
        with self._view() as view:
            return tuple(view.entries(start, stop))

    def opening(self, index: int) -> Opening | None:
        """Return what opens entry `index`; None when it records no decision, or does not exist."""
        with self._view() as view:
            return next(view.openings(index, index + 1), None)

    def is_of_history(self, log_name: str, index: int, history: str) -> bool:
        """Say whether this log's entry `index` records a decision of that history, by its pseudonym."""
        opening = self.opening(index) if self.usable(log_name, index) else None
        if opening is None:
            return False
        claims = parse_record(opening.record).claims
        return disclosed(claims, opening.disclosures).get("history") == history

    def receipt(self, index: int) -> Receipt | None:
        """Return the receipt of the record at `index`, with proofs under the present head; None if it has none."""
        with self._view() as view:
            return make_receipt(view, self._head(view), index)

    def export(self, dest: Path, progress: Progress | None = None) -> None:
        """Write the auditor's pack; see `consentkit.evidence.export`."""
        export(self._url, dest, progress=progress)

    # What is added

    def append(self, draft: RecordDraft) -> Appended:
        """Record a decision; returns once that is durable.

        Raises InvalidRecord for a draft that no record may say, LedgerBusy when too many wait already,
        LedgerUnavailable when it could not be written, OutcomeUnknown when that cannot be told.
        """
        return self.submit(draft).result()

    def submit(self, draft: RecordDraft) -> Future[Appended]:
        """Queue a decision and return a future of what `append` returns. Raises LedgerBusy at once."""
        future: Future[Appended] = Future()
        self._put(draft, future, None)
        return future

    async def aappend(self, draft: RecordDraft) -> Appended:
        """Record a decision from a coroutine; otherwise as `append`."""
        from asyncio import get_running_loop  # noqa: PLC0415  only who awaits needs it

        loop = get_running_loop()
        future: asyncio.Future[Appended] = loop.create_future()
        self._put(draft, future, loop)
        return await future

    def publish_policy(self, policy: Policy) -> int | None:
        """Enter a policy and keep its canonical form; returns the entry's index, None if it was there before."""
        return self._publish(PolicyEntry(policy.digest, policy.version), policy.canonical)

    def publish_notice(self, html: bytes) -> str:
        """Enter a notice and keep its canonical form, unless that was done before; returns its digest in hex."""
        digest = hashlib.sha256(html).hexdigest()
        if not self.has_notice(digest):
            self._publish(NoticeEntry(digest), html)
        return digest

    def introduce_keys(self, predecessor: PredecessorEntry | None = None) -> None:
        """Enter the log key and the record key, unless that was done before; `predecessor` first, in a new log.

        Raises InvalidKey for a key that was retired or revoked.
        """
        keys = (("log", self._keys.log), ("record", self._keys.record))
        works = [Publication(KeyEntry("add", use, key.key_id, key.public_key)) for use, key in keys]
        if predecessor is not None and not self._size:
            works.insert(0, Publication(predecessor))
        for outcome in self._write(works).outcomes:
            if isinstance(outcome, ConsentkitError):
                raise outcome

    def retire_key(self, key_id: str) -> int | None:
        """Enter that a record key signs no more; returns the entry's index, None if it was not in use.

        Processes that still sign with it are refused from then on.
        """
        with self._view() as view:
            key = keyring_of(view).find("record", key_id)
        return self._publish(KeyEntry("retire", "record", key_id, key.public_key)) if key else None

    def _publish(self, entry: PolicyEntry | NoticeEntry | KeyEntry, body: bytes = b"") -> int | None:
        (outcome,) = self._write([Publication(entry, body)]).outcomes
        if isinstance(outcome, ConsentkitError):
            raise outcome
        return outcome if isinstance(outcome, int) else None

    def _put(
        self, draft: RecordDraft, future: Future[Appended] | asyncio.Future[Appended],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:  # fmt: skip
        now = self._clock()
        decided = now if draft.time is None else draft.time
        if abs(decided - now) > MAX_SKEW:
            raise InvalidRecord(
                f"the decision's time is {abs(decided - now) // 1000} s from the ledger's clock"
            )
        item = Item(RecordWork(draft, decided), future, loop)
        try:
            self._sequencer.put(item, urgent=draft.event in _URGENT)
        except LedgerBusy:
            self._emit("ledger.busy", waiting=len(self._sequencer))
            raise

    # How it is written

    def _process(self, items: Sequence[Item[RecordWork]]) -> None:
        """Write a batch and tell everyone who waits for it; the sequencer's thread runs this."""
        outcomes: Sequence[object]
        try:
            outcomes = self._write([item.work for item in items]).outcomes
        except LedgerError as error:
            outcomes = [error] * len(items)
        except Exception as error:  # noqa: BLE001  whatever a key service raises, those who wait must hear of it
            _log.exception("a batch of %d decisions could not be written", len(items))
            failure = LedgerUnavailable(f"nothing was recorded: {type(error).__name__}")
            failure.__cause__ = error
            outcomes = [failure] * len(items)
        settle(zip(items, outcomes, strict=True))
        self._outside.start()

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
            self._size = built.batch.new.size
            self._outside.wake()
        return built

    def _settle_unknown(self, built: Built, error: LedgerError) -> Built:
        """Find out whether a batch whose commit failed is there; return it if so."""
        self._sound = False
        try:
            self._reopen()
            found = built.batch is not None and self._holds(built.batch)
        except LedgerError as worse:
            raise OutcomeUnknown(f"{error.message}; then: {worse.message}", remedy=worse.remedy) from error
        if not found:
            raise LedgerUnavailable(f"nothing was recorded: {error.message}", remedy=error.remedy) from error
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
            if head is None:
                self._outside.check(view, head)
                return
            check_stored(view, head, self._verifier, least=self._size)
            self._outside.check(view, head)
            self._size = head.size

    def _snapshot(self, works: Sequence[Work]) -> Snapshot:
        histories = {work.draft.history for work in works if isinstance(work, RecordWork)}
        digests = [
            ("policy" if isinstance(work.entry, PolicyEntry) else "notice", work.entry.digest)
            for work in works
            if isinstance(work, Publication) and isinstance(work.entry, PolicyEntry | NoticeEntry)
        ]
        with self._view() as view:
            head = view.head()
            if head is not None and not head.checkpoint.startswith(self._name_line):
                # Another ledger took this one's place meanwhile: its log is not ours to sign.
                raise foreign(head, self.log_name) or LedgerCorrupt("the ledger's head is damaged")
            return Snapshot(
                head,
                dict(view.tails(histories)) if histories else {},
                keyring_of(view),
                frozenset(digest for kind, digest in digests if view.has(kind, digest)),
            )

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
