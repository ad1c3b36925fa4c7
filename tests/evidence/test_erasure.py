"""Erasure: what leaves the store, what stays in the log, and who notices."""

import base64
import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consentkit.errors import LedgerError, LedgerUnavailable
from consentkit.evidence import Choice, Ledger
from consentkit.evidence.entry import ErasedEntry, ExpiredEntry, HoldEntry, parse_entry
from consentkit.evidence.opening import Opening
from consentkit.evidence.store import Hold
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import LOG, NOW, draft, history
from tests.support import ROOT, Clock

TODAY = dt.date(2026, 11, 2)
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
    _header, payload, signature = opening.record.split(".")
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
def test_no_file_has_a_byte_of_what_was_erased(open_ledger: OpenLedger, tmp_path: Path, count: int) -> None:
    """Database, write-ahead log, shared memory, lock: with many records, pages were split and merged before."""
    ledger = open_ledger()
    names = [history() for _ in range(count)]
    futures = [ledger.submit(draft(history=name)) for name in (names * 3)[: count * 3]]
    for future in futures:
        future.result()
    victims, others = names[::7], names[1::7]
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


@pytest.mark.embedded
def test_while_the_store_is_read_it_is_overwritten_later(
    open_ledger: OpenLedger, tmp_path: Path, monkeypatch: Any
) -> None:
    """A long export keeps old pages in use; the next decision makes up for it."""
    monkeypatch.setattr("consentkit.evidence.ledger._SCRUB_PAUSES", (0.0, 0.01))
    events: list[str] = []
    ledger = open_ledger(on_event=lambda event, **_: events.append(event))
    name = history()
    record(ledger, name)
    wanted = {(0, what): secret for what, secret in secrets_of(ledger.history(name)[0].opening, name).items()}
    reader = open_ledger()
    with reader._view() as view:
        view.head()
        ledger.erase(name, "request")
        assert events == ["ledger.unscrubbed"]
        assert found_in(tmp_path, wanted)
    ledger.append(draft())
    ledger.close()  # the sequencer's thread is done with it
    assert not found_in(tmp_path, wanted)


