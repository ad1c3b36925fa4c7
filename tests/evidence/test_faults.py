"""When the store fails: nobody is told that a record is durable which is not, and nothing is written twice."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from consentkit.errors import LedgerConflict, LedgerCorrupt, LedgerError, LedgerUnavailable, OutcomeUnknown
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.store import Batch, Store
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, draft
from tests.evidence.test_ledger import check
from tests.support import ROOT, Clock


def fail(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Callable[..., None], Batch], None]
) -> None:
    """Let the next commit go through `fault`."""
    kind = type(ledger._store)
    real = kind.commit

    def commit(store: Store, batch: Batch) -> None:
        monkeypatch.setattr(kind, "commit", real)
        fault(lambda: real(store, batch), batch)

    monkeypatch.setattr(kind, "commit", commit)


def lost(write: Callable[[], None], batch: Batch) -> None:
    raise OutcomeUnknown("the disk said no")


def kept(write: Callable[[], None], batch: Batch) -> None:
    write()
    raise OutcomeUnknown("the disk said no, having done it")


def unavailable(write: Callable[[], None], batch: Batch) -> None:
    raise LedgerUnavailable("no space left")


def damaged(write: Callable[[], None], batch: Batch) -> None:
    raise LedgerCorrupt("malformed")


@pytest.fixture
def events() -> list[str]:
    """What the ledger's event hook was told."""
    return []


@pytest.fixture
def watched(open_ledger: OpenLedger, events: list[str]) -> Ledger:
    """A ledger whose events are kept."""
    return open_ledger(on_event=lambda name, **data: events.append(name))


def test_a_commit_that_failed_but_was_kept_is_answered_with_its_records(
    watched: Ledger, monkeypatch: pytest.MonkeyPatch, events: list[str]
) -> None:
    """The ledger looks, finds the batch, and those who wait never learn of the trouble."""
    fail(watched, monkeypatch, kept)
    appended = watched.append(draft())
    assert appended.index == 2
    assert watched.opening(2) == appended.opening
    assert events == ["ledger.reopened"]
    assert watched.append(draft()).index == 3
    assert check(watched) == 4


@pytest.mark.parametrize("fault", [lost, unavailable, damaged])
def test_a_commit_that_was_lost_is_answered_with_an_error(
    watched: Ledger, monkeypatch: pytest.MonkeyPatch, events: list[str], fault: Any
) -> None:
    """Nothing was recorded, which is known; the next decision is."""
    fail(watched, monkeypatch, fault)
    with pytest.raises(LedgerUnavailable, match="nothing was recorded") as caught:
        watched.append(draft())
    assert not isinstance(caught.value, OutcomeUnknown)
    assert events == ["ledger.reopened"]
    assert watched.append(draft()).index == 2
    assert check(watched) == 3


