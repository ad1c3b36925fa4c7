"""Caching headers of a response that depends on its visitor (RFC 9110 section 12.5.5, RFC 9111, RFC 9213)."""

from __future__ import annotations

import re
from functools import lru_cache

from consentkit.web.request import Headers

__all__ = ["VARY", "VARY_TEXT", "merge_vary", "no_store", "personal", "rewritten"]

VARY = (b"Cookie", b"Sec-GPC")
"""What consent is read from."""
VARY_TEXT = (*VARY, b"Accept-Language")
"""The same for a response that holds texts for the visitor."""

# What tells a shared cache to keep a response whatever Cache-Control says; RFC 9213 lets each CDN have its own.
_OVERRIDES = frozenset({b"surrogate-control", b"x-accel-expires", b"edge-control"})
_CDN_SUFFIX = b"cdn-cache-control"
# Validators and digests of a body that is no longer the one they were made for.
_OF_BODY = frozenset(
    {
        b"etag",
        b"last-modified",
        b"accept-ranges",
        b"content-md5",
        b"digest",
        b"content-digest",
        b"repr-digest",
    }
)
_DIRECTIVE = re.compile(rb'(?:[^,"]|"(?:[^"\\]|\\.)*")+')


@lru_cache(maxsize=256)
def merge_vary(values: tuple[bytes, ...], add: tuple[bytes, ...]) -> bytes:
    """Add field names to `Vary`: without regard to case, in order, and leaving a `*` as it is."""
    names = [name for value in values for part in value.split(b",") if (name := part.strip(b" \t"))]
    if b"*" in names:
        return b"*"
    have = {name.lower() for name in names}
    return b", ".join([*names, *(name for name in add if name.lower() not in have)])


def personal(headers: Headers, vary: tuple[bytes, ...] = VARY) -> list[tuple[bytes, bytes]]:
    """Make a response belong to its visitor: `Vary`, `private`, and nothing that tells a CDN otherwise."""
    kept: list[tuple[bytes, bytes]] = []
    varies: list[bytes] = []
    control: list[bytes] = []
    for header in headers:
        name = header[0].lower()
        if name == b"vary":
            varies.append(header[1])
        elif name == b"cache-control":
            control.append(header[1])
        elif name not in _OVERRIDES and not name.endswith(_CDN_SUFFIX):
            kept.append(header)
    kept.append((b"cache-control", _private(tuple(control))))
    kept.append((b"vary", merge_vary(tuple(varies), vary)))
    return kept


@lru_cache(maxsize=256)
def _private(values: tuple[bytes, ...]) -> bytes:
    if not values:
        return b"private"
    directives = [part.strip() for value in values for part in _DIRECTIVE.findall(value)]
    names = [directive.partition(b"=")[0].strip().lower() for directive in directives]
    # `private="x"` only speaks of the field x, so it does not keep a shared cache from storing the rest.
    closed = any(d.lower() in (b"private", b"no-store") for d in directives)
    kept = [
        d for d, name in zip(directives, names, strict=True) if d and name not in (b"public", b"s-maxage")
    ]
    return b", ".join(
        kept if closed else [*(d for d in kept if not d.lower().startswith(b"private")), b"private"]
    )


def no_store(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Replace all of `Cache-Control`: a response that sets consentkit's cookie is kept by nobody."""
    kept = [
        header for header in headers if header[0].lower() not in (b"cache-control", b"expires", b"pragma")
    ]
    return [*kept, (b"cache-control", b"private, no-store")]


def rewritten(headers: Headers, length: int | None) -> list[tuple[bytes, bytes]]:
    """Take from a response what described its former body, and give it the length of the new one, if known."""
    kept = [header for header in headers if not _describes_body(header[0].lower())]
    return kept if length is None else [*kept, (b"content-length", str(length).encode())]


def _describes_body(name: bytes) -> bool:
    return name == b"content-length" or name in _OF_BODY
