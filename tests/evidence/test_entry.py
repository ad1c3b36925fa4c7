"""Log entries: one line for each kind, written and read the one way there is."""

import base64
from datetime import date
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.errors import InvalidLog
from consentkit.evidence.entry import (
    Entry,
    ErasedEntry,
    ExpiredEntry,
    HoldEntry,
    KeyEntry,
    KeyRevocation,
    NoticeEntry,
    PolicyEntry,
    PredecessorEntry,
    RecordEntry,
    UnknownEntry,
    commitment,
    entry_line,
    format_entry,
    parse_entry,
    record_commitment,
)
from tests.evidence.samples import signer

KEY = signer("entry")
C = sha256(b"c").digest()
C64 = base64.urlsafe_b64encode(C).rstrip(b"=").decode()
KEY64 = base64.urlsafe_b64encode(KEY.public_key).rstrip(b"=").decode()
DAY = date(2026, 11, 2)

KINDS: list[tuple[Entry, str]] = [
    (RecordEntry(C), f"record {C64}"),
    (PolicyEntry("ab" * 32, "2026-11"), f"policy {'ab' * 32} 2026-11"),
    (NoticeEntry("cd" * 32), f"notice {'cd' * 32}"),
    (KeyEntry("add", "record", KEY.key_id, KEY.public_key), f"key add record {KEY.key_id} {KEY64}"),
    (KeyEntry("retire", "log", KEY.key_id, KEY.public_key), f"key retire log {KEY.key_id} {KEY64}"),
    (KeyRevocation("record", KEY.key_id, 17), f"key revoke record {KEY.key_id} 17"),
    (ErasedEntry(5, "request", DAY), "erased 5 request 2026-11-02"),
    (ExpiredEntry(1000, DAY), "expired 1000 2026-11-02"),
    (HoldEntry("hold", "case-7", DAY), "hold case-7 2026-11-02"),
    (HoldEntry("release", "case-7", DAY), "release case-7 2026-11-02"),
    (PredecessorEntry("example.com/old", 12, C), f"predecessor example.com/old 12 {C64}"),
    (UnknownEntry(("consentkit/1", "novel", "x")), "novel x"),
    (UnknownEntry(("consentkit/1",)), ""),
]


@pytest.mark.parametrize(("entry", "text"), KINDS, ids=lambda value: str(value)[:30])
def test_every_kind_is_written_and_read_as_specified(entry: Entry, text: str) -> None:
    """The very bytes of the format, both ways."""
    line = f"consentkit/1 {text}".strip().encode() + b"\n"
    assert format_entry(entry) == line
    assert parse_entry(line) == entry


def test_an_entry_of_another_version_is_unknown_not_wrong() -> None:
    """An auditor says "not checked" to what a later version wrote."""
    assert parse_entry(b"consentkit/2 record anything\n") == UnknownEntry(
        ("consentkit/2", "record", "anything")
    )


def test_a_commitment_is_as_specified() -> None:
    """SHA-256 over label, blind, and SHA-256 of the record."""
    expected = sha256(b"consentkit/1 commit\n" + b"b" * 64 + sha256(b"record").digest()).digest()
    assert commitment(b"record", b"b" * 64) == expected
    assert entry_line(expected) == format_entry(RecordEntry(expected))
    assert record_commitment(entry_line(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "record",
        f"record {C64} x",
        f"record {C64[:-1]}",
        f"record {C64[:-1]}B",
        f"record {C64}=",
        "policy " + "AB" * 32 + " 1",
        "policy " + "ab" * 32,
        "notice abc",
        f"key add record {KEY.key_id}",
        f"key add record {C64} {KEY64}",
        f"key drop record {KEY.key_id} {KEY64}",
        f"key add record kid {KEY64}",
        f"key revoke record {KEY.key_id} 01",
        "erased -5 request 2026-11-02",
        "erased 5 request 2026-11-31",
        "erased 5 request 20261102",
        "erased 9223372036854775808 request 2026-11-02",
        "expired 1.0 2026-11-02",
        "hold case-7",
        "predecessor example.com/old 12 AAAA",
    ],
)
def test_a_known_kind_said_wrongly_is_refused(text: str) -> None:
    """Wrong number of fields, wrong field, or a second spelling of the same thing."""
    with pytest.raises(InvalidLog):
        parse_entry(f"consentkit/1 {text}\n".encode())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"consentkit/1 novel x",
        b"consentkit/1 novel x\r\n",
        b"consentkit/1 novel  x\n",
        b" consentkit/1 novel\n",
        b"consentkit/1 novel \n",
        b"consentkit/1 novel\nx\n",
        b"consentkit/1 novel \xc3\xa9\n",
        b"consentkit/1 novel \x00\n",
        b"consentkit/1 novel " + b"x" * 257 + b"\n",
        b"x " * 40_000 + b"x\n",
    ],
)
def test_what_is_no_line_of_fields_is_refused(line: bytes) -> None:
    """Printable ASCII, single spaces, one newline at the end."""
    with pytest.raises(InvalidLog):
        parse_entry(line)


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_an_unknown_entry_or_none(line: bytes) -> None:
    """Reading never fails in any other way, and what it reads it writes again."""
    try:
        entry = parse_entry(line)
    except InvalidLog:
        return
    assert format_entry(entry) == line


fields = st.from_regex(r"[A-Za-z0-9._:/+=-]{1,256}", fullmatch=True)


@given(st.lists(fields, min_size=1, max_size=5))
def test_reading_and_writing_are_inverse(words: list[str]) -> None:
    """Whatever the fields."""
    line = " ".join(words).encode() + b"\n"
    try:
        entry = parse_entry(line)
    except InvalidLog:
        return
    assert format_entry(entry) == line


@pytest.mark.parametrize(
    "entry",
    [
        PolicyEntry("ab" * 32, "has space"),
        PolicyEntry("ab" * 32, ""),
        HoldEntry("hold", "é", DAY),
        HoldEntry("hold", "x\n", DAY),
    ],
)
def test_a_field_that_no_line_can_carry_is_refused(entry: Entry) -> None:
    """Rather than written so that it reads as something else."""
    with pytest.raises(InvalidLog, match="cannot be a field"):
        format_entry(entry)


def test_only_the_entry_of_a_record_has_its_commitment() -> None:
    """The quick way agrees with the thorough one."""
    assert record_commitment(format_entry(NoticeEntry("cd" * 32))) is None
    assert record_commitment(b"consentkit/1 record AAAA\n") is None
    assert record_commitment(entry_line(C)[:-1]) is None
