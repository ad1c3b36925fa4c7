"""One spelling for each document (RFC 8785), and the digests that name it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

import rfc8785

__all__ = ["canonical_form", "digest_of", "short_digest"]

_SHORT = 8


def canonical_form(document: Mapping[str, Any]) -> bytes:
    """Return the RFC 8785 form of a JSON document: the same bytes however it was spelt.

    Raises ValueError for what JSON or RFC 8785 cannot say (NaN, integers beyond 2**53, lone surrogates).
    """
    return rfc8785.dumps(dict(document))


def digest_of(canonical: bytes) -> str:
    """Return the policy's digest: SHA-256 over its canonical form, in lower-case hex."""
    return sha256(canonical).hexdigest()


@lru_cache(maxsize=1024)
def short_digest(digest: str) -> str:
    """Return the 8 characters of base64url that stand for `digest` where room is short (48 bits of it)."""
    return urlsafe_b64encode(bytes.fromhex(digest)).decode()[:_SHORT]