def test_a_lost_commit_is_not_mistaken_for_that_of_another_process(
    watched: Ledger, open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's entry may stand where one's own would have been."""
    other = open_ledger()

    def overtaken(write: Callable[[], None], batch: Batch) -> None:
        raise OutcomeUnknown("the disk said no")

    fail(watched, monkeypatch, overtaken)
    kind = type(watched._store)
    recover = kind.recover

    def late(store: Store) -> None:
        monkeypatch.setattr(kind, "recover", recover)
        other.append(draft())
        recover(store)

    monkeypatch.setattr(kind, "recover", late)
    with pytest.raises(LedgerUnavailable, match="nothing was recorded"):
        watched.append(draft())
    assert check(other) == 3


@pytest.mark.parametrize("fault", [lost, kept])
def test_while_the_store_cannot_be_reopened_the_ledger_refuses(
    watched: Ledger, monkeypatch: pytest.MonkeyPatch, events: list[str], fault: Any
) -> None:
    """Those of the failed batch hear that its outcome is unknown, later ones that nothing was written."""
    broken = [True]
    kind = type(watched._store)
    real = kind.recover

    def recover(store: Store) -> None:
        if broken[0]:
            raise LedgerUnavailable("still no disk")
        real(store)

    monkeypatch.setattr(kind, "recover", recover)
    fail(watched, monkeypatch, fault)
    with pytest.raises(OutcomeUnknown, match="still no disk"):
        watched.append(draft())
    with pytest.raises(LedgerUnavailable, match="still no disk") as caught:
        watched.append(draft())
    assert not isinstance(caught.value, OutcomeUnknown)
    assert events == ["ledger.unavailable", "ledger.unavailable"]
    broken[0] = False
    expected = 2 if fault is lost else 3
    assert watched.append(draft()).index == expected
    assert events[-1] == "ledger.reopened"
    assert check(watched) == expected + 1


@pytest.mark.embedded
def test_a_ledger_that_fails_its_verification_is_not_written_to(
    watched: Ledger, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Not even when the store is willing again: the head must be the one that was signed."""
    fail(watched, monkeypatch, lost)
    kind = type(watched._store)
    recover = kind.recover

    def tampering(store: Any) -> None:
        recover(store)
        store._connect().execute("UPDATE head SET size = size + 1, frontier = zeroblob(64)")

    monkeypatch.setattr(kind, "recover", tampering)
    with pytest.raises(OutcomeUnknown):
        watched.append(draft())
    with pytest.raises(LedgerCorrupt):
        watched.append(draft())


def test_writers_that_ignore_the_lock_are_noticed(
    watched: Ledger, open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare-and-swap on the head holds even then: no fork, no gap."""
    kind = type(watched._store)
    real = kind.commit

    def commit(store: Store, batch: Batch) -> None:
        raise LedgerConflict("the ledger moved on")

    monkeypatch.setattr(kind, "commit", commit)
    with pytest.raises(LedgerConflict):
        watched.append(draft())
    monkeypatch.setattr(kind, "commit", real)
    assert watched.append(draft()).index == 2


def test_a_read_that_fails_is_an_error_of_the_ledger(
    watched: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next append starts from a fresh connection."""
    kind = type(watched._store)

    def basis(*_: object) -> None:
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(kind, "basis", basis)
    with pytest.raises(LedgerUnavailable, match="gone"):
        watched.append(draft())
    monkeypatch.undo()
    assert watched.append(draft()).index == 2


def tamper(path: Path, statement: str, *values: object) -> None:
    """Change the database behind the ledger's back."""
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE head SET size = 300", LedgerCorrupt),
        ("UPDATE head SET frontier = zeroblob(length(frontier))", LedgerCorrupt),
        ("UPDATE head SET frontier = x'00'", LedgerCorrupt),
        ("UPDATE head SET checkpoint = 'nonsense'", LedgerCorrupt),
        ("UPDATE entry SET line = 'consentkit/1 novel' || char(10) WHERE idx = 301", LedgerCorrupt),
        ("UPDATE entry SET line = 'consentkit/1 novel' || char(10) WHERE idx = 257", LedgerCorrupt),
        ("UPDATE node SET hash = zeroblob(32)", LedgerCorrupt),
        ("DELETE FROM node", LedgerCorrupt),
        ("PRAGMA user_version = 99", LedgerUnavailable),
        ("PRAGMA application_id = 7", LedgerUnavailable),
    ],
)
def test_a_ledger_that_was_changed_is_not_opened(
    open_ledger: OpenLedger, tmp_path: Path, statement: str, error: type[LedgerError]
) -> None:
    """The head is the signed one, and the right edge of the tree is that of the head."""
    ledger = open_ledger()
    futures = [ledger.submit(draft()) for _ in range(300)]
    assert futures[-1].result().index == 301
    ledger.close()
    tamper(tmp_path / "consent.db", statement)
    with pytest.raises(error) as caught:
        open_ledger()
    assert caught.value.message
    assert not isinstance(caught.value.__cause__, AssertionError)


@pytest.mark.embedded
def test_a_head_under_an_older_signature_is_not_opened(
    open_ledger: OpenLedger, tmp_path: Path, clock: Clock
) -> None:
    """Genuine, of this log, but not over this tree."""
    ledger = open_ledger()
    clock.advance(timedelta(days=1))
    ledger.append(draft())
    ledger.close()
    tamper(
        tmp_path / "consent.db", "UPDATE head SET checkpoint = (SELECT note FROM checkpoint WHERE size = 2)"
    )
    with pytest.raises(LedgerCorrupt, match="not the one that was signed"):
        open_ledger()


@pytest.mark.embedded
def test_an_old_state_of_the_file_is_opened_as_what_it_is(
    open_ledger: OpenLedger, tmp_path: Path, clock: Clock
) -> None:
    """A restored backup verifies by itself; only somebody who remembers more can tell."""
    ledger = open_ledger()
    ledger.append(draft())
    ledger.close()
    shutil.copy(tmp_path / "consent.db", tmp_path / "backup.db")
    again = open_ledger()
    again.append(draft())
    with Ledger.open(f"sqlite:///{tmp_path}/backup.db", keys=KEYS, clock=clock) as restored:
        assert restored.size == 3
        assert not restored.usable(KEYS.log_name, 3)


@pytest.mark.embedded
def test_a_failed_sync_is_never_an_acknowledgement(tmp_path: Path) -> None:
    """With an I/O error injected into one fdatasync after the other, what was acknowledged is there."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: it injects the I/O errors")
    probe = subprocess.run([strace, "-o", os.devnull, "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("strace may not trace here")
    for number in (1, 2, 3):
        url = f"sqlite:///{tmp_path}/{number}.db"
        Ledger.open(url, keys=KEYS).close()
        inject = ["-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={number}"]
        command = [strace, "-f", "-qq", "-o", str(tmp_path / "trace"), *inject]
        ran = subprocess.run(
            [*command, sys.executable, "-m", "tests.evidence.writer", url, "12"],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert "INJECTED" in (tmp_path / "trace").read_text()
        acknowledged = [line.split() for line in ran.stdout.splitlines() if not line.startswith("failed")]
        with Ledger.open(url, keys=KEYS) as ledger:
            for index, jwt in acknowledged:
                opening = ledger.opening(int(index))
                assert opening is not None
                assert opening.record == jwt
            assert check(ledger) >= len(acknowledged) + 2
