"""The end of a process: ledgers that nobody has closed are closed then, so that their files are complete."""

from __future__ import annotations

import atexit
import logging
import weakref
from types import TracebackType
from typing import Self

__all__ = ["Closable", "close_at_exit", "forget"]

_log = logging.getLogger(__name__)


class Closable:
    """Something that has work to finish: at the end of a `with`, or before its process ends."""

    def close(self) -> None:
        """Finish; in a process that was forked off and has not used it, there is nothing to do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
