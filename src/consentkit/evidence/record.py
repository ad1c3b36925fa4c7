"""Records: the signed evidence of one decision, as an SD-JWT that any JOSE library verifies (RFC 9901).

*Record bytes* are the issuer-signed JWT, without the `~` that would follow it in a presentation. Its payload
is what `schemas/record.schema.json` describes. One thing is told by its disclosure alone: the pseudonym of
the history that the record belongs to. Nothing here does I/O or knows the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from attrs import field, frozen

from consentkit.errors import InvalidKey, InvalidRecord
from consentkit.evidence._encoding import (
    decode64,
    decode64_of,
    encode64,
    format_json,
    format_time,
    parse_json,
)
from consentkit.evidence.claims import check_claims, is_extra, is_history, is_record_id
from consentkit.keys import Signer, thumbprint, verify_ed25519

__all__ = [
    "MAX_RECORD_BYTES",
    "RECORD_TYPE",
    "Choice",
    "ParsedRecord",
    "Record",
    "RecordDraft",
    "build_record",
    "disclosed",
    "parse_record",
    "uuid7",
    "verify_record",
]

RECORD_TYPE: Final = "consent-record+sd-jwt"
MAX_RECORD_BYTES: Final = 65_535
_ALGORITHMS: Final = frozenset({"EdDSA", "Ed25519"})
_HISTORY: Final = "history"
_POLICY: Final = ("digest", "version")
_NOTICE: Final = ("digest", "language", "template", "layout")
_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@frozen
class Choice:
    """What was chosen for a category or service, and the basis: `express`, `acknowledged` or `signal`."""

    granted: bool
    basis: str


@frozen(kw_only=True)
class RecordDraft:
    """All that a record tells which the ledger does not know by itself.

    `policy` is its digest and version; `notice` its digest, language, template and layout, or None where no
    notice was shown. `signals` has the members `gpc` and `shown`. `expires` is UTC milliseconds, or None
    where nothing granted can expire. `history` is the pseudonym, 128 random bits in base64url. `extra` holds the
    optional fields that the policy gives reasons for. `time` is when it was decided, UTC milliseconds; None
    stands for the ledger's clock when the draft is handed over.
    """

    event: str
    method: str
    site: str
    choices: Mapping[str, Choice]
    services: Mapping[str, Choice] = _NOTHING
    asked: tuple[str, ...] = ()
    policy: tuple[str, str]
    notice: tuple[str, str, str, str] | None
    region: str | None
    regime: str
    model: str
    signals: Mapping[str, bool]
    expires: int | None
    history: str = field(repr=False)
    extra: Mapping[str, str] = field(default=_NOTHING, repr=False)
    time: int | None = None


@frozen
class Record:
    """A signed record: the issuer-signed JWT and its disclosures."""

    jwt: str
    disclosures: tuple[str, ...] = field(repr=False)

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the JWT says, read anew each time."""
        return parse_record(self.jwt).claims

    def presentation(self) -> str:
        """Return the SD-JWT with all its disclosures (RFC 9901 section 4)."""
        return "~".join((self.jwt, *self.disclosures, ""))


@lru_cache(maxsize=64)
def _header(key_id: str) -> str:
    return encode64(format_json({"alg": "EdDSA", "kid": key_id, "typ": RECORD_TYPE}))


def uuid7(time: int, random: bytes) -> str:
    """Return a UUID version 7 (RFC 9562 section 5.7) from UTC milliseconds and ten random bytes."""
    text = (time.to_bytes(6) + random).hex()
    return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"


def _time(time: int, what: str) -> str:
    try:
        return format_time(time)
    except ValueError as error:
        raise InvalidRecord(f"the record's {what} cannot be: {error}") from None


def _told(choices: Iterable[tuple[str, Choice]]) -> dict[str, dict[str, Any]]:
    return {name: {"granted": choice.granted, "basis": choice.basis} for name, choice in choices}


class _Statement(NamedTuple):
    """What many records have in common: a site's visitors choose among few answers to few questions."""

    log: str
    site: str
    event: str
    method: str
    choices: tuple[tuple[str, Choice], ...]
    services: tuple[tuple[str, Choice], ...]
    asked: tuple[str, ...]
    policy: tuple[str, str]
    notice: tuple[str, str, str, str] | None
    region: str | None
    regime: str
    model: str
    signals: tuple[tuple[str, bool], ...]

    def claims(self) -> dict[str, Any]:
        return self._asdict() | {
            "v": 1,
            "choices": _told(self.choices),
            "services": _told(self.services),
            "asked": list(self.asked),
            "policy": dict(zip(_POLICY, self.policy, strict=False)),
            "notice": self.notice and dict(zip(_NOTICE, self.notice, strict=False)),
            "signals": dict(self.signals),
            "_sd_alg": "sha-256",
        }


