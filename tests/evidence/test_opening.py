"""Openings: what reveals the record behind an entry, as lines of JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.errors import InvalidRecord
from consentkit.evidence.entry import commitment
from consentkit.evidence.opening import Opening, format_opening, parse_opening
from tests.evidence.samples import build

RECORD = build()
OPENING = Opening(7, RECORD.jwt, RECORD.disclosures, b"b" * 64)
MEMBERS = json.loads(format_opening(OPENING))


def test_an_opening_is_one_line_of_json() -> None:
    """Index, record, disclosures and blind; nothing else, no newline within."""
    line = format_opening(OPENING)
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    assert MEMBERS["index"] == 7
    assert MEMBERS["record"] == RECORD.jwt
    assert MEMBERS["disclosures"] == list(RECORD.disclosures)
    assert set(MEMBERS) == {"index", "record", "disclosures", "blind"}


def test_an_opening_survives_its_line() -> None:
    """What is written is what is read."""
    assert parse_opening(format_opening(OPENING)) == OPENING


def test_an_opening_knows_the_commitment_it_opens() -> None:
    """Computed from the record bytes and the blind alone."""
    assert OPENING.commitment == commitment(RECORD.jwt.encode(), b"b" * 64)


@pytest.mark.parametrize(
    "change",
    [
        {"index": -1},
        {"index": True},
        {"index": "7"},
        {"index": 2**63},
        {"record": None},
        {"record": "é"},
        {"disclosures": "x"},
        {"disclosures": [1]},
        {"blind": "AAAA"},
        {"blind": MEMBERS["blind"] + "="},
        {"more": 1},
    ],
)
def test_an_opening_with_a_wrong_member_is_refused(change: dict[str, Any]) -> None:
    """Each member as it must be, and no others."""
    with pytest.raises(InvalidRecord):
        parse_opening(json.dumps(MEMBERS | change).encode())


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_an_opening_without_a_member_is_refused(name: str) -> None:
    """All four are needed."""
    with pytest.raises(InvalidRecord):
        parse_opening(json.dumps({key: value for key, value in MEMBERS.items() if key != name}).encode())


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_no_opening(data: bytes) -> None:
    """Nothing but InvalidRecord comes out of reading one."""
    with pytest.raises(InvalidRecord):
        parse_opening(data)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"index":1,"index":2}', b"1.5", b"NaN", b"\xff", b"null"])
def test_json_that_openings_never_have_is_refused(data: bytes) -> None:
    """Members twice, fractions, nesting without end."""
    with pytest.raises(InvalidRecord):
        parse_opening(data)
