"""The sequencer: one thread, batches that grow with the load, and answers for everyone who waits."""

import asyncio
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from consentkit.errors import LedgerBusy, LedgerClosed, LedgerUnavailable
from consentkit.evidence.sequencer import Item, Sequencer, _resolve_all, settle


def echo(items: Sequence[Item[Any]]) -> None:
    settle((item, item.work) for item in items)


def put(sequencer: Sequencer[Any], work: Any, **options: Any) -> Future[Any]:
    future: Future[Any] = Future()
    sequencer.put(Item(work, future), **options)
    return future


def test_no_thread_runs_before_something_is_queued() -> None:
    """A server that forks after loading the application forks without one."""
    sequencer = Sequencer(echo, name="test-lazy")
    assert "test-lazy" not in {thread.name for thread in threading.enumerate()}
    assert put(sequencer, 5).result(5) == 5
    assert "test-lazy" in {thread.name for thread in threading.enumerate()}
    sequencer.close()
    assert "test-lazy" not in {thread.name for thread in threading.enumerate()}


def test_what_gathers_during_one_batch_is_the_next() -> None:
    """Nothing waits for a timer, and no batch is larger than allowed."""
    batches: list[list[Any]] = []
    go = threading.Event()

    def process(items: Sequence[Item[Any]]) -> None:
        go.wait(5)
        batches.append([item.work for item in items])
        echo(items)

    sequencer = Sequencer(process, max_batch=4)
    futures = [put(sequencer, 0)]
    while len(sequencer):
        pass
    futures += [put(sequencer, number) for number in range(1, 8)]
    go.set()
    assert [future.result(5) for future in futures] == list(range(8))
    assert batches == [[0], [1, 2, 3, 4], [5, 6, 7]]
    sequencer.close()


def test_the_queue_is_bounded_with_room_for_the_urgent() -> None:
    """One place in eight."""
    go = threading.Event()
    sequencer = Sequencer(lambda items: (go.wait(5), echo(items))[1], limit=8)
    put(sequencer, 0)
    while len(sequencer):
        pass
    for number in range(7):
        put(sequencer, number)
    with pytest.raises(LedgerBusy):
        put(sequencer, 7)
    put(sequencer, 7, urgent=True)
    with pytest.raises(LedgerBusy, match="8 decisions wait"):
        put(sequencer, 8, urgent=True)
    go.set()
    sequencer.close()


def test_closing_deals_with_what_waits_and_takes_no_more() -> None:
    """Even when it was never started, and twice."""
    sequencer = Sequencer(echo)
    futures = [put(sequencer, number) for number in range(20)]
    sequencer.close()
    assert [future.result(0) for future in futures] == list(range(20))
    with pytest.raises(LedgerClosed):
        put(sequencer, 1)
    sequencer.close()
    Sequencer(echo).close()


def test_closing_from_its_own_thread_does_not_wait_for_itself() -> None:
    """A callback of a future may close the ledger."""
    sequencer = Sequencer(echo)
    future: Future[Any] = Future()
    future.add_done_callback(lambda _: sequencer.close())
    sequencer.put(Item(1, future))
    assert future.result(5) == 1


def test_one_wake_up_serves_all_tasks_of_a_loop() -> None:
    """However many of them wait."""
    woken: list[Any] = []

    async def scenario() -> list[Any]:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counting(callback: Any, *arguments: Any) -> Any:
            woken.append(callback)
            return wake(callback, *arguments)

        loop.call_soon_threadsafe = counting  # type: ignore[method-assign,assignment]
        items = [Item(number, loop.create_future(), loop) for number in range(100)]
        await loop.run_in_executor(None, settle, [(item, item.work) for item in items])
        return [await item.future for item in items]  # type: ignore[misc]

    assert asyncio.run(scenario()) == list(range(100))
    assert woken.count(_resolve_all) == 1


def test_whoever_stopped_waiting_is_passed_over() -> None:
    """A cancelled future gets no answer and harms nobody."""
    gone: Future[Any] = Future()
    gone.cancel()
    stays: Future[Any] = Future()
    settle([(Item(1, gone), 1), (Item(2, stays), ValueError("no"))])
    with pytest.raises(ValueError, match="no"):
        stays.result(0)


@pytest.mark.parametrize("options", [{}, {b"http": b":8000"}, {"http": ":8000"}])
def test_a_server_without_threads_is_named(monkeypatch: pytest.MonkeyPatch, options: dict[Any, Any]) -> None:
    """uWSGI stops threads between requests unless it is told not to."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))
    with pytest.raises(LedgerUnavailable, match="uWSGI") as caught:
        put(Sequencer(echo), 1)
    assert "--enable-threads" in caught.value.remedy


@pytest.mark.parametrize("options", [{b"enable-threads": True}, {"threads": 4}])
def test_a_server_with_threads_is_left_in_peace(
    monkeypatch: pytest.MonkeyPatch, options: dict[Any, Any]
) -> None:
    """Either of the options that give it threads."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))
    sequencer = Sequencer(echo)
    assert put(sequencer, 1).result(5) == 1
    sequencer.close()


def test_a_thread_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next attempt may succeed."""
    sequencer = Sequencer(echo)
    with monkeypatch.context() as patch:
        patch.setattr(
            threading.Thread, "start", lambda thread: (_ for _ in ()).throw(RuntimeError("can't start"))
        )
        with pytest.raises(LedgerUnavailable, match="can't start"):
            put(sequencer, 1)
    assert put(sequencer, 2).result(5) == 2
    sequencer.close()


def test_it_rests_once_nothing_waits_and_nothing_is_being_done() -> None:
    """And takes more afterwards; one that never worked rests at once."""
    go, done = threading.Event(), threading.Event()

    def process(items: Sequence[Item[Any]]) -> None:
        go.wait(5)
        echo(items)

    sequencer = Sequencer(process)
    sequencer.rest()
    futures = [put(sequencer, number) for number in range(3)]

    def rest() -> None:
        sequencer.rest()
        assert all(future.done() for future in futures)
        done.set()

    resting = threading.Thread(target=rest)
    resting.start()
    assert not done.wait(0.05)
    go.set()
    assert done.wait(5)
    resting.join()
    assert put(sequencer, 9).result(5) == 9
    sequencer.close()