def _statement(draft: RecordDraft, log_name: str) -> _Statement:
    choices, services = tuple(draft.choices.items()), tuple(draft.services.items())
    return _Statement(
        log_name, draft.site, draft.event, draft.method, choices, services, draft.asked, draft.policy,
        draft.notice, draft.region, draft.regime, draft.model, tuple(draft.signals.items()),
    )  # fmt: skip


# A stand-in for what differs between the records of a statement: valid, and in order of their names.
_HOLES: Final = {
    "_sd": ["A" * 43],
    "expires": "1970-01-01T00:00:00.000Z",
    "id": "00000000-0000-7000-8000-000000000000",
    "previous": None,
    "sequence": 0,
    "time": "1970-01-01T00:00:00.000Z",
}


@lru_cache(maxsize=1024)
def _template(statement: _Statement) -> tuple[str, ...]:
    """Return the JSON of a statement's records, cut where they differ. Raises InvalidRecord.

    Most of the work of writing a record is in what it shares with others; this is done once.
    """
    claims = statement.claims()
    check_claims(claims | _HOLES)
    members = sorted(claims.keys() | _HOLES.keys())
    pieces, piece = [], ""
    for place, name in enumerate(members):
        piece += f'{"," if place else "{"}"{name}":'
        if name in _HOLES:
            pieces.append(piece)
            piece = ""
        else:
            piece += _json(claims[name])
    return (*pieces, piece + "}")


def _extra(extra: Mapping[str, str]) -> str:
    if not extra:
        return ""
    if not is_extra(dict(extra)):
        raise InvalidRecord("the record's extra is not as it must be")
    return f',"extra":{_json(dict(extra))}'


def _json(value: Any) -> str:
    try:
        return format_json(value).decode()
    except UnicodeEncodeError:
        raise InvalidRecord("a text of the record is not Unicode: it has a lone surrogate") from None


def build_record(
    draft: RecordDraft,
    *,
    id: str,  # noqa: A002  the claim's name
    time: int,
    log_name: str,
    sequence: int,
    previous: bytes | None,
    signer: Signer,
    salt: bytes,
) -> Record:
    """Build and sign the record of `draft`.

    `id` is a UUIDv7, `time` UTC milliseconds, `previous` the commitment of the history's earlier record, None
    for `sequence` 0; `salt` has 16 random bytes. Raises InvalidRecord for a draft that no record may say.
    """
    disclosure = _disclosure(draft.history, salt)
    expires = "null" if draft.expires is None else f'"{_time(draft.expires, "expires")}"'
    before = "null" if previous is None else f'"{encode64(previous)}"'
    if (sequence == 0) != (previous is None) or not is_record_id(id):
        raise InvalidRecord("a record has a UUIDv7, and names the previous one unless its number is 0")
    try:
        sd, to_expires, to_id, to_previous, to_sequence, to_time, end = _template(_statement(draft, log_name))
    except TypeError as error:
        raise InvalidRecord(f"the draft is not made of strings and tuples: {error}") from None
    payload = (
        f'{sd}["{_disclosure_digest(disclosure)}"]{to_expires}{expires}{_extra(draft.extra)}{to_id}"{id}"{to_previous}{before}'
        f'{to_sequence}{sequence}{to_time}"{_time(time, "time")}"{end}'
    )
    return Record(_sign(payload, signer), (disclosure,))


def _disclosure(history: str, salt: bytes) -> str:
    if not is_history(history) or len(salt) != 16:
        raise InvalidRecord("a history's pseudonym and a salt are 128 random bits each")
    return encode64(f'["{encode64(salt)}","{_HISTORY}","{history}"]'.encode())


def _sign(payload: str, signer: Signer) -> str:
    signed = f"{_header(signer.key_id)}.{encode64(payload.encode())}"
    if len(signed) > MAX_RECORD_BYTES - 87:
        raise InvalidRecord(f"the record would have more than {MAX_RECORD_BYTES} bytes")
    signature = signer.sign(signed.encode())
    if len(signature) != 64:
        raise InvalidKey(f"the signer of key {signer.key_id} returned {len(signature)} bytes, not 64")
    return f"{signed}.{encode64(signature)}"


