"""Carrying on after a loss: the old log is kept as it is, and the new one says where it ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs
import pytest

from consentkit.audit import audit
from consentkit.errors import InvalidNote, LedgerError, LedgerUnavailable
from consentkit.evidence.entry import PredecessorEntry, parse_entry
from consentkit.evidence.export import export
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.recover import recover
from consentkit.keys import Keys
from consentkit.tlog import Checkpoint, NoteSigner, TrustPolicy, open_checkpoint, sign_note
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, LOG, draft, signer

SIGNER = NoteSigner(LOG, KEYS.log)
NEW = attrs.evolve(KEYS, log_name="example.com/consent-2", log=signer("new log"))
NEW_VERIFIER = NoteSigner(NEW.log_name, NEW.log).verifier


@pytest.fixture
def path(url: str) -> Path:
    """The database."""
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """Where high-water marks are."""
    (tmp_path / "marks").mkdir()
    return (tmp_path / "marks").as_uri()


def restored(open_ledger: OpenLedger, path: Path, mark: str | None = None) -> bytes:
    """Leave a database behind that lacks the newest record, and return the head that it had."""
    open_ledger(high_water=mark).close()
    shutil.copy(path, path.with_suffix(".backup"))
    ledger = open_ledger(high_water=mark)
    ledger.append(draft())
    head = ledger.checkpoint()
    ledger.close()
    path.with_suffix(".backup").rename(path)
    return head


def first_entry(url: str, keys: Keys = NEW) -> object:
    with Ledger.open(url, keys=keys) as ledger:
        return parse_entry(ledger.entries(0, 1)[0])


def test_the_new_log_begins_with_the_end_of_the_old_one(
    open_ledger: OpenLedger, url: str, path: Path, mark: str
) -> None:
    """As the mark has it, which is further than the restored database reaches."""
    head = open_checkpoint(restored(open_ledger, path, mark), SIGNER.verifier)
    found = recover(url, old_key=SIGNER.verifier, keys=NEW, high_water=mark)
    assert found.predecessor == first_entry(url) == PredecessorEntry(LOG, 3, head.root)
    assert (found.lost, found.old_url) == (1, f"{url}.old-1")
    with Ledger.open(url, keys=NEW, high_water=mark) as ledger:
        assert ledger.append(draft()).index == 3


def test_the_old_ledger_is_kept_and_audits(
    open_ledger: OpenLedger, url: str, path: Path, tmp_path: Path
) -> None:
    """So that what it proves is not lost with its end."""
    restored(open_ledger, path)
    found = recover(url, old_key=SIGNER.verifier, keys=NEW)
    assert found.old_url is not None
    export(found.old_url, tmp_path / "pack")
    trust = TrustPolicy.parse(f"log {SIGNER.verifier}\nquorum none\n")
    report = audit(tmp_path / "pack", trust)
    assert (report.exit_code, report.log.size) == (0, 2)


def test_auditor_s_of_the_new_log_see_what_is_missing(
    open_ledger: OpenLedger, url: str, path: Path, tmp_path: Path
) -> None:
    """Without the mark, the recovery left out an entry that somebody has a checkpoint of."""
    head = restored(open_ledger, path)
    recover(url, old_key=SIGNER.verifier, keys=NEW)
    export(url, tmp_path / "pack")
    trust = TrustPolicy.parse(f"log {NEW_VERIFIER}\nlog {SIGNER.verifier}\nquorum none\n")
    report = audit(tmp_path / "pack", trust, previous=head)
    assert [one.id for one in report.findings] == ["log-continued", "previous-rollback"]
    assert report.exit_code == 1
    assert "1 are left out" in report.findings[1].message


def test_a_kept_checkpoint_serves_as_well_as_a_mark(open_ledger: OpenLedger, url: str, path: Path) -> None:
    """One of a pack, or of a witness."""
    head = restored(open_ledger, path)
    found = recover(url, old_key=SIGNER.verifier, keys=NEW, checkpoints=[head])
    assert (found.predecessor.size, found.lost) == (3, 1)


def test_a_ledger_that_is_gone_altogether_is_carried_on_after(
    open_ledger: OpenLedger, url: str, path: Path, mark: str
) -> None:
    """The mark is all that is left."""
    open_ledger(high_water=mark).close()
    path.unlink()
    found = recover(url, old_key=SIGNER.verifier, keys=NEW, high_water=mark)
    assert (found.predecessor.size, found.lost, found.old_url) == (2, 2, None)
    assert first_entry(url) == found.predecessor


def test_a_damaged_database_is_set_aside_as_it_is(
    open_ledger: OpenLedger, url: str, path: Path, mark: str
) -> None:
    """Somebody may still get something out of it."""
    open_ledger(high_water=mark).close()
    path.write_bytes(b"not a database" * 1000)
    found = recover(url, old_key=SIGNER.verifier, keys=NEW, high_water=mark)
    assert found.predecessor.size == 2
    assert Path(f"{path}.old-1").read_bytes().startswith(b"not a database")
    assert first_entry(url) == found.predecessor


def test_a_damaged_mark_tells_nothing(
    open_ledger: OpenLedger, url: str, path: Path, mark: str, tmp_path: Path
) -> None:
    """The database does, then."""
    open_ledger(high_water=mark).close()
    next((tmp_path / "marks").rglob("checkpoint")).write_bytes(b"damaged")
    assert recover(url, old_key=SIGNER.verifier, keys=NEW, high_water=mark).predecessor.size == 2


def test_an_interrupted_recovery_is_done_again(
    open_ledger: OpenLedger, url: str, path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old ledger was moved, and the new one not begun."""
    open_ledger(high_water=mark).close()
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "open", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            recover(url, old_key=SIGNER.verifier, keys=NEW, high_water=mark)
    assert not path.exists()
    assert recover(url, old_key=SIGNER.verifier, keys=NEW, high_water=mark).predecessor.size == 2


