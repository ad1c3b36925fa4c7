"""The stylesheet and the script, as they are served: named by what is in them, so that they never go stale."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from importlib.resources import files

import attrs

__all__ = ["Asset", "asset", "script", "style"]

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@attrs.frozen
class Asset:
    """A file that never changes under its `name`; `media_type` is its Content-Type."""

    name: str
    media_type: str
    body: bytes = attrs.field(repr=False)


@cache
def style() -> Asset:
    """Return the stylesheet of the banner and of consentkit's own pages."""
    return _asset("consent.css", "css", "text/css; charset=utf-8")


@cache
def script() -> Asset:
    """Return the script that spares a page load; everything works without it."""
    return _asset("consent.js", "js", "text/javascript; charset=utf-8")


def asset(name: str) -> Asset | None:
    """Return what is served under a file name, or None."""
    return next((found for found in (style(), script()) if found.name == name), None)


def _asset(source: str, suffix: str, media_type: str) -> Asset:
    """Read a source file. Its served name says nothing that lists of consent banners match."""
    body = _squeezed((files("consentkit.banner") / source).read_text(encoding="utf-8")).encode("ascii")
    return Asset(f"notice.{sha256(body).hexdigest()[:16]}.{suffix}", media_type, body)


def _squeezed(text: str) -> str:
    """Drop comments that are lines of their own, indentation and empty lines, which are half of the file."""
    lines = (line.strip() for line in _COMMENT.sub("", text).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))
