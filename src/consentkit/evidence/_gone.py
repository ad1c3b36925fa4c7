"""What a process knows of erased and expired records, so that most requests ask the store nothing."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from attrs import define, field

from consentkit.evidence.store import Removal

__all__ = ["Fate", "Gone"]


class Fate(Enum):
    """What is known of an entry's opening."""

    THERE = "there"
    GONE = "gone"
    EXPIRED = "expired"
    """Gone, unless a hold spared it."""


@define(eq=False)
class Gone:
    """The removals of all entries below index `seen`, and perhaps some more: one bit for each erased record."""

    seen: int = 0
    _erased: bytearray = field(factory=bytearray, init=False)
    _expired_below: int = field(default=0, init=False)

    def take(self, removals: Iterable[Removal]) -> None:
        """Take note of removals; those that are known already change nothing."""
        for _, first, stop in removals:
            if stop - first > 1:
                self._expired_below = max(self._expired_below, stop)
            else:
                self._erase(first)

    def _erase(self, index: int) -> None:
        if (missing := index // 8 + 1 - len(self._erased)) > 0:
            self._erased.extend(bytes(missing))
        self._erased[index // 8] |= 1 << index % 8

    def fate(self, index: int) -> Fate:
        """Tell what became of the opening of entry `index`."""
        place = index >> 3
        if place < len(self._erased) and self._erased[place] >> (index & 7) & 1:
            return Fate.GONE
        return Fate.EXPIRED if index < self._expired_below else Fate.THERE
