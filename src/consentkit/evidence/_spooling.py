"""How refusals get from the spool into the ledger: before the next batch, or by a thread that tries again."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from consentkit.errors import (
    ConsentkitError,
    InvalidRecord,
    KeyReused,
    LedgerClosed,
    LedgerError,
    LedgerUnavailable,
    SpoolUnavailable,
)
from consentkit.evidence._follower import Follower, Next
from consentkit.evidence.batch import Built, Once, RecordWork
from consentkit.evidence.record import RecordDraft
from consentkit.evidence.sequencer import MAX_BATCH
from consentkit.evidence.spool import Spool, Spooled

__all__ = ["Spooling"]

_log = logging.getLogger(__name__)

LAG_SECONDS: Final = 1.0
"""How long, at most, a process goes on without knowing what another one put into the spool."""

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_TURN_SECONDS: Final = 5.0  # how long to wait for another process that drains
_KNOWN: Final = 100_000  # histories
_NOWHERE: Final = "there is no spool, so a refusal cannot be kept while the ledger takes no record"
_REMEDY: Final = "name a folder on this machine that the process may write to: spool=..."


class Spooling:
    """A ledger's spool, and what drains it. Without a folder nothing can be kept, and nothing waits."""

    def __init__(
        self,
        folder: Path | None,
        write: Callable[[Sequence[RecordWork]], Built],
        clock: Callable[[], int],
        emit: Callable[..., object],
    ) -> None:
        self._spool = None if folder is None else Spool(folder)
        self._known = Withdrawals(self._spool)
        self._write, self._clock, self._emit = write, clock, emit
        self._pause = _FIRST_PAUSE
        self._follower = Follower(self._step, "consentkit-spool")

    def reset(self) -> None:
        """Begin anew in a process that has just been forked."""
        self._follower.reset()
        self._known.reset()
        if self._spool is not None:
            self._spool.reset()

    def open(self) -> None:
        """Enter some of what waits, and leave the rest to the thread and to the batches that come."""
        if self._spool is None or not self._spool.writable():
            _log.warning("%s; %s", _NOWHERE, _REMEDY)
        self._guarded(files=2)
        if self._spool is not None and self._spool.waiting():
            self._follower.wake()
            self._follower.start()

    def close(self) -> None:
        """Stop trying; what waits is drained by whoever opens the ledger next."""
        self._follower.close(0)
        if self._spool is not None:
            self._spool.close()

    def keep(
        self, draft: RecordDraft, time: int, once: Once | None, attempted: tuple[int, bytes] | None
    ) -> None:
        """Keep a decision until the ledger takes it. Raises SpoolUnavailable when it cannot be kept durably."""
        if self._spool is None:
            raise SpoolUnavailable(_NOWHERE, remedy=_REMEDY)
        request = None if once is None else (once.key, once.digest)
        self._spool.add(Spooled(draft, time, secrets.token_bytes(32), request, attempted))
        self._known.note(draft.history, time)
        self._emit("ledger.spooled", decision=draft.event)
        self._follower.wake()
        self._follower.start()

    def of(self, history: str) -> Iterator[Spooled]:
        """Yield what waits for a history. Raises SpoolUnavailable when the spool cannot be read."""
        if self._spool is not None and self._spool.waiting():
            yield from (one for one in self._spool.read() if one.draft.history == history)

    def withdrawn(self, history: str) -> int | None:
        """Return when a refusal of this history was decided that waits in the spool, or did; None for none."""
        return self._known.since(history)

    def before(self, works: Iterable[RecordWork]) -> None:
        """Enter what waits for the histories of a batch, which stands behind it, and some of the rest.

        Raises LedgerError when the ledger takes nothing.
        """
        if self._spool is None or not self._spool.waiting():
            return
        try:
            self._known.look()
            if self._known.waits({work.draft.history for work in works}):
                self.drain()
            else:
                self.drain(seconds=0, files=1)
        except SpoolUnavailable as error:
            _log.error("refusals wait that cannot be read: %s", error)

    def empty(self) -> None:
        """Enter into the ledger whatever waits. Raises LedgerError when some of it may still wait."""
        if not self.drain():
            raise SpoolUnavailable(
                "another process is draining the spool, and takes its time",
                remedy="try again once it is done",
            )

    def forget(self, histories: Collection[str]) -> None:
        """Have nothing left of these histories among what could not be entered."""
        if self._spool is not None:
            self._spool.forget(histories)

    def drain(self, *, seconds: float | None = None, files: int | None = None) -> bool:
        """Enter into the ledger whatever waits, or so many files of it, one after the other.

        Waits so many seconds for somebody else who does, and gives False when that was not enough. Raises LedgerError,
        and then nothing is lost.
        """
        if self._spool is None or not self._spool.waiting():
            return True
        with self._spool.draining(_TURN_SECONDS if seconds is None else seconds) as mine:
            if mine:
                for path in self._spool.files()[:files]:
                    self._spool.drain(path, self._enter)
            return mine

    def _enter(self, found: Sequence[Spooled]) -> list[Spooled]:
        never = []
        for start in range(0, len(found), MAX_BATCH):
            never += self._enter_batch(found[start : start + MAX_BATCH])
        self._known.look()
        return never

    def _enter_batch(self, found: Sequence[Spooled]) -> list[Spooled]:
        """Enter a batch; returns those that no ledger takes."""
        left = self._write_all(found, by_request=True)
        reused = [one for one, error in left if isinstance(error, KeyReused)]
        left = [pair for pair in left if not isinstance(pair[1], KeyReused)]
        left += self._write_all(reused, by_request=False)
        for _, error in left:
            if not isinstance(error, InvalidRecord):
                raise LedgerUnavailable(
                    f"decisions of the spool are not taken: {error.message}", remedy=error.remedy
                )
            _log.error("a decision of the spool can never be recorded: %s", error)
        self._emit("ledger.drained", decisions=len(found) - len(left))
        return [one for one, _ in left]

    def _write_all(
        self, found: Sequence[Spooled], *, by_request: bool
    ) -> list[tuple[Spooled, ConsentkitError]]:
        if not found:
            return []
        now = self._clock()
        outcomes = self._write([one.work(now, by_request=by_request) for one in found]).outcomes
        pairs = zip(found, outcomes, strict=True)
        return [(one, outcome) for one, outcome in pairs if isinstance(outcome, ConsentkitError)]

    def _guarded(self, files: int | None = None) -> bool:
        """Drain, and say whether that worked."""
        try:
            return self.drain(files=files)
        except LedgerClosed:
            raise
        except LedgerError as error:
            _log.warning("the spool waits for the ledger: %s", error)
            return False

    def _step(self) -> Next:
        try:
            done = self._guarded()
        except LedgerClosed:
            return Next()
        if done:
            self._pause = _FIRST_PAUSE
            return Next()
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return Next(self._pause, more=True)


