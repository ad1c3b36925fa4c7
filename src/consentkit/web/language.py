"""Which of a policy's languages a visitor reads best (RFC 9110 section 12.5.4, RFC 4647 section 3.4)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from consentkit.web.request import Request

__all__ = ["language_of", "negotiate"]

_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*[qQ]\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?"
)
_MAX_BYTES = 512
_MAX_RANGES = 32


def language_of(request: Request, languages: tuple[str, ...]) -> str:
    """Choose among `languages`, the first being the default, by the request's `Accept-Language`."""
    values = request.header_values(b"accept-language")
    return negotiate(values[0], languages) if len(values) == 1 else languages[0]


@lru_cache(maxsize=1024)
def negotiate(header: bytes, languages: tuple[str, ...]) -> str:
    """Choose among `languages` by the value of an `Accept-Language` field; malformed parts do not count.

    A range matches a language that it is a prefix of, or that is a prefix of it: `fr-CA` finds `fr`, and `pt`
    finds `pt-BR`. The heaviest range wins, then the first named, then the order of `languages`.
    """
    refused: set[str] = set()
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(header[:_MAX_BYTES].decode("latin-1").split(",")[:_MAX_RANGES]):
        match = _RANGE.fullmatch(part)
        if match is None:
            continue
        weight = float(match[2] or 1)
        if weight == 0:
            refused.add(match[1].lower())
        else:
            wanted.append((-weight, place, match[1].lower()))
    offered = [language for language in languages if language.lower() not in refused]
    for _, _, tag in sorted(wanted):
        found = _lookup(tag, offered)
        if found is not None:
            return found
    return languages[0]


def _lookup(tag: str, offered: Sequence[str]) -> str | None:
    if tag == "*":
        return offered[0] if offered else None
    parts = tag.split("-")
    for length in range(len(parts), 0, -1):
        prefix = "-".join(parts[:length])
        for language in offered:
            if language.lower() == prefix or language.lower().startswith(f"{prefix}-"):
                return language
    return None