def test_what_cannot_be_overwritten_at_once_is_erased_all_the_same(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tombstone is in the log: nobody must be told that nothing happened."""
    monkeypatch.setattr("consentkit.evidence.ledger._SCRUB_PAUSES", (0.0,))
    name = history()
    (index,) = record(ledger, name)

    def fails() -> bool:
        raise LedgerUnavailable("the disk is gone")

    monkeypatch.setattr(ledger._store, "scrub", fails)
    assert ledger.erase(name, "request") == (index,)
    assert ledger.opening(index) is None


def test_erasing_and_recording_at_once_leaves_no_record_out(open_ledger: OpenLedger) -> None:
    """What another process recorded meanwhile is erased too: it is worked out on the head that is replaced."""
    ledger, other = open_ledger(), open_ledger()
    name = history()
    record(ledger, name)
    real = ledger._builder.build

    def build(*arguments: Any) -> Any:
        ledger._builder.build = real  # type: ignore[method-assign]
        built = real(*arguments)
        record(other, name)
        return built

    ledger._builder.build = build  # type: ignore[method-assign]
    assert len(ledger.erase(name, "request")) == 2
    assert ledger.history(name) == ()


# Holds


def test_a_record_on_hold_cannot_be_erased(ledger: Ledger) -> None:
    """Neither it nor the rest of its history, and the hold is named."""
    name = history()
    indexes = record(ledger, name, name)
    assert ledger.hold("case-7", name) == tuple(indexes)
    record(ledger, name)
    with pytest.raises(LedgerError, match="the hold case-7 is on records of it"):
        ledger.erase(name, "request")
    assert len(ledger.history(name)) == 3
    ledger.release("case-7")
    assert len(ledger.erase(name, "request")) == 3


def test_a_hold_and_its_release_are_on_record(ledger: Ledger, clock: Clock) -> None:
    """With their day; the pack opens the hold to its records, and forgets them as they go."""
    name = history()
    indexes = record(ledger, name, history())
    ledger.hold("case-7", name, indexes=indexes[1:])
    clock.advance(DAY)
    ledger.release("case-7")
    (placed, first), (ended, last) = entries(ledger, HoldEntry).items()
    assert first == HoldEntry("hold", "case-7", TODAY)
    assert last == HoldEntry("release", "case-7", TODAY + dt.timedelta(1))
    assert ledger.holds() == (Hold("case-7", placed, ended, tuple(indexes)),)
    ledger.erase(name, "request")
    assert ledger.holds()[0].indexes == tuple(indexes[1:])


@pytest.mark.parametrize("hold_id", ["", "two words", "x" * 257])
def test_the_name_of_a_hold_is_one_public_word(ledger: Ledger, hold_id: str) -> None:
    """It is part of the log."""
    with pytest.raises(LedgerError, match="cannot be the name of a hold"):
        ledger.hold(hold_id, history())


def test_a_hold_is_on_records_that_are_there(ledger: Ledger) -> None:
    """Not on nothing, not on an entry of another kind, not on what is gone."""
    name = history()
    (gone,) = record(ledger, name)
    ledger.erase(name, "request")
    with pytest.raises(LedgerError, match="no record to be held"):
        ledger.hold("case-7", name)
    for index in (0, gone, 99, -1):
        with pytest.raises(LedgerError, match="is no record"):
            ledger.hold("case-7", indexes=[index])
    assert ledger.holds() == ()


def test_a_name_is_used_for_one_hold(ledger: Ledger) -> None:
    """Otherwise nobody could tell which one a release ends."""
    indexes = record(ledger, history())
    ledger.hold("case-7", indexes=indexes)
    with pytest.raises(LedgerError, match="was a hold case-7 before"):
        ledger.hold("case-7", indexes=indexes)
    ledger.release("case-7")
    with pytest.raises(LedgerError, match="was a hold case-7 before"):
        ledger.hold("case-7", indexes=indexes)


@pytest.mark.parametrize("name", ["case-8", "case-7"])
def test_only_a_hold_in_force_is_released(ledger: Ledger, name: str) -> None:
    """Neither an unknown one nor the same one twice."""
    ledger.hold("case-7", indexes=record(ledger, history()))
    ledger.release("case-7")
    with pytest.raises(LedgerError, match=f"no hold {name} in force"):
        ledger.release(name)


def test_two_holds_on_a_record_both_have_to_end(ledger: Ledger) -> None:
    """Two disputes, two reasons."""
    name = history()
    record(ledger, name)
    ledger.hold("case-7", name)
    ledger.hold("case-8", name)
    ledger.release("case-7")
    with pytest.raises(LedgerError, match="case-8"):
        ledger.erase(name, "request")


# Retention


def test_what_is_older_expires_with_one_entry(ledger: Ledger, clock: Clock) -> None:
    """A prefix: the entry names the first record that stays."""
    old = record(ledger, *[history() for _ in range(5)])
    clock.advance(DAY)
    young = record(ledger, *[history() for _ in range(5)])
    assert ledger.retain(NOW + 1) == young[0]
    assert [ledger.opening(index) for index in old] == [None] * 5
    assert all(ledger.opening(index) for index in young)
    assert list(entries(ledger, ExpiredEntry).values()) == [ExpiredEntry(young[0], TODAY + dt.timedelta(1))]


def test_nothing_to_expire_enters_nothing(ledger: Ledger, clock: Clock) -> None:
    """Run it every night."""
    record(ledger, history())
    size = ledger.size
    assert ledger.retain(NOW) is None
    clock.advance(DAY)
    assert ledger.retain(clock()) == size
    after = ledger.size
    assert ledger.retain(clock()) is None
    assert ledger.size == after


def test_a_hold_spares_records_until_it_is_released(ledger: Ledger, clock: Clock) -> None:
    """The next run takes what was held."""
    name = history()
    held, other = record(ledger, name, history())
    ledger.hold("case-7", name)
    clock.advance(DAY)
    ledger.retain(clock())
    assert (ledger.opening(held) is None, ledger.opening(other) is None) == (False, True)
    assert ledger.usable(LOG, held)
    assert not ledger.usable(LOG, other)
    assert ledger.retain(clock()) is None
    ledger.release("case-7")
    assert ledger.retain(clock()) is not None
    assert ledger.opening(held) is None


def test_expiry_finds_its_place_among_many(ledger: Ledger, clock: Clock) -> None:
    """Among records of many days, erased ones and entries of other kinds in between, at every limit."""
    times: dict[int, int] = {}
    for number in range(60):
        name = history()
        clock.advance(DAY // 10)
        (index,) = record(ledger, name)
        times[index] = clock()
        if number % 4 == 1:
            ledger.erase(name, "request")
            del times[index]
    for limit in sorted(times.values())[::7]:
        ledger.retain(limit)
        there = {index for index in range(ledger.size) if ledger.opening(index)}
        assert there == {index for index, time in times.items() if time >= limit}


def test_a_record_behind_a_younger_one_waits_for_it(ledger: Ledger) -> None:
    """Clocks differ: the index is the order, and what expires is a prefix."""
    indexes = [ledger.append(draft(time=NOW + shift)).index for shift in (0, 200_000, -90_000, 250_000)]
    assert ledger.retain(NOW + 100_000) == indexes[1]
    assert [ledger.opening(index) is None for index in indexes] == [True, False, False, False]
    assert ledger.retain(NOW + 200_001) == indexes[3]


# Who learns of it


def test_the_process_that_erased_knows_at_once(open_ledger: OpenLedger) -> None:
    """Its own lag does not matter."""
    ledger = open_ledger(lag=3600.0)
    name = history()
    one, other = record(ledger, name, history())
    assert ledger.usable(LOG, one)
    ledger.erase(name, "request")
    assert not ledger.usable(LOG, one)
    assert ledger.usable(LOG, other)


def test_another_process_knows_after_its_lag(
    open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then what it knows is good enough; one that is opened later knows from the beginning."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    ledger, other = open_ledger(), open_ledger(lag=60.0)
    name = history()
    (index,) = record(ledger, name)
    assert other.usable(LOG, index)
    ledger.erase(name, "request")
    now[0] += 59.0
    assert other.usable(LOG, index)
    now[0] += 1.0
    assert not other.usable(LOG, index)
    assert not open_ledger().usable(LOG, index)


def test_expiry_reaches_other_processes_too(open_ledger: OpenLedger, clock: Clock) -> None:
    """Without a bit for each of a million records."""
    ledger, other = open_ledger(), open_ledger(lag=0.0)
    indexes = record(ledger, *[history() for _ in range(3)])
    clock.advance(DAY)
    ledger.retain(clock())
    (young,) = record(ledger, history())
    assert [other.usable(LOG, index) for index in (*indexes, young)] == [False, False, False, True]


def test_what_cannot_be_looked_up_once_the_lag_is_over_counts_as_gone(
    open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lag is a promise: it holds while the store is away."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    ledger = open_ledger(lag=60.0)
    (index,) = record(ledger, history())

    def gone() -> None:
        raise LedgerUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(ledger._store, "view", gone)
        assert ledger.usable(LOG, index)
        now[0] += 60.0
        assert not ledger.usable(LOG, index)
    assert ledger.usable(LOG, index)


def test_a_process_of_its_own_erases_for_all(open_ledger: OpenLedger, url: str) -> None:
    """The command line, while the site runs."""
    ledger = open_ledger(lag=0.0)
    name = history()
    (index,) = record(ledger, name)
    code = (
        "import sys; from consentkit.evidence import Ledger; from tests.evidence.samples import KEYS\n"
        "with Ledger.open(sys.argv[1], keys=KEYS, create=False) as ledger:\n"
        "    print(ledger.erase(sys.argv[2], 'request'))"
    )
    command = [sys.executable, "-c", code, url, name]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == f"({index},)\n"
    assert not ledger.usable(LOG, index)


def test_after_an_unknown_outcome_what_was_erased_is_known(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit went through and nobody said so."""
    name = history()
    (index,) = record(ledger, name)
    real = ledger._store.commit

    def commit(batch: Any) -> None:
        real(batch)
        raise LedgerUnavailable("the line was cut")

    monkeypatch.setattr(ledger._store, "commit", commit)
    assert ledger.erase(name, "request") == (index,)
    assert not ledger.usable(LOG, index)


# What is left


def test_a_history_is_read_in_its_order(ledger: Ledger, clock: Clock) -> None:
    """With each record's time, and nobody else's records."""
    name = history()
    for granted in (True, False):
        ledger.append(draft(history=name, choices={"analytics": Choice(granted, "express")}))
        record(ledger, history())
        clock.advance(1000)
    records = ledger.history(name)
    assert [one.time for one in records] == [NOW, NOW + 1000]
    assert [one.record.claims["sequence"] for one in records] == [0, 1]
    assert ledger.history(history()) == ()


def test_the_latest_choice_about_each_name_stands(ledger: Ledger, clock: Clock) -> None:
    """What a later record does not speak of stays as it was."""
    name = history()
    both = {"analytics": Choice(True, "express"), "marketing": Choice(True, "express")}
    first = ledger.append(draft(history=name, choices=both, services={}))
    clock.advance(1000)
    no = {"marketing": Choice(False, "express")}
    second = ledger.append(draft(history=name, choices=no, services={}, expires=None))
    current = ledger.current(name)
    assert {n: (s.granted, s.index, s.time) for n, s in current.choices.items()} == {
        "analytics": (True, first.index, NOW),
        "marketing": (False, second.index, NOW + 1000),
    }
    assert current.choices["analytics"].expires == NOW + 15_778_800_000
    assert current.choices["marketing"].expires is None


def test_of_an_unknown_history_nothing_stands(ledger: Ledger) -> None:
    """Nor of one that was erased."""
    current = ledger.current(history())
    assert (dict(current.choices), dict(current.services)) == ({}, {})
