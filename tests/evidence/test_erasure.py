"""Erasure: what leaves the store, what stays in the log, and who notices."""

import base64
import datetime
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consentkit.errors import InvalidLog, LedgerError, LedgerUnavailable
from consentkit.evidence import Ledger
from consentkit.evidence.entry import ErasedEntry, ExpiredEntry, HoldEntry, RecordEntry, parse_entry
from consentkit.evidence.opening import Opening
from consentkit.evidence.sqlite import SQLiteStore
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import LOG, NOW, draft, history
from tests.support import Clock

TODAY = datetime.date(2026, 11, 2)
DAY = 86_400_000


def entries(ledger: Ledger, kind: Any) -> dict[int, Any]:
    """The entries of one kind, by index."""
    found = enumerate(map(parse_entry, ledger.entries(0, ledger.size)))
    return {index: entry for index, entry in found if isinstance(entry, kind)}


def record(ledger: Ledger, *names: str) -> list[int]:
    """Record a decision in each of these histories; returns the indexes."""
    return [ledger.append(draft(history=name)).index for name in names]


def test_an_erased_history_has_no_openings_and_a_tombstone_for_each(ledger: Ledger) -> None:
    """The entries themselves stay, so every proof does."""
    one, other = history(), history()
    indexes = record(ledger, one, other, one, one)
    before = ledger.entries(0, ledger.size)
    erased = ledger.erase(one, "gdpr-17-1-b")
    assert erased == (indexes[0], indexes[2], indexes[3])
    assert [ledger.opening(index) for index in erased] == [None] * 3
    assert ledger.opening(indexes[1]) is not None
    assert ledger.entries(0, len(before)) == before
    tombstones = entries(ledger, ErasedEntry).values()
    assert sorted(tombstones, key=lambda one: one.index) == [
        ErasedEntry(index, "gdpr-17-1-b", TODAY) for index in erased
    ]


def test_several_histories_are_erased_together_in_no_order(ledger: Ledger) -> None:
    """Tombstones one after another, in order, would join the records of one person."""
    names = [history() for _ in range(4)]
    for _ in range(5):
        record(ledger, *names)
    erased = ledger.erase(names, "request")
    told = [entry.index for entry in entries(ledger, ErasedEntry).values()]
    assert sorted(told) == list(erased)
    assert told != sorted(told)
    assert len(erased) == 20


def test_what_was_never_there_is_erased_without_a_word(ledger: Ledger) -> None:
    """Asking twice is not an error, and enters nothing."""
    name = history()
    record(ledger, name)
    ledger.erase(name, "request")
    size = ledger.size
    assert ledger.erase(name, "request") == ()
    assert ledger.erase([], "request") == ()
    assert ledger.size == size


@pytest.mark.parametrize("reason", ["", "two words", "é", "x" * 257, "a\nb"])
def test_a_reason_is_one_public_word(ledger: Ledger, reason: str) -> None:
    """It is part of a log that everybody may read."""
    name = history()
    record(ledger, name)
    with pytest.raises(LedgerError, match="cannot be the reason"):
        ledger.erase(name, reason)
    assert len(ledger.history(name)) == 1


def test_a_history_begins_anew_after_its_erasure(ledger: Ledger) -> None:
    """Nothing is kept by which the new records could be joined to the old."""
    name = history()
    record(ledger, name, name)
    ledger.erase(name, "request")
    again = ledger.append(draft(history=name))
    assert (again.record.claims["sequence"], again.record.claims["previous"]) == (0, None)


def test_a_receipt_is_not_to_be_had_of_what_is_erased(ledger: Ledger) -> None:
    """There is nothing left to prove."""
    name = history()
    (index,) = record(ledger, name)
    assert ledger.receipt(index) is not None
    ledger.erase(name, "request")
    assert ledger.receipt(index) is None


def forms(data: bytes) -> Iterator[bytes]:
    """Bytes as they may lie in a file: as they are, in hex, and in base64 at each of its three alignments."""
    yield data
    yield data.hex().encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            encoded = encode(b"\0" * shift + data)
            yield encoded[4:-4] if len(encoded) > 24 else encoded


def secrets_of(opening: Opening, name: str) -> dict[str, bytes]:
    """Everything about a record that must be gone."""
    header, payload, signature = opening.record.split(".")
    told = {f"disclosure {n}": text.encode() for n, text in enumerate(opening.disclosures)}
    identity = base64.urlsafe_b64decode(payload + "==")
    return told | {
        "payload": payload[40:].encode(),
        "signature": signature.encode(),
        "raw signature": base64.urlsafe_b64decode(signature + "=="),
        "id": identity.partition(b'"id":"')[2][:36],
        "blind": opening.blind,
        "pseudonym": name.encode(),
        "raw pseudonym": base64.urlsafe_b64decode(name + "=="),
    }


def found_in(folder: Path, wanted: dict[tuple[int, str], bytes]) -> set[tuple[int, str]]:
    """What is found, in any form, in any file of a folder."""
    data = b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return {what for what, secret in wanted.items() if any(form in data for form in forms(secret))}


@pytest.mark.embedded
@pytest.mark.parametrize("count", [1, 400])
def test_no_file_has_a_byte_of_what_was_erased(
    open_ledger: OpenLedger, tmp_path: Path, count: int
) -> None:
    """Database, write-ahead log, shared memory, lock: with many records, pages were split and merged before."""
    ledger = open_ledger()
    names = [history() for _ in range(count)]
    futures = [ledger.submit(draft(history=name)) for name in (names * 3)[: count * 3]]
    for future in futures:
        future.result()
    victims, others = names[:: 7], names[1:: 7]
    wanted = {
        (one.index, what): secret
        for name in victims
        for one in ledger.history(name)
        for what, secret in secrets_of(one.opening, name).items()
    }
    there = {key for key in wanted if key[1] != "raw pseudonym"}
    assert found_in(tmp_path, wanted) >= there, "the search finds what is there"
    for name in victims:
        ledger.erase(name, "request")
    assert found_in(tmp_path, wanted) == set()
    assert all(len(ledger.history(name)) == 3 for name in others)
