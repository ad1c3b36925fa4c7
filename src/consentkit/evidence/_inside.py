"""A ledger's other face: what its followers and a fork of the process see of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Final

from attrs import frozen

from consentkit.errors import ConsentkitError, LedgerClosed
from consentkit.evidence.store import View

if TYPE_CHECKING:
    from consentkit.evidence.ledger import Ledger

__all__ = ["Inside"]

_log = logging.getLogger(__name__)

_FORK_WAIT_SECONDS: Final = 10.0


@frozen(eq=False)
class Inside:
    """A ledger's other face: to those who follow it, and to forks."""

    ledger: Ledger

    @contextmanager
    def view(self) -> Iterator[View]:
        """Read one consistent state."""
        with self.open(), self.ledger._view() as view:
            yield view

    def keep(self, size: int, checkpoint: bytes, line: bytes) -> None:
        """Keep a cosignature."""
        with self.open():
            self.ledger._store.keep_cosigned(size, checkpoint, line)
        self.ledger._outside.cosigned()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Go on, unless the ledger is closed; nobody closes it meanwhile."""
        # A thread that outlives `close` must not connect anew.
        with self.ledger._gate:
            if self.ledger._closed:
                raise LedgerClosed("the ledger is closed")
            yield

    def before_fork(self) -> bool:
        """Have no connection, and hold the gate, at the moment of a fork, if that can be had in time."""
        if not self.ledger._gate.acquire(timeout=_FORK_WAIT_SECONDS):
            return False
        try:
            self.ledger._store.release()
        except ConsentkitError:
            _log.warning("a ledger could not be put aside for a fork", exc_info=True)
        return True

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self.ledger._gate.release()

    def after_fork_in_child(self) -> None:
        """Make a child's copy of the ledger its own."""
        self.ledger._store.abandon()
        self.ledger._gate = RLock()
        self.ledger._sequencer.reset()
        self.ledger._outside.reset()
        self.ledger._spooling.reset()
