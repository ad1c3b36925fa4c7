"""Small pieces of sentences that explain what is wrong with a policy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["choice", "nearest", "quoted", "respelt"]

_FEW, _LONG = 6, 100


def quoted(names: Iterable[object]) -> str:
    """Return the names in quotation marks, separated by commas."""
    return ", ".join(f'"{name}"' for name in names)


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be, if one is close."""
    if not isinstance(name, str) or len(name) > _LONG:
        return None
    spelt = {one.lower().replace("-", "_"): one for one in known}
    found = get_close_matches(name.lower().replace("-", "_"), spelt, n=1, cutoff=0.7)
    return spelt[found[0]] if found else None


def choice(name: object, known: Iterable[str]) -> str:
    """Return what may stand in place of `name`: all there is, the most likely one first."""
    there = list(known)
    near = nearest(name, there)
    if near is not None:
        return f'"{near}" (one of {quoted(there)})' if 1 < len(there) <= _FEW else f'"{near}"'
    return f"one of {quoted(there)}" if len(there) > 1 else quoted(there) or "none: there is none yet"


def respelt(text: str, pattern: str) -> str | None:
    """Return `text` in a usual spelling that fits `pattern`, if there is one: trimmed, small, capital, joined."""
    if len(text) > _LONG:
        return None
    bare = text.strip()
    small = bare.lower()
    candidates = (
        bare,
        small,
        bare.upper(),
        re.sub(r"^(\d+)\s*([a-z]+)$", r"\1 \2", small),
        re.sub(r"^https?://", "", small).split("/")[0],
        joined := re.sub(r"[^a-z0-9_-]+", "-", small).strip("-_"),
        joined.lstrip("-_0123456789"),
    )
    return next((one for one in candidates if one != text and re.search(pattern, one)), None)
