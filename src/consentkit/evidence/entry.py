"""Log entries: one line of printable ASCII each, without personal data, and what each kind of line means.

A record is in the log as a commitment, `SHA-256("consentkit/1 commit" LF || blind || SHA-256(record bytes))`
with 64 random bytes of `blind`, which says nothing to anybody who does not have the opening, and nothing to
anybody at all once the opening is erased.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from hashlib import sha256
from typing import Final

from attrs import frozen

from consentkit.errors import InvalidLog
from consentkit.evidence._encoding import decode64_of, encode64, parse_decimal
from consentkit.keys import thumbprint

__all__ = [
    "BLIND_BYTES",
    "Entry",
    "ErasedEntry",
    "ExpiredEntry",
    "HoldEntry",
    "KeyEntry",
    "KeyRevocation",
    "NoticeEntry",
    "PolicyEntry",
    "PredecessorEntry",
    "RecordEntry",
    "UnknownEntry",
    "commitment",
    "entry_line",
    "format_entry",
    "is_field",
    "parse_entry",
    "record_commitment",
]

BLIND_BYTES: Final = 64
_PREFIX: Final = "consentkit/1"
_COMMIT: Final = b"consentkit/1 commit\n"
_RECORD: Final = b"consentkit/1 record "
_FIELD: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,256}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MAX_LINE: Final = 65_535


@frozen
class RecordEntry:
    """A decision was recorded; `commitment` has 32 bytes."""

    commitment: bytes


@frozen
class PolicyEntry:
    """A policy came into force for the first time; `digest` is hex."""

    digest: str
    version: str


@frozen
class NoticeEntry:
    """A notice was published; `digest` is hex."""

    digest: str


@frozen
class KeyEntry:
    """A key is used from here on (`add`) or no more (`retire`); `purpose` is `log` or `record`."""

    action: str
    purpose: str
    key_id: str
    public_key: bytes


@frozen
class KeyRevocation:
    """What the key signed from index `first_distrusted` on proves nothing."""

    purpose: str
    key_id: str
    first_distrusted: int


@frozen
class ErasedEntry:
    """The opening of entry `index` was erased on that UTC date."""

    index: int
    reason: str
    date: date


@frozen
class ExpiredEntry:
    """The openings of all records below index `size` were removed by retention, held ones spared."""

    size: int
    date: date


@frozen
class HoldEntry:
    """A hold on some openings begins (`hold`) or ends (`release`)."""

    action: str
    hold_id: str
    date: date


@frozen
class PredecessorEntry:
    """This log carries on after another one, whose last known head this is; `root` has 32 bytes."""

    log_name: str
    size: int
    root: bytes


@frozen
class UnknownEntry:
    """A well-formed entry of a kind that this version does not know."""

    fields: tuple[str, ...]


Entry = (
    RecordEntry
    | PolicyEntry
    | NoticeEntry
    | KeyEntry
    | KeyRevocation
    | ErasedEntry
    | ExpiredEntry
    | HoldEntry
    | PredecessorEntry
    | UnknownEntry
)


def commitment(record: bytes, blind: bytes) -> bytes:
    """Return the 32 bytes that commit to the record bytes under 64 bytes of `blind`."""
    return sha256(_COMMIT + blind + sha256(record).digest()).digest()


def entry_line(c: bytes) -> bytes:
    """Return the entry of a record whose commitment is `c`."""
    return _RECORD + encode64(c).encode() + b"\n"


def record_commitment(line: bytes) -> bytes | None:
    """Return the commitment in the entry of a record; None for any other entry. Quicker than `parse_entry`."""
    if not line.startswith(_RECORD) or not line.endswith(b"\n"):
        return None
    return decode64_of(line[len(_RECORD) : -1].decode("ascii", "replace"), 32)


def format_entry(entry: Entry) -> bytes:
    """Return the line of any entry. Raises InvalidLog for a field that no line can carry."""
    fields = _fields(entry)
    if bad := [field for field in fields if not _FIELD.fullmatch(field)]:
        raise InvalidLog(f"{bad[0][:80]!r} cannot be a field of a log entry")
    return " ".join(fields).encode() + b"\n"


def is_field(text: str) -> bool:
    """Say whether an entry can carry this field."""
    return _FIELD.fullmatch(text) is not None


def _fields(entry: Entry) -> tuple[str, ...]:
    match entry:
        case RecordEntry(c):
            return _PREFIX, "record", encode64(c)
        case PolicyEntry(digest, version):
            return _PREFIX, "policy", digest, version
        case NoticeEntry(digest):
            return _PREFIX, "notice", digest
        case KeyEntry(action, purpose, key_id, public_key):
            return _PREFIX, "key", action, purpose, key_id, encode64(public_key)
        case KeyRevocation(purpose, key_id, first):
            return _PREFIX, "key", "revoke", purpose, key_id, str(first)
        case ErasedEntry(index, reason, day):
            return _PREFIX, "erased", str(index), reason, day.isoformat()
        case ExpiredEntry(size, day):
            return _PREFIX, "expired", str(size), day.isoformat()
        case HoldEntry(action, hold_id, day):
            return _PREFIX, action, hold_id, day.isoformat()
        case PredecessorEntry(log_name, size, root):
            return _PREFIX, "predecessor", log_name, str(size), encode64(root)
        case UnknownEntry(fields):
            return fields


def parse_entry(line: bytes) -> Entry:
    """Return what an entry says. Raises InvalidLog for what is no entry, or a known kind with wrong fields."""
    fields = _split(line)
    kind = fields[1] if fields[0] == _PREFIX and len(fields) > 1 else ""
    if (read := _READERS.get(kind)) is None:
        return UnknownEntry(fields)
    try:
        return read(fields[2:])
    except ValueError as error:
        raise InvalidLog(f"a {kind} entry is not as it must be: {error}") from None


def _split(line: bytes) -> tuple[str, ...]:
    if len(line) > _MAX_LINE or not line.endswith(b"\n"):
        raise InvalidLog("an entry is one line that ends in a newline")
    fields = tuple(line[:-1].decode("ascii", "replace").split(" "))
    if not all(map(_FIELD.fullmatch, fields)):
        raise InvalidLog("an entry has a field that entries cannot have")
    return fields


def _take(fields: Sequence[str], count: int) -> Sequence[str]:
    if len(fields) != count:
        raise ValueError(f"it has {len(fields)} fields, not {count}")
    return fields


def _bytes32(text: str) -> bytes:
    if (data := decode64_of(text, 32)) is None:
        raise ValueError(f"{text!r} is not 32 bytes in base64url")
    return data


def _number(text: str) -> int:
    if (number := parse_decimal(text)) is None:
        raise ValueError(f"{text!r} is no number")
    return number


def _digest(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError(f"{text!r} is no SHA-256 in hex")
    return text


def _day(text: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError(f"{text!r} is no date")
    return date.fromisoformat(text)


def _read_record(fields: Sequence[str]) -> Entry:
    (c,) = _take(fields, 1)
    return RecordEntry(_bytes32(c))


def _read_policy(fields: Sequence[str]) -> Entry:
    digest, version = _take(fields, 2)
    return PolicyEntry(_digest(digest), version)


def _read_notice(fields: Sequence[str]) -> Entry:
    (digest,) = _take(fields, 1)
    return NoticeEntry(_digest(digest))


def _read_key(fields: Sequence[str]) -> Entry:
    action, purpose, key_id, rest = _take(fields, 4)
    _bytes32(key_id)
    if action == "revoke":
        return KeyRevocation(purpose, key_id, _number(rest))
    if action not in ("add", "retire"):
        raise ValueError(f"{action!r} is nothing that happens to a key")
    if thumbprint(_bytes32(rest)) != key_id:
        raise ValueError("the key id is not the thumbprint of the public key")
    return KeyEntry(action, purpose, key_id, _bytes32(rest))


def _read_erased(fields: Sequence[str]) -> Entry:
    index, reason, day = _take(fields, 3)
    return ErasedEntry(_number(index), reason, _day(day))


def _read_expired(fields: Sequence[str]) -> Entry:
    size, day = _take(fields, 2)
    return ExpiredEntry(_number(size), _day(day))


def _hold_reader(action: str) -> Callable[[Sequence[str]], Entry]:
    def read(fields: Sequence[str]) -> Entry:
        hold_id, day = _take(fields, 2)
        return HoldEntry(action, hold_id, _day(day))

    return read


def _read_predecessor(fields: Sequence[str]) -> Entry:
    log_name, size, root = _take(fields, 3)
    return PredecessorEntry(log_name, _number(size), _bytes32(root))


_READERS: Final[dict[str, Callable[[Sequence[str]], Entry]]] = {
    "record": _read_record,
    "policy": _read_policy,
    "notice": _read_notice,
    "key": _read_key,
    "erased": _read_erased,
    "expired": _read_expired,
    "hold": _hold_reader("hold"),
    "release": _hold_reader("release"),
    "predecessor": _read_predecessor,
}
