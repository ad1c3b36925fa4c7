"""Idempotency keys: however often and wherever a request is made again, one record comes of it."""

import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consentkit.errors import KeyReused
from consentkit.evidence.batch import Once
from consentkit.evidence.ledger import Ledger
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, NOW, draft, history
from tests.evidence.test_draining import DAY, away, once, refusal
from tests.support import ROOT, Clock

serial = count()


def remembered(ledger: Ledger, *asked: Once) -> int:
    """How many of these the store remembers."""
    with ledger._view() as view:
        return len(view.answered([one.key for one in asked]))


def test_the_same_again_gives_the_first_record(open_ledger: OpenLedger) -> None:
    """Marked as repeated, in whichever process, also after a restart."""
    ledger, key = open_ledger(), once("key")
    first = ledger.append(draft(), key)
    assert not first.repeated
    ledger.close()
    for other in (open_ledger(), open_ledger()):
        again = other.append(draft(), key)
        assert (again.repeated, again.opening, again.time) == (True, first.opening, first.time)
        assert other.recall(key) == again
        assert other.size == first.index + 1


def test_what_was_never_asked_is_not_known(ledger: Ledger) -> None:
    """Nothing is made up."""
    assert ledger.recall(once("key")) is None


def test_another_request_under_the_same_key_is_refused(ledger: Ledger) -> None:
    """Now, in the same batch and when asked for; nothing is written."""
    ledger.append(draft(), once("key", "one"))
    size = ledger.size
    with pytest.raises(KeyReused, match="another request"):
        ledger.append(draft(), once("key", "two"))
    with pytest.raises(KeyReused):
        ledger.recall(once("key", "two"))
    assert ledger.size == size


def test_in_one_batch_too(ledger: Ledger) -> None:
    """Those who asked twice at once hear of the same record; who asked otherwise is refused."""
    batch = [ledger.submit(draft(), once("key", what)) for what in ("one", "one", "two", "one")]
    told = [future.result() for future in (batch[0], batch[1], batch[3])]
    assert len({one.index for one in told}) == 1
    with pytest.raises(KeyReused):
        batch[2].result()


def test_a_key_is_forgotten_in_time(ledger: Ledger, clock: Clock) -> None:
    """Then it stands for the next request, and what is remembered leaves the store."""
    old, key = once("old"), once("key", "one")
    first = ledger.append(draft(), key)
    ledger.append(draft(), old)
    clock.advance(DAY)
    assert ledger.recall(key) is None
    second = ledger.append(draft(), once("key", "two", NOW + 2 * DAY))
    assert (second.repeated, second.index) == (False, first.index + 2)
    ledger.append(draft())
    assert remembered(ledger, old, key) == 2  # who asks for nothing sweeps nothing
    clock.advance(1)
    ledger.append(draft(), once("third", expires=NOW + 2 * DAY))
    assert remembered(ledger, old, key) == 1


def test_it_leaves_with_its_record(ledger: Ledger) -> None:
    """Erased, it may come again, in a new history."""
    key, name = once("key"), history()
    ledger.append(draft(history=name), key)
    ledger.erase(name, "gdpr-17-1-a")
    assert remembered(ledger, key) == 0
    assert not ledger.append(draft(history=name), key).repeated


def test_nothing_is_remembered_of_what_was_not_written(ledger: Ledger) -> None:
    """Record and memory come about together."""
    key = once("key")
    with away(ledger), suppress(Exception):
        ledger.append(draft(), key)
    assert ledger.recall(key) is None
    assert not ledger.append(draft(), key).repeated


PROGRAM = """
import sys
from consentkit.evidence.ledger import Ledger
from tests.evidence.samples import KEYS, draft
from tests.evidence.test_draining import once
with Ledger.open(sys.argv[1], keys=KEYS) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    futures = [ledger.submit(draft(), once(f"key {n % 20}", expires=2**62)) for n in range(200)]
    print(*[future.result().index for future in futures], flush=True)
"""


def test_two_processes_make_one_record_of_each(url: str) -> None:
    """Both are asked for the same at the same time."""
    with Ledger.open(url, keys=KEYS) as ledger:
        before = ledger.size
        command = [sys.executable, "-c", PROGRAM, url]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        both = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(2)]  # type: ignore[call-overload]
        for process in both:
            assert process.stdout.readline() == "ready\n"
        told = []
        for process in both:
            process.stdin.write("\n")
            process.stdin.flush()
        for process in both:
            told.append([int(index) for index in process.communicate(timeout=60)[0].split()])
            assert process.returncode == 0
        assert told[0] == told[1] == told[0][:20] * 10
        assert sorted(set(told[0])) == list(range(before, before + 20))
        assert ledger.size == before + 20


# What may happen to a request: which of three keys and of two contents, whether the ledger takes it, whether the
# answer is waited for, and how much time passes.
steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["ask", "ask", "other", "spool", "restart", "submit"]),
        st.sampled_from([0, 1, 60_000]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_interleaving_makes_one_record_for_each_key(
    open_ledger: OpenLedger, clock: Clock, happenings: list[tuple[int, str, int]]
) -> None:
    """Asked again, at once, with other content, after a restart, or while only the spool takes it."""
    ledgers, run = [open_ledger()], next(serial)
    names = [history() for _ in range(3)]
    keys = [once(f"{run} {n}", "this", clock() + DAY) for n in range(3)]
    asked, waiting = set(), []
    for which, what, pause in happenings:
        ledger = ledgers[-1]
        clock.advance(pause)
        if what == "restart":
            ledgers.append(open_ledger())
            continue
        asked.add(which)
        said = refusal(history=names[which])
        if what == "spool":
            with away(ledger):
                ledger.spool(said, keys[which])
        elif what == "other":
            with suppress(KeyReused):
                ledger.append(said, keys[which])
            with pytest.raises(KeyReused):
                ledger.append(said, keys[which]._replace(digest=bytes(32)))
        elif what == "submit":
            waiting.append(ledger.submit(said, keys[which]))
        else:
            ledger.append(said, keys[which])
    for future in waiting:
        future.result()
    ledgers[-1].append(draft())
    ledgers[-1].erase(history(), "nobody")  # waits for whoever drains
    assert [len(ledgers[-1].history(names[n])) for n in range(3)] == [int(n in asked) for n in range(3)]
    for ledger in ledgers:
        ledger.close()


def test_threads_make_one_record_of_each(open_ledger: OpenLedger) -> None:
    """From two ledgers in whatever order."""
    ledgers, chance = [open_ledger(), open_ledger()], random.Random(7)
    keys = [once(f"key {n}") for n in range(8)]
    asked = keys * 6
    chance.shuffle(asked)
    start = threading.Barrier(6)

    def ask(number: int) -> set[tuple[bytes, int]]:
        start.wait(20)
        return {(key.key, ledgers[number % 2].append(draft(), key).index) for key in asked[number * 8 :][:8]}

    with ThreadPoolExecutor(6) as pool:
        told = set().union(*pool.map(ask, range(6)))
    assert len(told) == len({index for _, index in told}) == 8
