"""Records: what any JOSE library verifies, and what nobody can change or make up."""

import base64
import json
import uuid
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey

from consentkit.errors import InvalidKey, InvalidRecord
from consentkit.evidence import record as record_module
from consentkit.evidence.record import Choice, disclosed, parse_record, uuid7, verify_record
from consentkit.keys import thumbprint
from tests.evidence.samples import ID, KEYS, LOG, NOW, build, draft, history, signer

PUBLIC = KEYS.record.public_key


def encode(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=="))


def signed(header: Any, payload: Any) -> str:
    text = f"{encode(header)}.{encode(payload)}"
    return f"{text}.{encode(KEYS.record.sign(text.encode()))}"


HEADER = {"alg": "EdDSA", "kid": KEYS.record.key_id, "typ": "consent-record+sd-jwt"}
CLAIMS = dict(build().claims)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # by RFC 9864, which few verifiers know yet
def test_an_independent_library_verifies_a_record() -> None:
    """joserfc accepts the signature under the JWK and reads header and claims."""
    record = build(draft(event="withdrawn"))
    jwk = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": encode(PUBLIC)})
    read = jws.deserialize_compact(record.jwt, jwk, algorithms=["EdDSA"])
    assert read.headers() == HEADER
    assert json.loads(read.payload)["event"] == "withdrawn"


def test_a_record_says_what_was_decided() -> None:
    """Every claim, in full."""
    record = build(draft(policy=("ab" * 32, "v2")), sequence=3, previous=bytes(32))
    digest = encode(sha256(record.disclosures[0].encode()).digest())
    assert record.claims == {
        "v": 1,
        "id": ID,
        "time": "2026-11-02T12:00:00.000Z",
        "site": "https://example.com",
        "log": LOG,
        "event": "given",
        "method": "banner",
        "choices": {
            "analytics": {"granted": True, "basis": "express"},
            "marketing": {"granted": False, "basis": "express"},
        },
        "services": {"matomo": {"granted": False, "basis": "express"}},
        "asked": ["analytics", "marketing"],
        "policy": {"digest": "ab" * 32, "version": "v2"},
        "notice": {"digest": "cd" * 32, "language": "en", "template": "consentkit/1", "layout": "bar"},
        "region": "FR",
        "regime": "europe",
        "model": "opt-in",
        "signals": {"gpc": False, "shown": False},
        "expires": "2027-05-04T03:00:00.000Z",
        "sequence": 3,
        "previous": encode(bytes(32)),
        "_sd": [digest],
        "_sd_alg": "sha-256",
    }


def test_the_pseudonym_is_told_by_its_disclosure_alone() -> None:
    """The JWT says nothing of it; the disclosure does, to whoever is given it (RFC 9901)."""
    name = history()
    record = build(draft(history=name), salt=b"0123456789abcdef")
    assert name not in record.jwt
    assert name.encode() not in base64.urlsafe_b64decode(record.jwt.split(".")[1] + "==")
    assert decode(record.disclosures[0]) == [encode(b"0123456789abcdef"), "history", name]
    assert disclosed(record.claims, record.disclosures) == {"history": name}
    assert disclosed(record.claims, ()) == {}
    assert record.presentation() == f"{record.jwt}~{record.disclosures[0]}~"


drafts = st.builds(
    draft,
    choices=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True),
        st.builds(Choice, st.booleans(), st.sampled_from(["express", "acknowledged", "signal"])),
        max_size=5,
    ),
    notice=st.none() | st.just(("ef" * 32, "fr-CA", "a", "box")),
    region=st.none() | st.sampled_from(["DE", "US-CA"]),
    signals=st.builds(lambda gpc, shown: {"shown": shown, "gpc": gpc}, st.booleans(), st.booleans()),
    expires=st.none() | st.integers(0, 253_402_300_799_999),
    extra=st.dictionaries(st.sampled_from(["page", "user_agent"]), st.text(max_size=30)),
)


@given(drafts, st.integers(1, 2**63 - 1))
def test_the_payload_is_canonical_json(what: record_module.RecordDraft, sequence: int) -> None:
    """What is signed is the RFC 8785 form of the claims, by whatever shortcut it was written."""
    record = build(what, sequence=sequence, previous=b"p" * 32)
    payload = base64.urlsafe_b64decode(record.jwt.split(".")[1] + "==")
    small = {**record.claims, "sequence": 5}  # RFC 8785 has no integers beyond 2**53
    assert payload.replace(b'"sequence":%d,' % sequence, b'"sequence":5,') == rfc8785.dumps(small)
    assert record.claims.get("extra", {}) == what.extra


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
def test_both_names_of_the_algorithm_are_accepted(algorithm: str) -> None:
    """RFC 9864 renamed it; old and new verifiers must meet."""
    assert verify_record(signed(HEADER | {"alg": algorithm}, CLAIMS), PUBLIC) == CLAIMS


