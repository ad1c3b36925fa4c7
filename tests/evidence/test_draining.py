"""Draining the spool: refusals that waited enter the log, once each, whatever happens in between."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consentkit.errors import LedgerUnavailable, OutcomeUnknown, SpoolUnavailable
from consentkit.evidence.batch import Once
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.spool import Spool, default_spool
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, NOW, draft, history
from tests.evidence.test_spool import keep, refusal
from tests.support import ROOT, Clock

DAY = 86_400_000


@contextmanager
def away(ledger: Ledger) -> Iterator[None]:
    """The time during which a store can do nothing."""

    def gone(*_: object) -> Any:
        raise LedgerUnavailable("the store is away")

    store = ledger._store
    kept = {name: getattr(store, name) for name in ("view", "basis", "lock", "commit", "recover")}
    for name in kept:
        setattr(store, name, gone)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(store, name, method)


def spool_of(url: str) -> Spool:
    """The spool of the ledger at a URL, as another process has it."""
    folder = default_spool(url)
    assert folder is not None
    return Spool(folder)


def once(key: str, what: str = "", expires: int = NOW + DAY) -> Once:
    """What tells a request from others."""
    return Once(key.encode().ljust(32), what.encode().ljust(32), expires)


def test_it_enters_the_log_once_and_says_when_it_was_made(open_ledger: OpenLedger, clock: Clock) -> None:
    """With the time of entering as its time."""
    ledger, name = open_ledger(), history()
    with away(ledger):
        ledger.spool(refusal(history=name))
        clock.advance(3_600_000)
    ledger.append(draft())
    (record,) = ledger.history(name)
    assert record.time == NOW + 3_600_000
    assert record.record.claims["extra"] == {"decided": "2026-11-02T12:00:00.000Z"}
    ledger.close()
    assert len(open_ledger().history(name)) == 1


def test_it_comes_before_what_was_decided_later(open_ledger: OpenLedger) -> None:
    """A history's later grant stands behind the refusal that waited."""
    ledger, name = open_ledger(), history()
    with away(ledger):
        ledger.spool(refusal(history=name))
    ledger.append(draft(history=name))
    assert [one.record.claims["event"] for one in ledger.history(name)] == ["refused", "given"]


