"""When the connection or the server fails: no false word about what is recorded, and nothing recorded twice."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from consentkit.errors import LedgerError, LedgerUnavailable, OutcomeUnknown
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.record import disclosed, parse_record
from tests.evidence import test_faults
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, draft, history
from tests.evidence.test_faults import events, watched
from tests.evidence.test_ledger import check
from tests.evidence.test_processes import acknowledged, check_all, start
from tests.postgres.reuse import reused
from tests.postgres_server import PostgresServer
from tests.support import ROOT
from tests.tcp_proxy import Cut, Proxy

__all__ = ["events", "watched"]

globals().update(reused(test_faults))

BEGIN, HEAD, ROWS, COMMIT = (
    b"AS wanted (history)",
    b"pg_advisory_xact_lock",
    b"INSERT INTO opening",
    b"COMMIT\0",
)


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    """Something between ledger and server that fails when it is told to."""
    with Proxy(postgres.socket) as made:
        yield made


@pytest.fixture
def url(postgres: PostgresServer, proxy: Proxy) -> str:
    """The URL of a ledger behind the proxy, that is not there yet."""
    return postgres.url(port=proxy.port)


def recorded(ledger: Ledger) -> dict[str, list[int]]:
    """Return where the records of each history are."""
    found: dict[str, list[int]] = {}
    for index in range(ledger.size):
        if opening := ledger.opening(index):
            name = disclosed(parse_record(opening.record).claims, opening.disclosures)["history"]
            found.setdefault(name, []).append(index)
    return found


def outcome(future: Future[object]) -> object:
    return future.exception(60) or future.result()


@pytest.mark.parametrize("how", Cut)
@pytest.mark.parametrize("said", [BEGIN, HEAD, ROWS, COMMIT], ids=["read", "turn", "write", "commit"])
def test_whenever_the_connection_breaks_the_answers_are_true(
    open_ledger: OpenLedger, proxy: Proxy, said: bytes, how: Cut
) -> None:
    """What is acknowledged is there, once, where it was said to be; what is said not to be recorded is not."""
    ledger = open_ledger()
    ledger.append(draft())
    proxy.cut(said, how)
    names = [history() for _ in range(20)]
    futures = [ledger.submit(draft(history=name)) for name in names]
    outcomes = [outcome(future) for future in futures]
    assert proxy.fired == 1
    ledger.append(draft())
    found = recorded(ledger)
    for name, told in zip(names, outcomes, strict=True):
        if isinstance(told, LedgerError):
            assert type(told) is LedgerUnavailable
            assert name not in found
        else:
            assert found[name] == [told.index]  # type: ignore[attr-defined]
    assert check(ledger) == 4 + sum(name in found for name in names)
    if (how is not Cut.IN) if said in (BEGIN, HEAD) else (said == COMMIT and how is not Cut.BEFORE):
        assert found.keys() >= set(names)


def test_a_commit_that_is_still_under_way_is_waited_for(open_ledger: OpenLedger, proxy: Proxy) -> None:
    """The network may hand over COMMIT long after it broke; until then nobody can know."""
    ledger = open_ledger()
    proxy.cut(COMMIT, Cut.LATE)
    begun = time.monotonic()
    assert ledger.append(draft()).index == 2
    assert time.monotonic() - begun >= 0.5
    assert check(ledger) == 3


def test_while_the_server_is_away_the_ledger_says_so_and_comes_back_by_itself(
    open_ledger: OpenLedger, proxy: Proxy
) -> None:
    """A commit of unknown outcome is known when the server is back."""
    ledger = open_ledger()
    proxy.cut(COMMIT, Cut.AFTER)
    proxy.refuse(True)
    with pytest.raises(OutcomeUnknown):
        ledger.append(draft())
    with pytest.raises(LedgerUnavailable, match="cannot be reached") as caught:
        ledger.append(draft())
    assert not isinstance(caught.value, OutcomeUnknown)
    proxy.refuse(False)
    assert ledger.append(draft()).index == 3
    assert check(ledger) == 4


def test_a_connection_that_died_while_nobody_used_it_is_made_anew(
    open_ledger: OpenLedger, proxy: Proxy
) -> None:
    """A firewall's time-out is no reason to lose a decision."""
    ledger = open_ledger()
    ledger.append(draft())
    proxy.break_all()
    assert ledger.append(draft()).index == 3
    proxy.break_all()
    assert ledger.size == 4


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(
    open_ledger: OpenLedger, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler may stand still with its connections open; nothing tells the client."""
    ledger = open_ledger()
    monkeypatch.setattr("consentkit.evidence.postgres._PATIENCE", 1.0)
    with proxy.silence(), pytest.raises(LedgerUnavailable, match="timeout expired"):
        ledger.append(draft())
    assert ledger.append(draft()).index == 2


def crash_rounds(postgres: PostgresServer, rounds: int, writers: int) -> int:
    """Crash the server under running writers; returns how many records were acknowledged in all."""
    url = postgres.url()
    told: list[tuple[int, str]] = []
    running = [start(url, 0) for _ in range(writers)]
    lines: list[list[str]] = [[] for _ in running]

    def read(process: "subprocess.Popen[str]", into: list[str]) -> None:
        assert process.stdout is not None
        into.extend(process.stdout)

    readers = [
        threading.Thread(target=read, args=pair, daemon=True) for pair in zip(running, lines, strict=True)
    ]
    try:
        for reader in readers:
            reader.start()
        for _ in range(rounds):
            before = [len(some) for some in lines]
            while any(len(some) < many + 20 for some, many in zip(lines, before, strict=True)):
                time.sleep(0.01)
                assert all(process.poll() is None for process in running)
            postgres.crash()
        time.sleep(0.2)
    finally:
        for process in running:
            process.kill()
    for process, reader in zip(running, readers, strict=True):
        reader.join()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
    for some in lines:
        told += acknowledged("".join(line for line in some if not line.startswith("failed")))
    check_all(url, told)
    return len(told)


def test_a_server_that_crashes_loses_nothing_that_was_acknowledged(postgres: PostgresServer) -> None:
    """`pg_ctl stop -m immediate` in the middle of appends, and recovery: all there, once, in one order."""
    assert crash_rounds(postgres, rounds=2, writers=1) >= 40


@pytest.mark.slow
def test_a_server_may_crash_many_times_under_many_writers(postgres: PostgresServer) -> None:
    """The same at length."""
    assert crash_rounds(postgres, rounds=15, writers=3) >= 900


def test_a_server_that_shuts_down_is_unavailable_until_it_is_back(postgres: PostgresServer) -> None:
    """An orderly restart, as for an update."""
    with Ledger.open(postgres.url(), keys=KEYS) as ledger:
        ledger.append(draft())
        postgres.stop()
        with pytest.raises(LedgerUnavailable):
            ledger.append(draft())
        postgres.start()
        assert ledger.append(draft()).index == 3
        assert check(ledger) == 4


def test_a_process_that_dies_with_the_lock_does_not_keep_it(postgres: PostgresServer) -> None:
    """The server takes it back; the next writer goes on at once."""
    url = postgres.url()
    with Ledger.open(url, keys=KEYS):
        pass
    code = (
        "import os, signal, sys\n"
        "from consentkit.evidence.store import open_store\n"
        "with open_store(sys.argv[1]).lock():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    dead = subprocess.run([sys.executable, "-c", code, url], cwd=ROOT, check=False, timeout=30)
    assert dead.returncode == -9
    with Ledger.open(url, keys=KEYS) as ledger:
        assert ledger.append(draft()).index == 2
