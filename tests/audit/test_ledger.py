"""Packs as the real ledger exports them."""

import json
import os
from pathlib import Path

import pytest

from consentkit.audit import audit
from consentkit.audit.reading import read_shortly
from consentkit.evidence import Choice, Ledger, RecordDraft
from consentkit.evidence.export import export
from consentkit.keys import Keys, write_keys
from consentkit.policy import Policy
from consentkit.tlog import TrustPolicy
from tests.audit.packs import pseudonym
from tests.support import ROOT, START, Clock

POLICY = ROOT / "examples/policies/small-blog.json"
NOTICE = b"<!doctype html><title>Privacy</title>"


class Site:
    """A ledger with some records in it, its keys, and its pack."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'consent.db'}"
        self.keys: Keys = write_keys(folder / "keys", "example.com/consent")
        self.trust = TrustPolicy.parse((folder / "keys/trust.txt").read_bytes())
        self.pack = folder / "pack"
        self.clock = Clock(START)
        self.policy = Policy.load(POLICY)

    def record(self, count: int) -> None:
        """Record decisions of seven visitors in turn."""
        with Ledger.open(self.url, keys=self.keys, clock=self.clock) as ledger:
            ledger.publish_policy(self.policy)
            notice = ledger.publish_notice(NOTICE)
            futures = [ledger.submit(self.draft(number, notice)) for number in range(count)]
            for future in futures:
                future.result(30)

    def draft(self, number: int, notice: str) -> RecordDraft:
        granted = number % 2 == 0
        return RecordDraft(
            event="given" if granted else "withdrawn", method="banner", site="https://example.com",
            choices={"analytics": Choice(granted, "express")}, asked=("analytics",),
            policy=(self.policy.digest, self.policy.version), notice=(notice, "en", "consentkit/1", "bar"),
            region="FR", regime="everywhere", model="opt-in", signals={"gpc": False, "shown": False},
            expires=self.clock() + 10**9, history=pseudonym(f"visitor {number % 7}"),
        )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("site"))
    site.record(270)
    export(site.url, site.pack)
    return site


def test_an_exported_pack_passes(site: Site) -> None:
    """What the ledger writes is what the auditor expects."""
    report = audit(site.pack, site.trust)
    assert report.verdict.startswith("VERIFIED: all that the trust file demands holds for 274 entries")
    assert list(report) == []
    assert report.log is not None
    assert report.log.entries == {"key": 2, "notice": 1, "policy": 1, "record": 270}
    assert next(check for check in report.checks if check.id == "histories").detail.startswith("7,")


def test_a_ledgers_records_are_read_the_short_way(site: Site) -> None:
    """The quick path is that of every record, not of those in tests."""
    rows = [
        row for path in site.pack.glob("openings/*") for row in path.read_bytes().splitlines(keepends=True)
    ]
    assert len(rows) == 270
    assert all(read_shortly(row) for row in rows)


def test_a_ledger_that_went_on_extends_the_checkpoint_that_was_kept(tmp_path: Path) -> None:
    """Last year's checkpoint, this year's pack, in the same folder."""
    site = Site(tmp_path)
    site.record(20)
    export(site.url, site.pack)
    kept = (site.pack / "log/checkpoint").read_bytes()
    site.record(250)
    export(site.url, site.pack)
    assert audit(site.pack, site.trust, previous=kept).passed


def test_a_ledger_that_was_restored_from_a_backup_does_not(tmp_path: Path) -> None:
    """Records that were once in the log and no longer are have left their trace with the auditor."""
    site = Site(tmp_path)
    site.record(5)
    export(site.url, tmp_path / "backup")
    site.record(5)
    export(site.url, site.pack)
    report = audit(tmp_path / "backup", site.trust, previous=(site.pack / "log/checkpoint").read_bytes())
    assert [finding.id for finding in report] == ["previous-rollback"]


def test_another_sites_trust_file_does_not_fit(site: Site, tmp_path: Path) -> None:
    """Keys are what tells two logs of one name apart."""
    other = Site(tmp_path)
    assert audit(site.pack, other.trust).exit_code == 1


def test_one_bit_in_each_file_of_a_real_pack(site: Site) -> None:
    """Every file but the README is covered; each is named when a bit of it is wrong."""
    for path in sorted(path for path in site.pack.rglob("*") if path.is_file() and path.stat().st_size):
        data = path.read_bytes()
        spoiled = bytearray(data)
        spoiled[len(data) // 2] ^= 4
        path.write_bytes(spoiled)
        report = audit(site.pack, site.trust)
        path.write_bytes(data)
        name = os.fspath(path.relative_to(site.pack))
        assert report.exit_code == (0 if name == "README.md" else 1), name
        assert report.passed or report.findings[0].file == name


def test_a_retired_key_signs_no_more(tmp_path: Path) -> None:
    """The log tells when a key went, and the auditor holds records to it."""
    site = Site(tmp_path)
    site.record(3)
    with Ledger.open(site.url, keys=site.keys, clock=site.clock) as ledger:
        ledger.retire_key(site.keys.record.key_id)
    export(site.url, site.pack)
    assert audit(site.pack, site.trust).passed
    row = json.loads((site.pack / "openings/000.jsonl").read_bytes().splitlines()[0])
    assert row["index"] == 4