def _disclosure_digest(disclosure: str) -> str:
    return encode64(sha256(disclosure.encode()).digest())


@frozen
class ParsedRecord:
    """A record as it was read: well-formed, and believed by nobody yet. `key_id` names who claims to sign."""

    jwt: str
    key_id: str
    claims: Mapping[str, Any] = field(repr=False)

    def verify(self, public_key: bytes) -> None:
        """Check the signature under a raw public key. Raises InvalidRecord for another key or a wrong one."""
        if thumbprint(public_key) != self.key_id:
            raise InvalidRecord(f"the record is signed with key {self.key_id}, not {thumbprint(public_key)}")
        signed, _, signature = self.jwt.rpartition(".")
        try:
            good = verify_ed25519(public_key, signed.encode(), decode64(signature) or b"")
        except InvalidKey as error:
            raise InvalidRecord(f"the record's key cannot be used: {error.message}") from error
        if not good:
            raise InvalidRecord("the record's signature is wrong")


def parse_record(jwt: str | bytes) -> ParsedRecord:
    """Read a record's JWT without believing it. Raises InvalidRecord for whatever is no record."""
    try:
        text = jwt if isinstance(jwt, str) else jwt.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidRecord("a record is ASCII") from None
    if len(text) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"a record has at most {MAX_RECORD_BYTES} bytes")
    header, payload, signature = _split(text)
    if decode64_of(signature, 64) is None:
        raise InvalidRecord("the record has no Ed25519 signature in base64url")
    claims = _read_json(payload, "payload")
    check_claims(claims)
    return ParsedRecord(text, _key_id(header), claims)


def _split(text: str) -> tuple[str, str, str]:
    parts = text.split(".", 3)
    if len(parts) != 3:
        raise InvalidRecord("a record has three parts with dots between them")
    return parts[0], parts[1], parts[2]


def _read_json(part: str, name: str) -> Any:
    if (data := decode64(part)) is None:
        raise InvalidRecord(f"the record's {name} is not base64url")
    try:
        return parse_json(data)
    except ValueError:
        raise InvalidRecord(f"the record's {name} is not JSON as records have it") from None


@lru_cache(maxsize=64)
def _key_id(header: str) -> str:
    """Return the key id of a protected header; a pack repeats the same few headers for all its records."""
    match _read_json(header, "header"):
        case {"alg": str(algorithm), "kid": str(key_id), "typ": str(kind), **rest} if not rest:
            if kind != RECORD_TYPE:
                raise InvalidRecord(f"the type {kind[:64]!r} is not {RECORD_TYPE}")
            if algorithm not in _ALGORITHMS:
                raise InvalidRecord(f"the algorithm {algorithm[:64]!r} is not EdDSA")
            if decode64_of(key_id, 32) is None:
                raise InvalidRecord(f"the key id {key_id[:64]!r} is no JWK thumbprint")
            return key_id
    raise InvalidRecord("a record's header has just alg, kid and typ")


def verify_record(jwt: str | bytes, public_key: bytes) -> Mapping[str, Any]:
    """Return the claims of a record that the raw `public_key` signed. Raises InvalidRecord for all else."""
    record = parse_record(jwt)
    record.verify(public_key)
    return record.claims


def disclosed(claims: Mapping[str, Any], disclosures: Iterable[str]) -> dict[str, str]:
    """Return what `disclosures` tell besides the claims: `history`, or nothing.

    Raises InvalidRecord for a disclosure that the record has no digest of, one that is given twice, and one
    that tells anything but a history's pseudonym (RFC 9901 section 7.1).
    """
    told: dict[str, str] = {}
    digests: Sequence[str] = claims["_sd"]
    for disclosure in disclosures:
        if not disclosure.isascii() or _disclosure_digest(disclosure) not in digests:
            raise InvalidRecord("a disclosure does not belong to the record")
        match _read_json(disclosure, "disclosure"):
            case [str(salt), "history", history] if decode64_of(salt, 16) and is_history(history):
                if told:
                    raise InvalidRecord("a disclosure is given twice")
                told[_HISTORY] = history
            case _:
                raise InvalidRecord("a disclosure tells something else than a history's pseudonym")
    return told