def test_without_any_head_there_is_nothing_to_carry_on_after(url: str, path: Path) -> None:
    """Then it is simply a new log; and nothing is made by a mistyped URL."""
    with pytest.raises(LedgerError, match="no head of the log"):
        recover(url, old_key=SIGNER.verifier, keys=NEW)
    assert not path.exists()


def test_an_empty_ledger_is_not_set_aside(url: str, path: Path, mark: str, open_ledger: OpenLedger) -> None:
    """There is nothing in it."""
    open_ledger(high_water=mark).close()
    path.unlink()
    path.touch()
    assert recover(url, old_key=SIGNER.verifier, keys=NEW, high_water=mark).old_url is None
    assert first_entry(url).size == 2


def test_a_site_that_still_runs_stops_the_recovery(ledger: Ledger, url: str, path: Path) -> None:
    """And loses nothing by it."""
    with pytest.raises(LedgerUnavailable, match="in use"):
        recover(url, old_key=SIGNER.verifier, keys=NEW)
    assert ledger.append(draft()).index == 2
    assert path.exists()


def test_another_log_s_ledger_is_left_alone(open_ledger: OpenLedger, url: str) -> None:
    """The keys tell whose it is; so a recovery is not done twice either."""
    open_ledger().close()
    with pytest.raises(LedgerError, match=r"is not that of example\.com/consent-2"):
        recover(url, old_key=NEW_VERIFIER, keys=KEYS)
    recover(url, old_key=SIGNER.verifier, keys=NEW)
    with pytest.raises(LedgerError, match="is not that of"):
        recover(url, old_key=SIGNER.verifier, keys=NEW)


def test_the_new_log_has_a_new_name(open_ledger: OpenLedger, url: str) -> None:
    """Two logs of one name are a fork."""
    open_ledger().close()
    with pytest.raises(LedgerError, match="is the old log's name"):
        recover(url, old_key=SIGNER.verifier, keys=KEYS)


def test_a_checkpoint_that_the_old_log_did_not_sign_is_refused(open_ledger: OpenLedger, url: str) -> None:
    """It would put words into the old log's mouth."""
    open_ledger().close()
    forged = sign_note(Checkpoint(LOG, 9, bytes(32)).text(), NoteSigner(LOG, signer("somebody")))
    with pytest.raises(InvalidNote):
        recover(url, old_key=SIGNER.verifier, keys=NEW, checkpoints=[forged])


def test_a_log_that_has_begun_does_not_get_a_predecessor(open_ledger: OpenLedger) -> None:
    """It is the first entry, or none."""
    before = PredecessorEntry("example.com/lost", 1, bytes(32))
    open_ledger().close()
    ledger = open_ledger(predecessor=before)
    assert ledger.size == 2
    ledger.introduce_keys(before)
    assert ledger.size == 2


def test_a_process_that_slept_through_a_recovery_signs_nothing(open_ledger: OpenLedger, url: str) -> None:
    """It comes back to a database with another log in it."""
    ledger = open_ledger()
    ledger._store.release()
    recover(url, old_key=SIGNER.verifier, keys=NEW)
    with pytest.raises(LedgerError, match=r"is that of the log example\.com/consent-2"):
        ledger.append(draft())
    ledger._store.release()
    with Ledger.open(url, keys=NEW) as new:
        assert new.size == 3
