"""The few text encodings that every C2SP format shares."""

from __future__ import annotations

import base64
import binascii
import re

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")

MAX_INT = 2**63 - 1


def encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes | None:
    """Decode standard padded base64, or return None unless `text` is its one canonical spelling.

    Python ignores stray bits in the last character, so that one signature would have many spellings.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if encode_base64(data) == text else None


def parse_decimal(text: str) -> int | None:
    """Parse an ASCII decimal without sign or leading zero, up to 2**63 - 1; None for anything else."""
    if not _DECIMAL.fullmatch(text):
        return None
    value = int(text)
    return value if value <= MAX_INT else None
