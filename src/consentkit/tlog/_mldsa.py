"""ML-DSA-44 (FIPS 204), where the installed cryptography library offers it."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:  # older versions have no such module
    MLDSA44PublicKey = None  # type: ignore[assignment,misc,unused-ignore]

PUBLIC_KEY_SIZE = 1312
SIGNATURE_SIZE = 2420


class _Key(Protocol):
    def verify(self, signature: bytes, data: bytes, /) -> None: ...


@lru_cache(maxsize=64)
def load(public_key: bytes) -> _Key | None:
    """Return the key, or None where this installation cannot verify under it."""
    if MLDSA44PublicKey is None:
        return None
    try:
        return MLDSA44PublicKey.from_public_bytes(public_key)
    except UnsupportedAlgorithm:
        return None


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` is one over `message`; never so where ML-DSA-44 is not to be had."""
    key = load(public_key)
    if key is None:
        return False
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
