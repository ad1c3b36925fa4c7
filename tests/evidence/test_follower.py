"""The thread that follows the log: when it works, when it rests, and what cannot end it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from consentkit.evidence import _follower
from consentkit.evidence._follower import Follower, Next


class Work:
    """A step that counts its calls and answers what it is told to."""

    def __init__(self, *answers: Next | Exception) -> None:
        self.answers = list(answers)
        self.times: list[float] = []
        self.called = threading.Condition()

    def __call__(self) -> Next:
        with self.called:
            self.times.append(time.monotonic())
            self.called.notify_all()
        answer = self.answers.pop(0) if self.answers else Next()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, count: int) -> None:
        """Wait until it was called so often."""
        with self.called:
            assert self.called.wait_for(lambda: len(self.times) >= count, 20)


def follow(work: Callable[[], Next]) -> Follower:
    return Follower(work, "a follower")


def test_it_works_when_there_is_news() -> None:
    """And rests until there is more."""
    work = Work()
    follower = follow(work)
    follower.wake()
    follower.start()
    work.wait(1)
    time.sleep(0.05)
    assert len(work.times) == 1
    follower.wake()
    work.wait(2)
    follower.close(5)
    assert len(work.times) == 2


def test_it_has_no_thread_before_there_is_news() -> None:
    """And one only, however often it is started."""
    work = Work()
    follower = follow(work)
    follower.start()
    assert follower._thread is None
    follower.wake()
    follower.start()
    first = follower._thread
    follower.start()
    assert follower._thread is first
    work.wait(1)
    follower.close(5)
    assert first is not None
    assert not first.is_alive()
    follower.wake()
    follower.start()
    assert follower._thread is first


def test_it_keeps_the_pause_that_a_step_asks_for() -> None:
    """Whatever news comes in meanwhile."""
    work = Work(Next(0.2))
    follower = follow(work)
    follower.wake()
    follower.start()
    work.wait(1)
    follower.wake()
    work.wait(2)
    assert work.times[1] - work.times[0] >= 0.2
    follower.close(5)


def test_a_step_that_has_more_to_do_is_called_again() -> None:
    """Without any news."""
    work = Work(Next(0.01, more=True), Next(0.01, more=True))
    follower = follow(work)
    follower.wake()
    follower.start()
    work.wait(3)
    follower.close(5)


def test_closing_has_what_is_new_done_at_once() -> None:
    """Even in the middle of a pause, and once."""
    work = Work(Next(600, more=True), Next(600, more=True))
    follower = follow(work)
    follower.wake()
    follower.start()
    work.wait(1)
    follower.close(5)
    assert len(work.times) == 2


def test_closing_waits_no_longer_than_it_is_told_to() -> None:
    """For a step that does not come back."""
    over = threading.Event()
    entered = threading.Event()

    def stuck() -> Next:
        entered.set()
        over.wait(20)
        return Next()

    follower = follow(stuck)
    follower.wake()
    follower.start()
    assert entered.wait(20)
    before = time.monotonic()
    follower.close(0.05)
    assert time.monotonic() - before < 5
    over.set()
    follower.close(20)


def test_an_unforeseen_fault_is_logged_and_not_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on a while later."""
    monkeypatch.setattr(_follower, "_AFTER_A_FAULT", 0.01)
    work = Work(RuntimeError("unforeseen"))
    follower = follow(work)
    with caplog.at_level(logging.ERROR):
        follower.wake()
        follower.start()
        work.wait(2)
        follower.close(5)
    assert "a follower failed" in caplog.text
    assert "unforeseen" in caplog.text


def test_where_no_thread_can_be_had_the_next_start_tries_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A decision must not fail for it."""
    work = Work()
    follower = follow(work)
    follower.wake()

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(threading.Thread, "start", start)
        follower.start()
    assert "cannot start" in caplog.text
    follower.start()
    work.wait(1)
    follower.close(5)


def test_resting_has_what_is_new_done_at_once() -> None:
    """A pause is cut short, and the thread goes on afterwards."""
    work = Work(Next(3600.0), Next(3600.0))
    follower = follow(work)
    follower.rest(5)
    assert work.times == []
    follower.wake()
    follower.rest(20)
    assert len(work.times) == 1
    follower.wake()
    follower.rest(20)
    assert len(work.times) == 2
    follower.wake()
    follower.close(20)
    assert len(work.times) == 3


def test_resting_does_not_wait_for_what_fails_for_ever() -> None:
    """A place that cannot be reached keeps nobody from stopping."""
    work = Work(*[Next(3600.0, more=True)] * 3)
    follower = follow(work)
    follower.wake()
    before = time.monotonic()
    follower.rest(0.05)
    assert time.monotonic() - before < 5
    work.wait(1)
    follower.close(20)
