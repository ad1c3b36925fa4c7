"""One line of an openings file, read for everything that an audit asks of it.

There are two ways to read one. The general way is that of `consentkit.evidence`: whatever is a record by its
schema, in any spelling, and words for what is wrong with anything else. It takes longer than verifying the
signature does. The short way takes only the one spelling that the ledger writes, with two regular expressions;
what those do not match is left to the general way, so they can never accept less, and the tests hold them to
never accepting more.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final

from attrs import frozen

from consentkit.errors import InvalidRecord
from consentkit.evidence.entry import commitment
from consentkit.evidence.opening import parse_opening
from consentkit.evidence.record import MAX_RECORD_BYTES, RECORD_TYPE, disclosed, parse_record

__all__ = ["Claims", "Opened", "read_generally", "read_line", "read_shortly"]


@frozen
class Claims:
    """What an audit asks of a record; `notice` and `policy` are digests in hex, `previous` is a commitment."""

    key_id: str
    signed: bytes
    signature: bytes
    log: str
    time: datetime
    sequence: int
    previous: bytes | None
    policy: str
    version: str
    notice: str | None


@frozen
class Opened:
    """An opening and the record in it.

    `claims` is None, and `problem` says why, where the record is none. `undisclosed` says what is wrong with the
    disclosures; `history` is the pseudonym that they tell, if any.
    """

    index: int
    commitment: bytes
    claims: Claims | None
    problem: str = ""
    history: str | None = None
    undisclosed: str = ""


def read_line(line: bytes) -> Opened:
    """Read a line of an openings file. Raises InvalidRecord when it is no opening at all."""
    return read_shortly(line) or read_generally(line)


def read_generally(line: bytes) -> Opened:
    """Read a line that says what an opening says, in whatever spelling. Raises InvalidRecord for all else."""
    if not line.endswith(b"\n"):
        raise InvalidRecord("the line is cut short")
    opening = parse_opening(line)
    try:
        record = parse_record(opening.record)
    except InvalidRecord as error:
        return Opened(opening.index, opening.commitment, None, error.message)
    told, undisclosed = None, ""
    try:
        told = disclosed(record.claims, opening.disclosures).get("history")
    except InvalidRecord as error:
        undisclosed = error.message
    signed, _, signature = opening.record.rpartition(".")
    notice, previous = record.claims["notice"], record.claims["previous"]
    claims = Claims(
        key_id=record.key_id,
        signed=signed.encode(),
        signature=_decode(signature.encode()),
        log=record.claims["log"],
        time=datetime.fromisoformat(record.claims["time"]),
        sequence=record.claims["sequence"],
        previous=previous and _decode(previous.encode()),
        policy=record.claims["policy"]["digest"],
        version=record.claims["policy"]["version"],
        notice=notice and notice["digest"],
    )
    return Opened(opening.index, opening.commitment, claims, "", told, undisclosed)


_BASE64_16: Final = r"[A-Za-z0-9_-]{21}[AQgw]"
_BASE64_32: Final = r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"
_BASE64_64: Final = r"[A-Za-z0-9_-]{85}[AQgw]"
_NAME: Final = r"[a-z][a-z0-9_-]{0,63}"
_FIELD: Final = r"[A-Za-z0-9._:/+=-]{1,256}"
_LANGUAGE: Final = r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,8}"
_UUID7: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_DAY: Final = r"(?:19[7-9]|[2-9][0-9]{2})[0-9]-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME: Final = rf"{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{{3}}Z"
_FLAG: Final = r"(?:true|false)"
_CHOICE: Final = rf'"{_NAME}":\{{"basis":"(?:express|acknowledged|signal)","granted":{_FLAG}\}}'
_CHOICES: Final = rf"\{{((?:{_CHOICE}(?:,{_CHOICE})*)?)\}}"
_NOTICE: Final = (
    rf'\{{"digest":"([0-9a-f]{{64}})","language":"{_LANGUAGE}","layout":"{_NAME}","template":"{_FIELD}"\}}'
)

_LINE = re.compile(
    rf'\{{"blind":"({_BASE64_64})","disclosures":\[(?:"([A-Za-z0-9_-]{{4,200}})")?\],"index":(0|[1-9][0-9]{{0,17}}),'
    rf'"record":"(([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.({_BASE64_64}))"\}}\n'.encode()
)
_PAYLOAD = re.compile(
    (
        rf'\{{"_sd":\["({_BASE64_32})"\],"_sd_alg":"sha-256",'
        rf'"asked":\[((?:"{_NAME}"(?:,"{_NAME}")*)?)\],"choices":{_CHOICES},'
        r'"event":"(?:given|refused|changed|withdrawn|objected|acknowledged|signal|linked)",'
        rf'"expires":(?:null|"({_TIME})"),"id":"{_UUID7}","log":"([A-Za-z0-9][A-Za-z0-9._:/=-]{{0,255}})",'
        rf'"method":"{_NAME}","model":"(?:opt-in|opt-out|implied|notice)","notice":(?:null|{_NOTICE}),'
        rf'"policy":\{{"digest":"([0-9a-f]{{64}})","version":"({_FIELD})"\}},"previous":(?:null|"({_BASE64_32})"),'
        rf'"regime":"{_NAME}","region":(?:null|"[A-Z][A-Z0-9-]{{1,31}}"),"sequence":(0|[1-9][0-9]{{0,17}}),'
        rf'"services":{_CHOICES},"signals":\{{"gpc":{_FLAG},"shown":{_FLAG}\}},'
        r'"site":"https?://(?:[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?",'
        rf'"time":"({_TIME})","v":1\}}'
    ).encode()
)
_DISCLOSURE = re.compile(rf'\["{_BASE64_16}","history","({_BASE64_16})"\]'.encode())
_HEADER = re.compile(rf'\{{"alg":"EdDSA","kid":"({_BASE64_32})","typ":"{re.escape(RECORD_TYPE)}"\}}'.encode())
_MAX_MEMBERS = 256

_STANDARD = bytes.maketrans(b"-_", b"+/")
_LAST = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
_PADDING = (b"", b"", b"==", b"=")


def _decode(text: bytes) -> bytes:
    """Decode unpadded base64url, of which the alphabet is known to be right; b"" if it is not canonical."""
    rest = len(text) % 4
    if rest == 1 or not text or (rest and text[-1] not in _LAST[rest]):
        return b""
    return a2b_base64(text.translate(_STANDARD) + _PADDING[rest])


@lru_cache(maxsize=64)
def _key_id(header: bytes) -> str | None:
    match = _HEADER.fullmatch(_decode(header))
    return match[1].decode() if match else None


def _repeats(text: bytes, between: bytes) -> bool:
    """Say whether two parts of `text` begin with the same name in quotes, or there are more than may be."""
    if between not in text:
        return False
    parts = text.split(between)
    return len(parts) > _MAX_MEMBERS or len({part.split(b'"', 2)[1] for part in parts}) < len(parts)


def _history(disclosure: bytes, digest: bytes) -> str | None:
    if sha256(disclosure).digest() != _decode(digest):
        return None
    match = _DISCLOSURE.fullmatch(_decode(disclosure))
    return match[1].decode() if match else None


def read_shortly(line: bytes) -> Opened | None:
    """Read a line in the spelling in which the ledger writes ordinary records; None for any other."""
    if (outer := _LINE.fullmatch(line)) is None:
        return None
    blind, disclosure, index, record, header, payload, signature = outer.groups()
    inner = _PAYLOAD.fullmatch(_decode(payload))
    if inner is None or (key_id := _key_id(header)) is None or len(record) > MAX_RECORD_BYTES:
        return None
    digest, asked, choices, expires, log, notice, policy, version, previous, sequence, services, time = (
        inner.groups()
    )
    if (previous is None) != (sequence == b"0"):
        return None
    if _repeats(asked, b",") or _repeats(choices, b"},") or _repeats(services, b"},"):
        return None
    history = None if disclosure is None else _history(disclosure, digest)
    if history is None and disclosure is not None:
        return None
    try:
        moment = datetime.fromisoformat(time.decode())
        datetime.fromisoformat((expires or time).decode())
    except ValueError:
        return None
    claims = Claims(
        key_id=key_id,
        signed=record[: -len(signature) - 1],
        signature=_decode(signature),
        log=log.decode(),
        time=moment,
        sequence=int(sequence),
        previous=previous and _decode(previous),
        policy=policy.decode(),
        version=version.decode(),
        notice=None if notice is None else notice.decode(),
    )
    return Opened(int(index), commitment(record, _decode(blind)), claims, "", history)
