"""Name patterns for cookies and storage keys: `*` stands for any run of characters, everything else for itself."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["compile_pattern", "contains", "overlap", "pattern_source", "specificity"]

_ANY = "\0"  # no cookie name and no storage key has it, so only a `*` can match it


def pattern_source(pattern: str) -> str:
    """Return the regular expression for `pattern`, without groups that capture.

    Each `*` before a literal is atomic and takes the first place where the literal fits, which decides a glob
    and keeps matching linear in the name for each star, whatever a visitor sends.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return re.escape(first)
    middle = "".join(f"(?>.*?{re.escape(part)})" for part in rest[:-1] if part)
    return f"{re.escape(first)}{middle}.*{re.escape(rest[-1])}"


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the compiled form of `pattern`, for `fullmatch`."""
    return re.compile(pattern_source(pattern), re.DOTALL)


def contains(outer: str, inner: str) -> bool:
    """Say whether every name that `inner` matches is matched by `outer` too.

    Exact: a star of `inner` can only be swallowed whole by a star of `outer`.
    """
    return compile_pattern(outer).fullmatch(inner.replace("*", _ANY)) is not None


def overlap(one: str, other: str) -> bool:
    """Say whether some name is matched by both patterns."""
    if "*" not in one:
        return compile_pattern(other).fullmatch(one) is not None
    if "*" not in other:
        return compile_pattern(one).fullmatch(other) is not None
    # Both have stars: what stands before the first and after the last must agree; anything between can be had
    # by writing one middle after the other.
    (a, b), (c, d) = _ends(one), _ends(other)
    return (a.startswith(c) or c.startswith(a)) and (b.endswith(d) or d.endswith(b))


def specificity(pattern: str) -> tuple[int, int, str]:
    """Return a sort key that puts the pattern that says most first: longest literal beginning, then most text."""
    return -len(pattern.partition("*")[0]), -len(pattern.replace("*", "")), pattern


def _ends(pattern: str) -> tuple[str, str]:
    return pattern.partition("*")[0], pattern.rpartition("*")[2]
