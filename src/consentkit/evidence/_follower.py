"""A daemon thread that does something about new heads of the log, after the commit and in nobody's way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random, SystemRandom
from threading import Condition, Thread, current_thread
from typing import Final, NamedTuple, Protocol

from consentkit.evidence.store import View

__all__ = ["Follower", "Next", "Source", "pause"]

_log = logging.getLogger(__name__)

_AFTER_A_FAULT: Final = 60.0
_RANDOM: Final = SystemRandom()  # not the same in processes that were forked


class Source(Protocol):
    """The ledger as those who follow it see it. Both raise LedgerError, and LedgerClosed once it is closed."""

    def view(self) -> AbstractContextManager[View]:
        """Read one consistent state."""

    def keep(self, size: int, checkpoint: bytes, line: bytes) -> None:
        """Keep a witness's signature line for the checkpoint of `size`."""


class Next(NamedTuple):
    """When to go on: not before `seconds` have passed, and if `more` is to be done, whether or not there is news."""

    seconds: float = 0.0
    more: bool = False


def pause(failures: int, first: float, longest: float, random: Random = _RANDOM) -> Next:
    """Say when to try again after so many failures: later each time, and not when the other processes do."""
    seconds = min(first * 2.0 ** min(failures - 1, 16), longest)
    return Next(seconds * random.uniform(0.5, 1.0), more=True)


class Follower:
    """Calls `step` when there is news, and again when it asks for that.

    The thread starts with `start`, if there is news by then, in whichever process that is; it never crosses a
    fork. What `step` raises is logged, and it is called again a minute later.
    """

    def __init__(self, step: Callable[[], Next], name: str) -> None:
        self._step, self._name = step, name
        self.reset()

    def reset(self) -> None:
        """Begin anew in a process that has just been forked: the thread is the parent's."""
        self._wake = Condition()
        self._news = False
        self._closed = False
        self._next = 0.0
        self._busy = False
        self._thread: Thread | None = None

    def wake(self) -> None:
        """Say that there is news."""
        with self._wake:
            self._news = True
            self._wake.notify_all()

    def start(self) -> None:
        """Start the thread, if there is anything for it to do."""
        with self._wake:
            if self._thread is not None or not self._news or self._closed:
                return
            self._thread = thread = Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be had now; the next decision tries again
                self._thread = None
                _log.warning("the thread %s cannot start", self._name, exc_info=True)

    def rest(self, seconds: float) -> None:
        """Have what is new done at once, and return once that is over, or after `seconds`; it may go on afterwards."""
        self.start()
        with self._wake:
            self._next = 0.0
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._thread is None or not (self._news or self._busy), seconds)

    def close(self, seconds: float) -> None:
        """Have what is new done once more, and return once that is over; wait no longer than `seconds` for it."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
            thread = self._thread
        if thread is not None and thread is not current_thread():
            thread.join(seconds)

    def _run(self) -> None:
        while self._wait():
            following = self._guarded()
            with self._wake:
                self._next = time.monotonic() + following.seconds
                self._news = self._news or (following.more and not self._closed)
                self._busy = False
                self._wake.notify_all()

    def _wait(self) -> bool:
        """Wait until something is to be done, and say so; once closed, what is new is done at once and last."""
        with self._wake:
            while not self._closed:
                left = self._next - time.monotonic()
                if self._news and left <= 0:
                    break
                self._wake.wait(left if self._news else None)
            self._busy, self._news = self._news, False
            return self._busy

    def _guarded(self) -> Next:
        try:
            return self._step()
        except Exception:  # noqa: BLE001  the thread must outlive whatever happens to one step
            _log.exception("%s failed", self._name)
            return Next(_AFTER_A_FAULT, more=True)
