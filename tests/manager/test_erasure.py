"""After an erasure: the visitor's live cookie no longer grants, in every process, and begins a history of its own."""

import subprocess
import sys

from consentkit.audit import audit
from consentkit.consent import Reason
from consentkit.consent.cookie import parse_id
from consentkit.keys import write_keys
from consentkit.tlog import TrustPolicy
from tests.manager.test_manager import ACCEPT, REFUSE, Browser, answer, decide
from tests.support import ROOT

YEAR = 365 * 86_400_000


def identity(browser):
    return parse_id(browser.jar["__Host-consent-id"])


def test_an_erased_grant_no_longer_grants(open_manager):
    """Everything but what is necessary is denied, and asked again; the receipt is gone."""
    manager, browser = open_manager(), Browser()
    decide(manager, browser, answer(manager, ACCEPT))
    assert manager.visit(browser.request()).consent.allows("analytics")
    manager.ledger.erase(identity(browser).history, "request")
    consent = manager.visit(browser.request()).consent
    assert (consent.allows("analytics"), consent.reason("analytics")) == (False, Reason.UNREADABLE)
    assert consent.needs_prompt
    assert manager.receipt(browser.request()) is None


def test_the_next_answer_begins_a_history_of_its_own(open_manager):
    """The old pseudonym is in the cookie still, and must not come back into the ledger."""
    manager, browser = open_manager(), Browser()
    decide(manager, browser, answer(manager, ACCEPT))
    old = identity(browser)
    manager.ledger.erase(old.history, "request")
    decided = decide(manager, browser, answer(manager, ACCEPT))
    new = identity(browser)
    assert decided.recorded
    assert new.history != old.history
    assert manager.ledger.history(old.history) == ()
    assert manager.visit(browser.request()).consent.allows("analytics")


def test_a_refusal_after_the_erasure_takes_effect(open_manager):
    """Whatever the ledger knows or does not know of the visitor."""
    manager, browser = open_manager(), Browser()
    decide(manager, browser, answer(manager, ACCEPT))
    manager.ledger.erase(identity(browser).history, "request")
    decide(manager, browser, answer(manager, REFUSE))
    assert manager.visit(browser.request()).consent.reason("analytics") is Reason.REFUSED


def test_other_visitors_do_not_notice(open_manager):
    """Their grants stand."""
    manager, browser, other = open_manager(), Browser(), Browser()
    decide(manager, browser, answer(manager, ACCEPT))
    decide(manager, other, answer(manager, ACCEPT))
    manager.ledger.erase(identity(browser).history, "request")
    assert manager.visit(other.request()).consent.allows("analytics")


def test_an_expired_grant_no_longer_grants(open_manager, clock):
    """Retention outlasts consent; a shorter limit by hand does not outlive the record either."""
    manager, browser = open_manager(), Browser()
    decide(manager, browser, answer(manager, ACCEPT))
    clock.advance(86_400_000)
    assert manager.visit(browser.request()).consent.allows("analytics")
    manager.ledger.retain(clock())
    assert manager.visit(browser.request()).consent.reason("analytics") is Reason.UNREADABLE


def test_a_visit_that_is_remembered_is_forgotten(open_manager, monkeypatch):
    """The same header fields give the same visit until the lag is over, and not a request longer."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    manager, other, browser = open_manager(), open_manager(), Browser()
    decide(manager, browser, answer(manager, ACCEPT))
    request = browser.request()
    assert other.visit(request).consent.allows("analytics")
    manager.ledger.erase(identity(browser).history, "request")
    now[0] += 59.9
    assert other.visit(request).consent.allows("analytics")
    now[0] += 0.1
    assert not other.visit(request).consent.allows("analytics")


SCRIPT = """
import sys
from consentkit.evidence import Ledger
from consentkit.keys import Keys
with Ledger.open(sys.argv[1], keys=Keys.load(sys.argv[2]), create=False) as ledger:
    print(*ledger.erase(sys.argv[3], "request"))
"""


def test_a_process_beside_the_site_erases(open_manager, ledger, tmp_path, monkeypatch):
    """The site serves on, learns of it, and its pack is audited."""
    keys = write_keys(tmp_path / "keys", "example.com/consent")
    manager, browser = open_manager(keys=keys), Browser()
    decide(manager, browser, answer(manager, ACCEPT))
    history, index = identity(browser).history, identity(browser).index
    command = [sys.executable, "-c", SCRIPT, ledger, str(tmp_path / "keys"), history]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(index)]
    manager.ledger._known_until = 0.0  # the lag is over
    assert not manager.visit(browser.request()).consent.allows("analytics")
    manager.ledger.export(tmp_path / "pack")
    trust = TrustPolicy.parse((tmp_path / "keys/trust.txt").read_bytes())
    report = audit(tmp_path / "pack", trust)
    assert report.passed
    assert "1 erased for request" in next(check.detail for check in report.checks if check.id == "entries")


def test_what_has_no_tombstone_must_be_there(open_manager, ledger, tmp_path):
    """Rows that are taken out of the database by hand do not go unnoticed."""
    import sqlite3

    keys = write_keys(tmp_path / "keys", "example.com/consent")
    manager, browser = open_manager(keys=keys), Browser()
    index = decide(manager, browser, answer(manager, ACCEPT)).index
    with sqlite3.connect(ledger.removeprefix("sqlite:///")) as connection:
        connection.execute("DELETE FROM opening WHERE idx = ?", (index,))
    connection.close()
    manager.ledger.export(tmp_path / "pack")
    trust = TrustPolicy.parse((tmp_path / "keys/trust.txt").read_bytes())
    report = audit(tmp_path / "pack", trust)
    assert [(finding.id, finding.index) for finding in report] == [("opening-missing", index)]
