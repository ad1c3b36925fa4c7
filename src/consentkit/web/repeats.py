"""Requests that are made again: the `Idempotency-Key` of a decision, and what it stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import attrs

from consentkit.consent.decision import Answer
from consentkit.evidence.batch import Once
from consentkit.web.request import Request

__all__ = ["LIFETIME", "WEAK_KEY", "idempotency_key", "onces"]

LIFETIME: Final = 24 * 3_600_000
"""For how long a request is remembered, in milliseconds."""

WEAK_KEY: Final = (
    "an Idempotency-Key is one key of 1 to 255 printable ASCII characters, and from a visitor without an id cookie "
    "it has 128 random bits, such as 32 hex digits"
)
"""What is said of a key that cannot be used."""

_KEY: Final = re.compile(rb'"?([\x21\x23-\x7e]{1,255})"?')
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_BASE64: Final = re.compile(r"[A-Za-z0-9_+/-]+=*")
_BITS: Final = 128


def idempotency_key(request: Request) -> str | None:
    """Give the key of a request, bare or quoted (draft-ietf-httpapi-idempotency-key-header); None for none.

    Gives an empty one, which is no use, for more than one and for one that cannot be: a refusal must not fail for it.
    """
    values = request.header_values(b"idempotency-key")
    if not values:
        return None
    match = _KEY.fullmatch(values[0].strip(b" \t")) if len(values) == 1 else None
    return "" if match is None else match[1].decode("ascii")


def is_strong(key: str) -> bool:
    """Tell whether a key can have 128 random bits, so that nobody meets another visitor's: a UUID has 122."""
    if _UUID.fullmatch(key):
        return False
    if _HEX.fullmatch(key):
        return 4 * len(key) >= _BITS
    return bool(_BASE64.fullmatch(key)) and 6 * len(key.rstrip("=")) >= _BITS


def onces(key: str, answer: Answer, site: str, history: str | None, now: int) -> Iterator[Once]:
    """Give what a request may be known by: under its visitor's history first, then under its key alone.

    `history` is None for a visitor without an id cookie. Gives nothing where the key is weak and there is no
    history to tell visitors apart by.
    """
    said = json.dumps(attrs.asdict(answer), sort_keys=True, default=dict).encode("ascii")
    digest = sha256(b"consentkit/1 request\n" + said).digest()
    scopes = [history] if history is not None and key else []
    if is_strong(key):
        scopes.append("")
    for scope in scopes:
        known_by = f"consentkit/1 idempotency\n{site}\n{scope}\n{key}".encode()
        yield Once(sha256(known_by).digest(), digest, now + LIFETIME)
