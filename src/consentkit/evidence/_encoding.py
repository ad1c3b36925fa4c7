"""The text encodings that records, entries and receipts share: base64url, decimals, times, strict JSON."""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, NoReturn

_EPOCH: Final = date(1970, 1, 1)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)\.(\d{3})Z", re.ASCII)
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST: Final = {0: _ALPHABET, 2: _ALPHABET[::16], 3: _ALPHABET[::4]}
MAX_TIME: Final = 253_402_300_799_999
MAX_INT: Final = 2**63 - 1


def encode64(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode()


def decode64(text: str) -> bytes | None:
    """Return what unpadded base64url stands for, or None unless `text` is its one canonical spelling."""
    # Python takes the standard alphabet as well and ignores stray bits in the last character.
    tail = _LAST.get(len(text) % 4)
    if tail is None or "+" in text or "/" in text or text[-1:] not in tail:
        return None
    try:
        return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def decode64_of(text: str, size: int) -> bytes | None:
    """Return the `size` bytes that `text` stands for, or None."""
    data = decode64(text)
    return data if data is not None and len(data) == size else None


def parse_decimal(text: str) -> int | None:
    """Return an unsigned decimal without leading zeros, up to 2**63 - 1, or None."""
    value = int(text) if _DECIMAL.fullmatch(text) else -1
    return value if 0 <= value <= MAX_INT else None


def format_time(time: int) -> str:
    """Return UTC milliseconds like 2026-11-02T12:00:00.000Z (ISO 8601). Raises ValueError out of range."""
    if not 0 <= time <= MAX_TIME:
        raise ValueError(f"{time} is no time between 1970 and 9999")
    seconds, millis = divmod(time, 1000)
    return f"{_second(seconds)}.{millis:03}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    day = (_EPOCH + timedelta(days)).isoformat()
    return f"{day}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def parse_time(text: str) -> int:
    """Return the UTC milliseconds that `format_time` wrote. Raises ValueError for anything else."""
    if (match := _TIME.fullmatch(text)) is None:
        raise ValueError(f"{text[:40]!r} is no time")
    day, hours, minutes, seconds, rest = match.groups()
    return _day_start(day) + ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(rest)


@lru_cache(maxsize=1024)
def _day_start(day: str) -> int:
    time = (date.fromisoformat(day) - _EPOCH) // timedelta(milliseconds=1)
    if time < 0:
        raise ValueError(f"{day} is before 1970")
    return time


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no integer")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_float=_no_number, parse_constant=_no_number
)
_encoder: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def parse_json(data: bytes) -> Any:
    """Read UTF-8 JSON of objects, arrays, strings, integers, booleans and null; no member twice.

    Raises ValueError for anything else, however deep or long it is.
    """
    try:
        return _decoder.decode(data.decode())
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def format_json(value: Any) -> bytes:
    """Return compact JSON with sorted members: RFC 8785's form for what `parse_json` reads with ASCII names.

    Raises ValueError (UnicodeEncodeError) for a lone surrogate, which UTF-8 cannot carry.
    """
    return _encoder.encode(value).encode()
