"""Expecting: one way to say what must be true, and what was found instead."""

from __future__ import annotations

__all__ = ["Wrong", "expect"]


class Wrong(Exception):
    """Something is not as it must be: what, what was expected, and what was found."""

    def __init__(self, what: str, expected: object, got: object) -> None:
        super().__init__(what)
        self.what: str = what
        self.expected: object = expected
        self.got: object = got


def expect(what: str, got: object, expected: object) -> None:
    """Raise Wrong unless `got` is what was expected."""
    if got != expected:
        raise Wrong(what, expected, got)