@pytest.mark.parametrize(
    "header",
    [
        HEADER | {"alg": "none"},
        HEADER | {"alg": "HS256"},
        HEADER | {"alg": "ES256"},
        HEADER | {"alg": None},
        HEADER | {"typ": "JWT"},
        HEADER | {"typ": "dc+sd-jwt"},
        HEADER | {"kid": signer("other").key_id},
        HEADER | {"kid": "../../keys"},
        HEADER | {"crit": ["exp"]},
        HEADER | {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": encode(PUBLIC)}},
        {"alg": "EdDSA", "typ": "consent-record+sd-jwt"},
        [],
        "EdDSA",
    ],
)
def test_any_other_header_is_refused(header: Any) -> None:
    """Algorithms, types and keys are not up to whoever sends the record (RFC 8725)."""
    with pytest.raises(InvalidRecord):
        verify_record(signed(header, CLAIMS), PUBLIC)


def test_a_record_of_another_key_is_refused() -> None:
    """By its key id, and by its signature when it lies about the key id."""
    other = build(signer=signer("other"))
    with pytest.raises(InvalidRecord, match="signed with key"):
        verify_record(other.jwt, PUBLIC)
    forged = ".".join((encode(HEADER), *other.jwt.split(".")[1:]))
    with pytest.raises(InvalidRecord, match="signature is wrong"):
        verify_record(forged, PUBLIC)


def test_a_key_that_proves_nothing_verifies_no_record() -> None:
    """A small-order point accepts signatures by anybody."""
    weak = b"\1" + bytes(31)
    text = f"{encode(HEADER | {'kid': thumbprint(weak)})}.{encode(CLAIMS)}"
    with pytest.raises(InvalidRecord, match="cannot be used"):
        verify_record(f"{text}.{encode(weak + bytes(32))}", weak)


@given(st.data())
def test_a_record_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    """Wherever it is, and even if base64url would decode to the same bytes."""
    jwt = build().jwt
    place = data.draw(st.integers(0, len(jwt) - 1))
    char = data.draw(st.sampled_from("ABCxyz019-_.=+/ \n\x00é").filter(lambda char: char != jwt[place]))
    with pytest.raises(InvalidRecord):
        verify_record(jwt[:place] + char + jwt[place + 1 :], PUBLIC)


@pytest.mark.parametrize("suffix", ["~", "=", "\n", ".", " "])
def test_nothing_may_follow_a_record(suffix: str) -> None:
    """One record has one spelling, or its commitment would not be unique."""
    with pytest.raises(InvalidRecord):
        verify_record(build().jwt + suffix, PUBLIC)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_record(data: bytes) -> None:
    """Nothing but InvalidRecord comes out of reading one."""
    with pytest.raises(InvalidRecord):
        parse_record(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)


@given(json_values, json_values)
def test_arbitrary_json_is_no_record(header: Any, payload: Any) -> None:
    """However well it is signed."""
    with pytest.raises(InvalidRecord):
        verify_record(signed(header, payload), PUBLIC)
    with pytest.raises(InvalidRecord):
        verify_record(signed(HEADER, payload), PUBLIC)


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 20_000,
        json.dumps(CLAIMS).replace('"sequence": 0', '"sequence": 0.0').encode(),
        json.dumps(CLAIMS).replace('"sequence": 0', '"sequence": NaN').encode(),
        json.dumps(CLAIMS).replace('"sequence": 0', '"sequence": ' + "9" * 5000).encode(),
        json.dumps(CLAIMS).replace('"sequence": 0', '"sequence": 1, "sequence": 0').encode(),
        json.dumps(CLAIMS).replace('"granted": true', '"granted": true, "granted": false', 1).encode(),
        json.dumps(CLAIMS).encode("utf-16"),
    ],
)
def test_json_that_two_parsers_may_read_differently_is_refused(payload: bytes) -> None:
    """Members twice, numbers that are no integers, nesting without end."""
    with pytest.raises(InvalidRecord):
        verify_record(signed(HEADER, payload), PUBLIC)


