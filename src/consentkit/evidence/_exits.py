"""The end of a process: ledgers that nobody has closed are closed then, so that their files are complete."""

from __future__ import annotations

import atexit
import logging
import weakref
from typing import Protocol

__all__ = ["Closable", "close_at_exit", "forget"]

_log = logging.getLogger(__name__)


class Closable(Protocol):
    """Something that has work to finish before its process ends."""

    def close(self) -> None:
        """Finish; in a process that was forked off and has not used it, there is nothing to do."""


_known: weakref.WeakSet[Closable] = weakref.WeakSet()


def close_at_exit(one: Closable) -> None:
    """Close `one` when the interpreter ends, if it still lives and nobody has closed it by then."""
    _known.add(one)


def forget(one: Closable) -> None:
    """Leave `one` alone: it was closed."""
    _known.discard(one)


@atexit.register
def _close_all() -> None:
    for one in list(_known):
        try:
            one.close()
        except Exception:  # noqa: BLE001  the others are to be closed as well
            _log.exception("a ledger could not be closed at the end of the process")
