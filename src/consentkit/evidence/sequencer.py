"""The sequencer: one thread for each process that takes what has been queued and hands it on in batches.

There is no timer. While one batch is being written the next one gathers, so batches grow with the load by
themselves. The thread starts with the first item, in whichever process that comes, and never crosses a fork.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Condition, Thread, current_thread
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from attrs import define, field

from consentkit.errors import LedgerBusy, LedgerClosed, LedgerUnavailable

if TYPE_CHECKING:
    import asyncio  # whoever awaits has it already; whoever does not is spared its start

__all__ = ["MAX_BATCH", "QUEUE_LIMIT", "RESERVED_SHARE", "Item", "Sequencer", "settle"]

QUEUE_LIMIT: Final = 4096
MAX_BATCH: Final = QUEUE_LIMIT
RESERVED_SHARE: Final = 8
"""One in so many places of the queue is kept for what must not wait behind the rest."""

W = TypeVar("W")


@define(eq=False)
class Item(Generic[W]):
    """Something queued, and whoever waits for it: a thread, or a task of `loop`."""

    work: W
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None = field(default=None)


def settle(outcomes: Iterable[tuple[Item[Any], object]]) -> None:
    """Tell everyone who waits what became of their item: the outcome, raised if it is an exception.

    Each event loop is woken once, however many of its tasks are among them.
    """
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Any, object]]] = {}
    for item, outcome in outcomes:
        if item.loop is None:
            _resolve(item.future, outcome)
        else:
            loops.setdefault(item.loop, []).append((item.future, outcome))
    for loop, pairs in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve_all, pairs)
        except RuntimeError:  # the loop was closed, and with it went everyone who waited there
            continue


def _resolve_all(pairs: Sequence[tuple[Any, object]]) -> None:
    for future, outcome in pairs:
        if not future.done():  # cancelled: nobody waits any more
            _resolve(future, outcome)


def _resolve(future: Any, outcome: object) -> None:
    with suppress(InvalidStateError):  # cancelled, and so nobody waits any more
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


class Sequencer(Generic[W]):
    """A bounded queue and the thread that empties it into `process`, at most `max_batch` items at a time.

    `process` settles its items itself and must not raise.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Item[W]]], None],
        *,
        limit: int = QUEUE_LIMIT,
        max_batch: int = MAX_BATCH,
        name: str = "consentkit-ledger",
    ) -> None:
        self._process, self._name = process, name
        self._limit, self._max_batch = limit, max_batch
        self._closed = False
        self.reset()

    def reset(self) -> None:
        """Begin anew in a process that has just been forked: the queue and the thread are the parent's."""
        self._wake = Condition()
        self._queue: deque[Item[W]] = deque()
        self._thread: Thread | None = None
        self._busy = False

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, item: Item[W], *, urgent: bool = False) -> None:
        """Queue an item; an urgent one may use the reserved places.

        Raises LedgerBusy when the queue is full, LedgerClosed after `close`, and LedgerUnavailable where no
        thread can run.
        """
        with self._wake:
            if self._closed:
                raise LedgerClosed("the ledger is closed")
            if len(self._queue) >= (self._limit if urgent else self._limit - self._limit // RESERVED_SHARE):
                raise LedgerBusy(
                    f"{len(self._queue)} decisions wait to be recorded", remedy="try again in a second"
                )
            if self._thread is None:
                self._thread = self._start()
            self._queue.append(item)
            self._wake.notify_all()

    def _start(self) -> Thread:
        _require_threads()
        thread = Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise LedgerUnavailable(f"the ledger's thread cannot start: {error}") from error
        return thread

    def _run(self) -> None:
        while batch := self._take():
            self._process(batch)

    def _take(self) -> list[Item[W]]:
        """Wait for items and take what is there; nothing once closed and empty."""
        with self._wake:
            self._busy = False
            self._wake.notify_all()
            while not self._queue and not self._closed:
                self._wake.wait()
            self._busy = bool(self._queue)
            return [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch))]

    def rest(self) -> None:
        """Return once nothing waits and nothing is being dealt with; more may come afterwards."""
        with self._wake:
            self._wake.wait_for(lambda: not self._queue and not self._busy)

    def close(self) -> None:
        """Take no more items, and return once those that wait are dealt with."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
            thread = self._thread
        if thread is not None and thread is not current_thread():
            thread.join()


def _require_threads() -> None:
    """Refuse where threads exist but stand still between requests: uWSGI without `enable-threads`."""
    options = getattr(sys.modules.get("uwsgi"), "opt", None)
    if options is not None and not options.keys() & {
        "enable-threads",
        b"enable-threads",
        "threads",
        b"threads",
    }:
        raise LedgerUnavailable(
            "uWSGI runs without threads, so nothing can be recorded",
            remedy="start uWSGI with --enable-threads",
        )