def test_a_record_has_a_largest_size() -> None:
    """For whoever reads it, and whoever would write it."""
    with pytest.raises(InvalidRecord, match="at most"):
        parse_record("x" * 70_000)
    extra = {f"page{n}": "é" * 2048 for n in range(20)}
    with pytest.raises(InvalidRecord, match="more than"):
        build(draft(extra=extra))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"event": "agreed"}, "event"),
        ({"site": "example.com"}, "site"),
        ({"choices": {"Analytics": Choice(True, "express")}}, "choices"),
        ({"services": {"matomo": Choice(True, "implied")}}, "services"),
        ({"asked": ("analytics", "analytics")}, "asked"),
        ({"policy": ("AB" * 32, "1")}, "policy"),
        ({"policy": ("ab" * 32,)}, "policy"),
        ({"notice": ("cd" * 32, "en")}, "notice"),
        ({"region": "France"}, "region"),
        ({"model": "opt_in"}, "model"),
        ({"signals": {"gpc": True}}, "signals"),
        ({"expires": -1}, "expires"),
        ({"expires": 2**60}, "expires"),
        ({"history": "short"}, "pseudonym"),
        ({"history": "A" * 21 + "B"}, "pseudonym"),
        ({"extra": {"page": "x" * 2049}}, "extra"),
        ({"extra": {"page": "\ud800"}}, "surrogate"),
        ({"asked": ["analytics"]}, "strings and tuples"),
    ],
)
def test_a_draft_that_no_record_may_say_is_refused(changes: dict[str, Any], message: str) -> None:
    """Nothing is signed that would not verify."""
    with pytest.raises(InvalidRecord, match=message):
        build(draft(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "1"},
        {"id": str(uuid.UUID(int=5))},
        {"sequence": 1},
        {"previous": bytes(32)},
        {"salt": b"short"},
        {"time": 2**60},
        {"log_name": "with space"},
    ],
)
def test_what_the_ledger_adds_is_checked_too(changes: dict[str, Any]) -> None:
    """Its id, its place in the history, its salt, its time, its log."""
    with pytest.raises(InvalidRecord):
        build(draft(), **changes)


def test_a_refused_draft_does_not_spoil_the_next_one() -> None:
    """What is remembered of a statement is only what was good."""
    for _ in range(2):
        with pytest.raises(InvalidRecord):
            build(draft(event="agreed"))
    assert build(draft()).claims["event"] == "given"


def test_nothing_personal_is_remembered_between_records() -> None:
    """The shortcut for what records share must not see pseudonyms or optional fields."""
    record_module._template.cache_clear()
    for n in range(3):
        build(draft(extra={"page": f"/secret/{n}"}))
    assert record_module._template.cache_info().currsize == 1


def test_a_signer_that_returns_no_signature_is_refused() -> None:
    """A key service that answers with something else must not fill the log with unverifiable records."""

    class Broken:
        key_id, public_key = KEYS.record.key_id, PUBLIC

        def sign(self, data: bytes) -> bytes:
            return b"sorry"

    with pytest.raises(InvalidKey, match="5 bytes"):
        build(signer=Broken())


def test_a_disclosure_must_be_one_of_the_record() -> None:
    """Others, repeated ones, and ones that tell something else are refused (RFC 9901 section 7.1)."""
    record, other = build(draft()), build(draft())
    with pytest.raises(InvalidRecord, match="does not belong"):
        disclosed(record.claims, other.disclosures)
    with pytest.raises(InvalidRecord, match="twice"):
        disclosed(record.claims, record.disclosures * 2)
    with pytest.raises(InvalidRecord, match="does not belong"):
        disclosed(record.claims, ("é",))


@pytest.mark.parametrize(
    "told",
    [
        ["c2FsdA", "history", "A" * 22],
        [encode(bytes(16)), "event", "A" * 22],
        [encode(bytes(16)), "history", "me"],
        [encode(bytes(16)), "history"],
        {"history": "A" * 22},
        b"\xff",
    ],
)
def test_a_disclosure_tells_a_pseudonym_and_nothing_else(told: Any) -> None:
    """Even one that the record's digest covers."""
    disclosure = encode(told)
    claims = CLAIMS | {"_sd": [encode(sha256(disclosure.encode()).digest())]}
    with pytest.raises(InvalidRecord):
        disclosed(claims, (disclosure,))


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_ids_are_uuids_of_version_7(time: int, random: bytes) -> None:
    """The standard library reads version, variant and time out of them (RFC 9562 section 5.7)."""
    made = uuid.UUID(uuid7(time, random))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, time)
    assert str(made) == uuid7(time, random)


def test_ids_sort_by_time() -> None:
    """Whatever the random part."""
    assert uuid7(NOW, b"\xff" * 10) < uuid7(NOW + 1, bytes(10))
