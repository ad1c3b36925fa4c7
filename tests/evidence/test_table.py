"""Records as a Parquet file: typed columns, no pseudonyms unasked, and numbers that can be trusted."""

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyarrow import parquet

from consentkit.errors import LedgerUnavailable
from consentkit.evidence import Choice
from consentkit.evidence.table import export_table
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import draft, history
from tests.support import ROOT, Clock

DAY = 86_400_000


def said(granted: bool, **more: Any) -> Any:
    """An answer to the question about analytics."""
    choices = {"analytics": Choice(granted, "express")}
    return draft(event="given" if granted else "refused", choices=choices, asked=("analytics",), **more)


def test_a_row_says_what_the_record_says(
    open_ledger: OpenLedger, url: str, tmp_path: Path, clock: Clock
) -> None:
    """With types that a database understands."""
    ledger = open_ledger()
    appended = ledger.append(said(True, region="US-CA", services={"adnet": Choice(False, "express")}))
    file = tmp_path / "records.parquet"
    assert export_table(url, file) == 1
    (row,) = parquet.read_table(file).to_pylist()
    claims = appended.record.claims
    assert row["index"] == appended.index
    assert row["time"] == datetime.fromtimestamp(clock() / 1000, UTC)
    assert (row["region"], row["policy"], row["id"]) == ("US-CA", claims["policy"]["digest"], claims["id"])
    assert row["choices"] == [
        {"name": "analytics", "kind": "category", "granted": True, "basis": "express"},
        {"name": "adnet", "kind": "service", "granted": False, "basis": "express"},
    ]
    assert "history" not in row


def test_pseudonyms_are_there_if_asked_for(open_ledger: OpenLedger, url: str, tmp_path: Path) -> None:
    """And nowhere in the file otherwise."""
    name = history()
    open_ledger().append(draft(history=name))
    plain, full = tmp_path / "plain.parquet", tmp_path / "full.parquet"
    export_table(url, plain)
    export_table(url, full, subjects=True)
    assert parquet.read_table(full).column("history").to_pylist() == [name]
    assert "history" not in parquet.read_table(plain).column_names


def test_what_was_erased_has_no_row(open_ledger: OpenLedger, url: str, tmp_path: Path) -> None:
    """Nor has anything that is no record."""
    ledger, name = open_ledger(), history()
    ledger.append(draft(history=name))
    kept = ledger.append(draft())
    ledger.erase(name, "gdpr-17-1-b")
    file = tmp_path / "records.parquet"
    assert export_table(url, file) == 1
    assert parquet.read_table(file).column("index").to_pylist() == [kept.index]


def test_an_empty_ledger_makes_an_empty_table(open_ledger: OpenLedger, url: str, tmp_path: Path) -> None:
    """With all its columns."""
    open_ledger()
    assert export_table(url, tmp_path / "t.parquet") == 0
    assert "choices" in parquet.read_table(tmp_path / "t.parquet").column_names


def test_rows_come_in_groups(
    open_ledger: OpenLedger, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that memory does not grow with the ledger."""
    monkeypatch.setattr("consentkit.evidence.table._GROUP", 7)
    ledger = open_ledger()
    for future in [ledger.submit(draft()) for _ in range(20)]:
        future.result()
    export_table(url, tmp_path / "t.parquet")
    assert parquet.ParquetFile(tmp_path / "t.parquet").metadata.num_row_groups == 3


def test_a_file_that_cannot_be_written_is_not_there(
    open_ledger: OpenLedger, url: str, tmp_path: Path
) -> None:
    """Not in part either."""
    open_ledger()
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        export_table(url, tmp_path / "nowhere" / "t.parquet")
    assert not [name for name in os.listdir(tmp_path) if "parquet" in name]


def test_the_example_answers_by_day_region_and_notice(
    open_ledger: OpenLedger, url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same numbers as counted by hand."""
    ledger = open_ledger()
    counted: Counter[tuple[Any, ...]] = Counter()
    notice = ("a" * 64, "en", "consentkit/1", "bar"), ("b" * 64, "fr", "consentkit/1", "bar")
    for number in range(60):
        if number == 30:
            clock.advance(DAY)
        granted, region, shown = number % 3 == 0, ("FR", "DE")[number % 2], notice[number % 5 == 0]
        ledger.append(said(granted, region=region, notice=shown))
        day = datetime.fromtimestamp(clock() / 1000, UTC).date()
        counted[day, region, shown[0][:12], granted] += 1
    ledger.append(
        draft(event="acknowledged", choices={"analytics": Choice(True, "acknowledged")}, asked=("analytics",))
    )
    export_table(url, tmp_path / "records.parquet")
    monkeypatch.chdir(tmp_path)
    query = (ROOT / "examples/analytics/consent_rate.sql").read_text()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(query).fetchall()
    expected = {
        (day, region, digest): (yes + no, round(yes / (yes + no), 4))
        for day, region, digest in {key[:3] for key in counted}
        for yes, no in [(counted[day, region, digest, True], counted[day, region, digest, False])]
    }
    assert {
        (day, region, digest): (answers, rate) for day, region, _, digest, _, answers, rate in found
    } == expected
