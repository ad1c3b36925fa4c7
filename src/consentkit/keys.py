"""Keys: which Ed25519 public keys may be used at all, and what a signature under one proves."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consentkit.errors import InvalidKey

__all__ = ["check_public_key", "verify_ed25519"]

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Y_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _Y_ORDER_8, _P - _Y_ORDER_8})


def check_public_key(raw: bytes) -> bytes:
    """Return `raw`, the 32 bytes of an Ed25519 public key, once it is known to be safe to verify under.

    Raises InvalidKey for another length, a non-canonical encoding, bytes that are no point of the curve, and
    the points of small order, under which anybody can sign (RFC 8032 section 5.1.3; RFC 7748 section 7).
    """
    if len(raw) != 32:
        raise InvalidKey(f"an Ed25519 public key has 32 bytes, not {len(raw)}")
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P:
        raise InvalidKey("the Ed25519 public key is not in its canonical encoding")
    if y in _SMALL_ORDER_Y:
        raise InvalidKey("the Ed25519 public key is a point of small order", remedy="it proves nothing; refuse it")
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if pow(x_squared, (_P - 1) // 2, _P) != 1:
        raise InvalidKey("the Ed25519 public key is not a point of the curve")
    return raw


@lru_cache(maxsize=256)
def _public_key(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(check_public_key(raw))


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` (64 bytes) is one over `message` under the raw `public_key`.

    Raises InvalidKey for a key that `check_public_key` refuses, never for a bad signature.
    """
    try:
        _public_key(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True
