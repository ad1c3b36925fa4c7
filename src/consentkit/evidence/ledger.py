"""The ledger: where a decision becomes evidence, and from where the evidence is had again.

Everyone who appends waits for the sequencer's next batch to be durable. Processes share a ledger through its
store; none of them is special.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from consentkit.errors import (
    ConsentkitError,
    InvalidRecord,
    LedgerBusy,
    LedgerError,
    LedgerUnavailable,
    OutcomeUnknown,
)
from consentkit.evidence._exits import Closable, close_at_exit, forget
from consentkit.evidence._forks import follow
from consentkit.evidence._inside import Inside
from consentkit.evidence._reading import Reader
from consentkit.evidence._spooling import Spooling
from consentkit.evidence._writing import BatchUnknown, EventHook
from consentkit.evidence.batch import (
    MAX_SKEW,
    Appended,
    Built,
    Once,
    Publication,
    RecordWork,
    Repeated,
    remembered,
)
from consentkit.evidence.current import Current, current, fold
from consentkit.evidence.entry import KeyEntry, NoticeEntry, PolicyEntry, PredecessorEntry
from consentkit.evidence.export import Progress, export
from consentkit.evidence.keyring import keyring_of
from consentkit.evidence.outside import Outside
from consentkit.evidence.publication import log_file
from consentkit.evidence.record import RecordDraft
from consentkit.evidence.removal import Erasure, Expiry, Placing, Releasing, check_field, recorded_at
from consentkit.evidence.sealed import open_ledger_store
from consentkit.evidence.sequencer import QUEUE_LIMIT, Item, Sequencer, settle
from consentkit.evidence.spool import default_spool
from consentkit.evidence.store import Hold, Store, View
from consentkit.evidence.witness import Witness
from consentkit.keys import Keys

if TYPE_CHECKING:
    import asyncio

    from consentkit.policy import Policy

__all__ = ["EventHook", "Ledger", "system_clock"]

_log = logging.getLogger(__name__)

LAG_SECONDS: Final = 60.0
"""How long, at most, a process goes on believing in a record that another one erased."""

_SCRUB_PAUSES: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
_URGENT: Final = frozenset({"refused", "withdrawn", "objected"})


def system_clock() -> int:
    """Return the time in UTC milliseconds."""
    return time.time_ns() // 1_000_000


class Ledger(Reader, Closable):
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
        lag: float = LAG_SECONDS,
        spool: Path | None = None,
        publish: str | Sequence[str] = (),
        subject_keys: str | None = None,
    ) -> None:
        super().__init__(store, keys, clock=clock, random=random, on_event=on_event, lag=lag)
        self._url, self._subject_keys = url, subject_keys
        self._sequencer: Sequencer[RecordWork] = Sequencer(self._process, limit=queue_limit)
        self._closed = False
        inside = self._inside = Inside(self)
        self._outside = Outside(
            inside, self._emit, self._verifier,
            witnesses=witnesses, high_water=high_water, url=url, publish=publish,
        )  # fmt: skip
        self._spooling = Spooling(spool or default_spool(url), self._enter, clock, self._emit)
        follow(inside)
        close_at_exit(self)

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
        lag: float = LAG_SECONDS,
        spool: str | PathLike[str] | None = None,
        publish: str | Sequence[str] = (),
        subject_keys: str | None = None,
    ) -> Self:
        """Open the ledger at `url` (`sqlite:///path/consent.db`), and make it when it is not there.

        The stored head is verified under the log key, and the record key is introduced if it is new. `clock`
        gives UTC milliseconds, `random` as many random bytes as it is asked for. `witnesses` cosign its heads in
        the background; `high_water` is the URL of the place by which a restored backup is noticed (see
        `consentkit.evidence.highwater`); `predecessor` begins a new log that carries on after another. `lag` is how
        many seconds may pass until `usable` knows of what another process erased. `spool` is the folder on this
        machine where refusals wait while no record can be written: unless told otherwise, beside a ledger in a file,
        and in the service's state folder for one on a server (see `consentkit.evidence.spool.default_spool`).
        `publish` are URLs of places, or one, where the log is to be read by everybody (see `publication`).
        `subject_keys` is the URL of a database (`sqlite:///path/subjects.db`) with a key for every subject, under which
        openings are sealed; that is chosen when a ledger is made (see `consentkit.evidence.sealed`).

        Raises LedgerUnavailable when there is none or it cannot be used, LedgerCorrupt when it is not what the log
        key signed, LedgerRolledBack when it has gone back behind its high-water mark, LedgerError when it is the
        ledger of another log name, InvalidKey when the record key was retired.
        """
        ledger = cls(
            open_ledger_store(url, subject_keys, create=create),
            keys, url=url, clock=clock, random=random, on_event=on_event, queue_limit=queue_limit,
            witnesses=witnesses, high_water=high_water, lag=lag, publish=publish, subject_keys=subject_keys,
            spool=None if spool is None else Path(spool),
        )  # fmt: skip
        try:
            ledger._verify()
            ledger.introduce_keys(predecessor)
            ledger._spooling.open()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Record what is queued, then let go of the store. Done by itself when the interpreter ends.

        A process that is killed closes nothing; what it answered is durable, some of it in an embedded store's `-wal`.
        """
        forget(self)
        self._sequencer.close()
        self._spooling.close()
        self._outside.close()
        with self._gate:
            self._closed = True
            self._store.release()

    def rest(self) -> None:
        """Record what is queued and let go of the store as `close` does; whoever comes next connects anew."""
        self._sequencer.rest()
        self._outside.rest()
        with self._gate:
            self._store.release()

    # What is there

    def current(self, history: str) -> Current:
        """Return what the records of a history come to: the latest choice about each category and service.

        Refusals that wait in the spool of this machine count; while the store is away, they alone are known.
        """
        waiting = tuple(self._spooling.of(history))
        try:
            with self._view() as view:
                return current(view, history, waiting)
        except LedgerUnavailable:
            if not waiting:
                raise
            return fold((), {}, waiting)

    def cosign(self) -> bytes:
        """Have the witnesses cosign the head now, and return it with what they signed; see `on_event` for the rest."""
        self._outside.cosign()
        return self.checkpoint()

    @property
    def waiting(self) -> int:
        """Number of decisions that wait in this process to be recorded."""
        return len(self._sequencer)

    def log_file(self, name: str) -> bytes | None:
        """Return one file of the public log, such as `checkpoint` or `tile/0/000`; None for what is not there."""
        with self._view() as view:
            return log_file(view, name)

    def export(self, dest: Path, progress: Progress | None = None) -> None:
        """Write the auditor's pack; see `consentkit.evidence.export`."""
        export(self._url, dest, progress=progress, subject_keys=self._subject_keys)

    # What is added

    def append(self, draft: RecordDraft, once: Once | None = None) -> Appended:
        """Record a decision; returns once that is durable.

        With `once`, the same request again gives the record that came of it first, marked as `repeated`.

        Raises KeyReused when another request came under that key, InvalidRecord for a draft that no record may
        say, LedgerBusy when too many wait already, LedgerUnavailable when it could not be written, OutcomeUnknown
        when that cannot be told.
        """
        return self.submit(draft, once).result()

    def submit(self, draft: RecordDraft, once: Once | None = None) -> Future[Appended]:
        """Queue a decision and return a future of what `append` returns. Raises LedgerBusy at once."""
        future: Future[Appended] = Future()
        self._put(draft, once, future, None)
        return future

    async def aappend(self, draft: RecordDraft, once: Once | None = None) -> Appended:
        """Record a decision from a coroutine; otherwise as `append`."""
        from asyncio import get_running_loop  # noqa: PLC0415  only who awaits needs it

        loop = get_running_loop()
        future: asyncio.Future[Appended] = loop.create_future()
        self._put(draft, once, future, loop)
        return await future

    def spool(
        self, draft: RecordDraft, once: Once | None = None, attempted: tuple[int, bytes] | None = None
    ) -> None:
        """Keep a refusal that could not be recorded in the spool; returns once that is durable.

        It enters the log as soon as that is possible, once, with the time of that moment as its time and with the
        optional field `decided` to say when it was made. `once` is what its request is known by, `attempted` what an
        OutcomeUnknown told of it. Raises SpoolUnavailable when it cannot be kept.
        """
        self._spooling.keep(draft, self._clock() if draft.time is None else draft.time, once, attempted)

    def withdrawn(self, history: str) -> int | None:
        """Return when a refusal of a history was decided that waits in the spool, UTC milliseconds; None for none.

        What was decided earlier than that grants nothing any more. Other processes know of it within a second; it is
        remembered when it is in the log, too, as long as this process runs.
        """
        return self._spooling.withdrawn(history)

    def recall(self, once: Once) -> Appended | None:
        """Return the record that came of an earlier request under this key; None when there was none.

        Raises KeyReused when that was another request. Reads the store.
        """
        with self._view() as view:
            found = remembered(view.answered((once.key,)).get(once.key), once, self._clock())
            return None if found is None else self._repeated(view, found)

    @staticmethod
    def _repeated(view: View, found: Repeated) -> Appended:
        opening = next(view.openings(found.index, found.index + 1), None)
        if opening is None:
            raise LedgerUnavailable(
                f"entry {found.index}, which this request made, cannot be opened any more"
            )
        return Appended(opening, recorded_at(opening), repeated=True)

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

    # What is taken away

    def erase(self, history: str | Iterable[str], reason: str) -> tuple[int, ...]:
        """Erase all records of a history, or of several; returns their indexes.

        Record, disclosures, blinding value and pseudonym leave the store, and a tombstone for each enters the log, in
        one transaction. `reason` is a code that everybody may read, such as `gdpr-17-1-b`. What comes later under the
        same pseudonym begins a new history. `ledger.unscrubbed` is told when a reader kept the store from overwriting
        what was removed; that is made up for when the next decisions are recorded.

        What waits in the spool of this machine is recorded first, and erased with the rest.

        Raises LedgerError when a hold is on one of the records, and for a reason that no entry can carry.
        """
        check_field(reason, "reason")
        self._spooling.empty()
        histories = (history,) if isinstance(history, str) else tuple(dict.fromkeys(history))
        erased = self._act(Erasure(histories, reason, self._random))
        self._spooling.forget(histories)
        self._scrub_soon()
        return erased

    def retain(self, before: int) -> int | None:
        """Remove the openings of all records that were made before `before`, UTC milliseconds, but for held ones.

        One entry says how far that is: the index of the first record that stays, which is returned; None when there
        was nothing to remove. Records that stand behind a younger one wait for it, within the skew of the clocks.
        """
        expired = self._act(Expiry(before))
        self._scrub_soon()
        return expired[0] if expired else None

    def hold(
        self, hold_id: str, histories: str | Iterable[str] = (), *, indexes: Iterable[int] = ()
    ) -> tuple[int, ...]:
        """Keep records from being erased or expiring until the hold is released; returns their indexes.

        It is on the records that there are now, of these histories and at these indexes. `hold_id` is a name that
        everybody may read. Raises LedgerError for one that was used before, and when there is no such record.
        """
        check_field(hold_id, "name of a hold")
        names = (histories,) if isinstance(histories, str) else tuple(histories)
        return self._act(Placing(hold_id, names, tuple(indexes)))

    def release(self, hold_id: str) -> None:
        """Release a hold. Raises LedgerError when there is none of this name in force."""
        self._act(Releasing(hold_id))

    def holds(self) -> tuple[Hold, ...]:
        """Return all holds, released ones too, oldest first."""
        with self._view() as view:
            return tuple(view.holds())

    def _scrub_soon(self) -> None:
        """Have what was removed overwritten, waiting a second for whoever reads the store."""
        for pause in _SCRUB_PAUSES:
            time.sleep(pause)
            if self._scrub():
                return
        _log.warning("what was removed is not overwritten yet: the store is being read")
        self._emit("ledger.unscrubbed")

    def _put(
        self, draft: RecordDraft, once: Once | None, future: Future[Appended] | asyncio.Future[Appended],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:  # fmt: skip
        now = self._clock()
        decided = now if draft.time is None else draft.time
        if abs(decided - now) > MAX_SKEW:
            raise InvalidRecord(
                f"the decision's time is {abs(decided - now) // 1000} s from the ledger's clock"
            )
        item = Item(RecordWork(draft, decided, once), future, loop)
        try:
            self._sequencer.put(item, urgent=_is_urgent(draft))
        except LedgerBusy:
            self._emit("ledger.busy", waiting=len(self._sequencer))
            raise

    # How it is written

    def _process(self, items: Sequence[Item[RecordWork]]) -> None:
        """Write a batch and tell everyone who waits for it; the sequencer's thread runs this."""
        outcomes: Sequence[object]
        try:
            outcomes = self._record([item.work for item in items])
        except LedgerError as error:
            outcomes = [error] * len(items)
        except Exception as error:  # noqa: BLE001  whatever a key service raises, those who wait must hear of it
            _log.exception("a batch of %d decisions could not be written", len(items))
            failure = LedgerUnavailable(f"nothing was recorded: {type(error).__name__}")
            failure.__cause__ = error
            outcomes = [failure] * len(items)
        settle(zip(items, outcomes, strict=True))
        self._outside.start()
        if self._unscrubbed:
            self._scrub()

    def _record(self, works: Sequence[RecordWork]) -> Sequence[object]:
        try:
            self._spooling.before(works)
        except OutcomeUnknown as error:  # of what came out of the spool; these were not even tried
            raise LedgerUnavailable(f"nothing was recorded: {error.message}", remedy=error.remedy) from error
        try:
            return self._told(self._write(works).outcomes)
        except BatchUnknown as error:
            return error.outcomes()

    def _enter(self, works: Sequence[RecordWork]) -> Built:
        """Write what comes out of the spool, unless the ledger is closed."""
        with self._inside.open():
            return self._write(works)

    def _told(self, outcomes: Sequence[object]) -> Sequence[object]:
        """Give those who asked before what they were given then."""
        if not any(type(outcome) is Repeated for outcome in outcomes):
            return outcomes
        told: list[object] = []
        with self._view() as view:
            for outcome in outcomes:
                try:
                    told.append(self._repeated(view, outcome) if isinstance(outcome, Repeated) else outcome)
                except LedgerError as error:
                    told.append(error)
        return told


def _is_urgent(draft: RecordDraft) -> bool:
    """Whether a decision takes something back, and so may use the places that are kept for those."""
    changed = draft.event == "changed" and any(not choice.granted for choice in draft.choices.values())
    return changed or draft.event in _URGENT