class Withdrawals:
    """What a process knows of the refusals in the spool: of which histories, and when each was decided last.

    It is remembered when they have been drained: an older cookie of such a history is no grant any more. Of very many
    histories the newest are kept. Reads on from where it was, at most once in a second.
    """

    def __init__(self, spool: Spool | None) -> None:
        self._spool = spool
        self._since: dict[str, int] = {}
        self._read: dict[str, int] = {}  # how far each file has been read
        self._waiting: dict[str, set[str]] = {}  # the histories in each file
        self._again = 0.0
        self.reset()

    def reset(self) -> None:
        """Begin anew in a process that has just been forked: a lock may be held by a thread of the parent."""
        self._one = Lock()

    def note(self, history: str, time: int) -> None:
        """Take note of a refusal."""
        with self._one:
            self._note(history, time)

    def _note(self, history: str, time: int) -> None:
        since = self._since.pop(history, time)
        self._since[history] = max(since, time)
        if len(self._since) > _KNOWN:
            del self._since[next(iter(self._since))]

    def since(self, history: str) -> int | None:
        """Return when the newest known refusal of a history was decided, UTC milliseconds; None for none."""
        if self._spool is None:
            return None
        if time.monotonic() >= self._again:
            self._again = time.monotonic() + LAG_SECONDS
            try:
                self.look()
            except SpoolUnavailable as error:
                _log.error("refusals may wait that cannot be read: %s", error)
        return self._since.get(history)

    def waits(self, histories: Iterable[str]) -> bool:
        """Say whether something of one of these histories was waiting at the last look."""
        with self._one:
            return not all(found.isdisjoint(histories) for found in self._waiting.values())

    def look(self) -> None:
        """Read what is new. Raises SpoolUnavailable."""
        if self._spool is None:
            return
        with self._one:
            paths = {path.name: path for path in self._spool.files()}
            for gone in self._read.keys() - paths.keys():
                del self._read[gone]
                self._waiting.pop(gone, None)
            for name, path in paths.items():
                found, self._read[name] = self._spool.read_on(path, self._read.get(name, 0))
                for one in found:
                    self._note(one.draft.history, one.time)
                    self._waiting.setdefault(name, set()).add(one.draft.history)