def test_a_thread_tries_again_until_the_store_is_back(
    open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anybody deciding anything."""
    monkeypatch.setattr("consentkit.evidence._spooling._FIRST_PAUSE", 0.01)
    drained = threading.Event()
    ledger = open_ledger(on_event=lambda event, **_: event == "ledger.drained" and drained.set())
    name = history()
    with away(ledger):
        ledger.spool(refusal(history=name))
    assert drained.wait(20)
    assert len(ledger.history(name)) == 1


def test_dying_between_recording_and_deleting_records_nothing_twice(
    open_ledger: OpenLedger, url: str
) -> None:
    """The file is drained again, and each of its decisions is known."""
    ledger, name = open_ledger(), history()
    folder = default_spool(url)
    assert folder is not None
    spool = Spool(folder)
    keep(spool, history=name)
    (path,) = spool.files()
    kept = path.read_bytes()
    ledger.append(draft())
    assert not path.exists()
    path.write_bytes(kept)
    ledger.append(draft())
    assert len(ledger.history(name)) == 1
    assert not Spool(folder).waiting()


def test_current_counts_what_waits(open_ledger: OpenLedger) -> None:
    """A withdrawal outweighs the grant that it withdraws, with the store there and away."""
    ledger, name = open_ledger(), history()
    ledger.append(draft(history=name))
    assert ledger.current(name).choices["analytics"].granted
    with away(ledger):
        ledger.spool(refusal(event="withdrawn", history=name))
        standing = ledger.current(name).choices["analytics"]
        assert (standing.granted, standing.index) == (False, None)
        with pytest.raises(LedgerUnavailable):
            ledger.current(history())
    assert not ledger.current(name).choices["analytics"].granted


def test_erasing_reaches_it(open_ledger: OpenLedger, tmp_path: Path) -> None:
    """No file has the pseudonym afterwards."""
    ledger, name = open_ledger(), history()
    with away(ledger):
        ledger.spool(refusal(history=name))
    assert len(ledger.erase(name, "gdpr-17-1-a")) == 1
    ledger.close()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and name.encode() in path.read_bytes()]


def test_what_was_acknowledged_survives_a_kill(url: str, tmp_path: Path) -> None:
    """SIGKILL right after each acknowledgement; the next process records each refusal once."""
    program = (
        "import os, sys\n"
        "from tests.evidence.samples import KEYS\n"
        "from tests.evidence.test_draining import away, refusal\n"
        "from consentkit.evidence.ledger import Ledger\n"
        "ledger = Ledger.open(sys.argv[1], keys=KEYS)\n"
        "with away(ledger):\n"
        "    for name in sys.argv[2:]:\n"
        "        ledger.spool(refusal(history=name))\n"
        "        print(name, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    names = [history() for _ in range(5)]
    ran = subprocess.run(
        [sys.executable, "-c", program, url, *names], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    assert ran.returncode == -signal.SIGKILL
    told = re.findall(r"^[\w-]{22}$", ran.stdout.decode(), re.MULTILINE)
    assert told == names
    with Ledger.open(url, keys=KEYS) as ledger:
        assert [len(ledger.history(name)) for name in names] == [1] * 5


def test_a_fork_goes_on_draining(open_ledger: OpenLedger) -> None:
    """The parent's thread and lock are not the child's."""
    ledger, name = open_ledger(), history()
    with away(ledger):
        ledger.spool(refusal(history=name))
    child = os.fork()
    if not child:
        status = 1
        try:
            ledger.append(draft())
            status = 0 if len(ledger.history(name)) == 1 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_no_ledger_takes_stands_in_nobodys_way(
    open_ledger: OpenLedger, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept for a person to look at; the rest is recorded."""
    ledger, spool, name = open_ledger(), spool_of(url), history()
    keep(spool, event="nonsense")
    keep(spool, history=name)
    ledger.append(draft())
    assert len(ledger.history(name)) == 1
    assert len(spool.damaged()) == 1
    assert not spool.waiting()
    assert "can never be recorded" in caplog.text


def test_a_spool_that_cannot_be_read_stands_in_nobodys_way(
    open_ledger: OpenLedger, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Decisions are recorded; erasing is not done by halves."""
    spool, name = spool_of(url), history()
    keep(spool)
    (spool.folder / "0.spool").mkdir()
    ledger = open_ledger()
    assert ledger.append(draft(history=name)).index == 2
    assert "cannot be read: Is a directory" in caplog.text
    with pytest.raises(SpoolUnavailable):
        ledger.erase(name, "gdpr-17-1-a")
    (spool.folder / "0.spool").rmdir()
    assert ledger.erase(name, "gdpr-17-1-a") == (2,)


def test_a_batch_does_not_wait_for_another_process_that_drains(
    open_ledger: OpenLedger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Erasing does, for a while."""
    monkeypatch.setattr("consentkit.evidence._spooling._TURN_SECONDS", 0.01)
    ledger, spool, name = open_ledger(), spool_of(url), history()
    keep(spool, history=name)
    with spool.draining(0):
        ledger.append(draft())
        with pytest.raises(SpoolUnavailable, match="takes its time"):
            ledger.erase(name, "gdpr-17-1-a")
    assert len(ledger.erase(name, "gdpr-17-1-a")) == 1


def test_a_request_that_was_kept_is_known_afterwards(open_ledger: OpenLedger) -> None:
    """Under its idempotency key: made again, in the spool or later, it makes no second record."""
    ledger, name, key = open_ledger(), history(), once("key")
    no = refusal(history=name)
    with away(ledger):
        ledger.spool(no, key)
        ledger.spool(no, key)
    assert ledger.append(no, key).repeated
    assert len(ledger.history(name)) == 1


def test_another_request_under_its_key_is_recorded_all_the_same(open_ledger: OpenLedger) -> None:
    """Both took effect."""
    ledger, name = open_ledger(), history()
    ledger.append(draft(history=name), once("key", "yes"))
    with away(ledger):
        ledger.spool(refusal(history=name), once("key", "no"))
    ledger.append(draft())
    assert [one.record.claims["event"] for one in ledger.history(name)] == ["given", "refused"]


@pytest.mark.parametrize("landed", [True, False])
def test_a_commit_of_unknown_outcome_makes_one_record(open_ledger: OpenLedger, landed: bool) -> None:
    """Whether it came about or not, the refusal that then went to the spool is there once."""
    ledger, name = open_ledger(), history()
    commit, no = ledger._store.commit, refusal(history=name)

    def fail(batch: Any) -> Any:
        if landed:
            commit(batch)
        raise LedgerUnavailable("the connection was lost")

    with away(ledger), pytest.MonkeyPatch.context() as patch:
        for name_ in ("view", "basis", "lock"):
            patch.setattr(ledger._store, name_, getattr(type(ledger._store), name_).__get__(ledger._store))
        patch.setattr(ledger._store, "commit", fail)
        with pytest.raises(OutcomeUnknown) as caught:
            ledger.append(no)
    assert caught.value.attempted is not None
    ledger.spool(no, None, caught.value.attempted)
    ledger.append(draft())
    (one,) = ledger.history(name)
    assert ("extra" in one.record.claims) is not landed


def test_opening_does_not_wait_for_a_long_spool(open_ledger: OpenLedger, url: str) -> None:
    """The rest is entered by the thread, all of it once."""
    names = [history() for _ in range(6)]
    for name in names:
        keep(spool_of(url), history=name)
    drained = threading.Semaphore(0)
    ledger = open_ledger(on_event=lambda event, **_: event == "ledger.drained" and drained.release())
    for _ in names:
        assert drained.acquire(timeout=20)
    assert [len(ledger.history(name)) for name in names] == [1] * 6


def test_a_batch_takes_along_what_waits_for_its_histories(
    open_ledger: OpenLedger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many files that is: a later decision stands behind it."""
    monkeypatch.setattr("consentkit.evidence._follower.Follower.start", lambda _: None)
    ledger, names = open_ledger(), [history() for _ in range(4)]
    for name in names:
        keep(spool_of(url), history=name)
    ledger.append(draft())
    assert len(spool_of(url).files()) == 3
    ledger.append(draft(history=names[-1]))
    assert [one.record.claims["event"] for one in ledger.history(names[-1])] == ["refused", "given"]


def test_other_processes_learn_of_a_withdrawal(
    open_ledger: OpenLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a second, and they remember it once it is in the log."""
    monkeypatch.setattr("consentkit.evidence._spooling.LAG_SECONDS", 0.0)
    ours, other, name = open_ledger(), open_ledger(), history()
    assert other.withdrawn(name) is None
    with away(ours), away(other):
        ours.spool(refusal(history=name, time=NOW + 5))
        assert (ours.withdrawn(name), other.withdrawn(name)) == (NOW + 5, NOW + 5)
    ours.append(draft())
    assert len(ours.history(name)) == 1
    assert (ours.withdrawn(name), other.withdrawn(name)) == (NOW + 5, NOW + 5)
    assert ours.withdrawn(history()) is None


def test_of_very_many_withdrawals_the_newest_are_remembered(
    open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that memory has a bound."""
    monkeypatch.setattr("consentkit.evidence._spooling._KNOWN", 2)
    ledger, names = open_ledger(), [history() for _ in range(3)]
    with away(ledger):
        for name in names:
            ledger.spool(refusal(history=name))
    ledger.append(draft())
    assert [ledger.withdrawn(name) for name in names] == [None, NOW, NOW]


def test_a_spool_that_cannot_be_read_is_told_of(
    open_ledger: OpenLedger, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is known goes on to count."""
    ledger, name = open_ledger(), history()
    with away(ledger):
        ledger.spool(refusal(history=name))
        (spool_of(url).folder / "0.spool").mkdir()
        assert ledger.withdrawn(name) == NOW
    assert "may wait that cannot be read" in caplog.text


def test_erasing_reaches_what_could_not_be_entered(open_ledger: OpenLedger, url: str) -> None:
    """Lines that name the history; others stay."""
    ledger, spool, names = open_ledger(), spool_of(url), [history() for _ in range(2)]
    for name in names:
        keep(spool, event="nonsense", history=name)
    ledger.append(draft())
    ledger.erase(names[0], "gdpr-17-1-a")
    (path,) = spool.damaged()
    assert [name.encode() in path.read_bytes() for name in names] == [False, True]
    ledger.erase(names[1], "gdpr-17-1-a")
    assert not spool.damaged()


def test_a_ledger_says_if_refusals_have_nowhere_to_wait(
    open_ledger: OpenLedger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """When it is opened, not only when it is needed."""
    (tmp_path / "file").touch()
    ledger = open_ledger(spool=tmp_path / "file" / "spool")
    assert "cannot be kept" in caplog.text
    with pytest.raises(SpoolUnavailable):
        ledger.spool(refusal())


def test_the_disk_of_the_spool_may_be_full(open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing was kept, and nothing is recorded later."""
    ledger, name = open_ledger(), history()

    def fails(*_: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with away(ledger), monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(SpoolUnavailable, match="No space left"):
            ledger.spool(refusal(history=name))
    ledger.append(draft())
    assert ledger.history(name) == ()
