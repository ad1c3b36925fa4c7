"""The short way of reading an opening accepts nothing that the general way would not, and says the same."""

import base64
import json
import re
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from consentkit.audit import reading
from consentkit.audit.reading import read_generally, read_line, read_shortly
from consentkit.errors import InvalidRecord
from consentkit.evidence.claims import check_claims
from consentkit.evidence.opening import Opening, format_opening
from consentkit.evidence.record import Choice
from tests.audit.packs import PackWriter, seeded


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def lines() -> list[bytes]:
    writer = PackWriter()
    writer.record("h")
    writer.record(
        "h", services={"matomo": Choice(True, "signal"), "ads": Choice(False, "acknowledged")}, asked=()
    )
    writer.record(
        "i", notice=None, region=None, expires=None, choices={}, signals={"gpc": True, "shown": True}
    )
    writer.record("i", site="http://localhost:8000", model="opt-out", event="withdrawn", region="US-CA")
    return [format_opening(opening) for opening in writer.openings.values()]


LINES = lines()
UNDISCLOSED = re.sub(rb'"disclosures":\["[^"]*"\]', b'"disclosures":[]', LINES[0])


@pytest.mark.parametrize("line", LINES)
def test_what_the_ledger_writes_is_read_the_short_way(line: bytes) -> None:
    """Ordinary records take the quick path, to the same result."""
    assert read_shortly(line) == read_generally(line)


def test_an_opening_without_disclosures_is_read_the_short_way() -> None:
    """Packs may leave out whose record it is."""
    assert read_shortly(UNDISCLOSED) == read_generally(UNDISCLOSED)
    assert read_generally(UNDISCLOSED).history is None


def mutated(line: bytes, random: Random) -> bytes:
    place = random.randrange(len(line))
    piece = bytes([random.choice(line)]) if random.random() < 0.8 else bytes([random.randrange(256)])
    return line[:place] + piece * random.randrange(3) + line[place + random.randrange(2) :]


@settings(max_examples=300)
@given(st.sampled_from(LINES), st.randoms(use_true_random=False))
def test_whatever_is_read_the_short_way_is_read_the_same_in_general(line: bytes, random: Random) -> None:
    """Bytes changed in the line."""
    changed = mutated(line, random)
    short = read_shortly(changed)
    if short is not None:
        assert short == read_generally(changed)


def with_payload(line: bytes, payload: bytes) -> bytes:
    """Put a payload into the record of an opening; nobody has signed it."""
    members = json.loads(line)
    head, _, signature = members["record"].split(".")
    opening = Opening(
        members["index"],
        f"{head}.{b64(payload)}.{signature}",
        tuple(members["disclosures"]),
        seeded("blind", 64),
    )
    return format_opening(opening)


@settings(max_examples=300)
@given(st.sampled_from(LINES), st.randoms(use_true_random=False))
def test_whatever_payload_is_read_the_short_way_is_a_record(line: bytes, random: Random) -> None:
    """Bytes changed in what the record says."""
    payload = base64.urlsafe_b64decode(json.loads(line)["record"].split(".")[1] + "===")
    changed = with_payload(line, mutated(payload, random))
    short = read_shortly(changed)
    if short is not None:
        assert short == read_generally(changed)
        assert short.claims is not None


@settings(max_examples=25, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.from_regex(reading._PAYLOAD, fullmatch=True))
def test_whatever_payload_matches_is_a_record_but_for_what_no_pattern_can_say(payload: bytes) -> None:
    """The pattern is no looser than the schema; dates, repeated names and first numbers are checked beside it."""
    changed = with_payload(UNDISCLOSED, payload)
    short = read_shortly(changed)
    assume(short is not None)
    check_claims(json.loads(payload))
    assert short == read_generally(changed)


def claims_of(line: bytes) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(json.loads(line)["record"].split(".")[1] + "===")))


def spelled(claims: dict[str, Any]) -> bytes:
    return json.dumps(claims, separators=(",", ":"), sort_keys=True).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"time": "2026-02-30T00:00:00.000Z"},
        {"expires": "2026-13-01T00:00:00.000Z"},
        {"time": "1969-12-31T23:59:59.999Z"},
        {"sequence": 7},
        {"previous": b64(seeded("x", 32))},
        {"asked": ["a", "a"]},
        {"asked": [f"n{number}" for number in range(257)]},
        {"sequence": 2**63, "previous": b64(seeded("x", 32))},
        {"site": "https://example.com/"},
        {"v": 2},
    ],
    ids=str,
)
def test_what_no_record_may_say_is_refused_both_ways(change: dict[str, Any]) -> None:
    """The checks beside the pattern, one by one."""
    line = with_payload(LINES[0], spelled(claims_of(LINES[0]) | change))
    assert read_shortly(line) is None
    assert read_generally(line).claims is None


def test_an_index_that_no_log_can_have_is_refused() -> None:
    """Sizes of logs end at 2**63 - 1."""
    with pytest.raises(InvalidRecord):
        read_line(LINES[0].replace(b'"index":3', b'"index":%d' % 2**63))


@pytest.mark.parametrize("member", ["choices", "services"])
def test_a_name_said_twice_is_refused_both_ways(member: str) -> None:
    """JSON parsers disagree about which of two counts."""
    payload = spelled(claims_of(LINES[1]))
    name, body = next(iter(claims_of(LINES[1])[member].items()))
    twice = f'"{name}":{json.dumps(body, separators=(",", ":"), sort_keys=True)}'
    changed = payload.replace(f'"{member}":{{'.encode(), f'"{member}":{{{twice},'.encode())
    line = with_payload(LINES[1], changed)
    assert changed != payload
    assert read_shortly(line) is None
    assert "JSON" in read_generally(line).problem


@pytest.mark.parametrize(
    "line", [b"", b"{}\n", LINES[0][:-1], b"\xff\n", LINES[0] + b" ", b"[" * 50_000 + b"\n"]
)
def test_what_is_no_opening_is_refused(line: bytes) -> None:
    """One line of JSON, ended."""
    with pytest.raises(InvalidRecord):
        read_line(line)


def test_a_record_that_is_too_long_is_refused_both_ways() -> None:
    """A record has a limit, however well it is spelled."""
    claims = claims_of(LINES[0]) | {
        "choices": {f"{'n' * 60}{i:03}": {"basis": "express", "granted": True} for i in range(255)}
    }
    claims |= {"services": {f"{'s' * 60}{i:03}": {"basis": "express", "granted": True} for i in range(255)}}
    line = with_payload(LINES[0], spelled(claims))
    assert read_shortly(line) is None
    assert "bytes" in read_generally(line).problem
    assert len(line) > 65_535


def test_a_long_line_of_almost_a_record_is_judged_quickly() -> None:
    """No pattern may take longer than in proportion to the line, whatever stands in it."""
    for filler in (b"a" * 60_000, b"a-" * 30_000, b'"a":{"basis":"express","granted":true},' * 1500):
        payload = spelled(claims_of(LINES[0])).replace(b"https://example.com", b"https://" + filler)
        assert read_shortly(with_payload(LINES[0], payload)) is None
