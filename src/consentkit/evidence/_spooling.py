"""How refusals get from the spool into the ledger: before the next batch, or by a thread that tries again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from consentkit.errors import ConsentkitError, LedgerClosed, LedgerError, LedgerUnavailable
from consentkit.evidence._follower import Follower, Next
from consentkit.evidence.batch import Built, RecordWork
from consentkit.evidence.record import RecordDraft
from consentkit.evidence.sequencer import MAX_BATCH
from consentkit.evidence.spool import Spool, Spooled

__all__ = ["Spooling"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_NOWHERE: Final = "there is no spool, so a refusal cannot be kept while the ledger takes no record"


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
        self._write, self._clock, self._emit = write, clock, emit
        self._pause = _FIRST_PAUSE
        self._follower = Follower(self._step, "consentkit-spool")
        self.reset()

    def reset(self) -> None:
        """Begin anew in a process that has just been forked."""
        self._one = Lock()
        self._follower.reset()

    def close(self) -> None:
        """Stop trying; what waits is drained by whoever opens the ledger next."""
        self._follower.close(0)

    def keep(self, draft: RecordDraft, time: int) -> None:
        """Keep a decision until the ledger takes it. Raises LedgerUnavailable when it cannot be kept durably."""
        if self._spool is None:
            raise LedgerUnavailable(_NOWHERE, remedy="give the ledger a folder: spool=...")
        self._spool.add(draft, time)
        self._emit("ledger.spooled", decision=draft.event)
        self._follower.wake()
        self._follower.start()

    def of(self, history: str) -> Iterator[Spooled]:
        """Yield what waits for a history. Raises LedgerUnavailable when the spool cannot be read."""
        if self._spool is not None and self._spool.waiting():
            yield from (one for one in self._spool.read() if one.draft.history == history)

    def drain(self) -> None:
        """Enter into the ledger whatever waits. Raises LedgerError, and then nothing is lost."""
        if self._spool is None or not self._spool.waiting():
            return
        with self._one:
            for path, found in self._spool.take():
                for start in range(0, len(found), MAX_BATCH):
                    self._enter(found[start : start + MAX_BATCH])
                self._spool.done(path)

    def _enter(self, found: Sequence[Spooled]) -> None:
        now = self._clock()
        outcomes = self._write([RecordWork(one.dated(now), now, one.once(now)) for one in found]).outcomes
        refused = [outcome for outcome in outcomes if isinstance(outcome, ConsentkitError)]
        if refused:
            raise LedgerUnavailable(
                f"{len(refused)} decisions of the spool are not taken: {refused[0].message}",
                remedy=refused[0].remedy,
            )
        self._emit("ledger.drained", decisions=len(found))

    def _step(self) -> Next:
        try:
            self.drain()
        except LedgerClosed:
            return Next()
        except LedgerError as error:
            _log.warning("the spool waits for the ledger: %s", error)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return Next(self._pause, more=True)
        self._pause = _FIRST_PAUSE
        return Next()
