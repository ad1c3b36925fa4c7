"""Histories: the records of one visitor, numbered from 0, each naming the commitment of the one before."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import define, field

from consentkit.audit.findings import Findings
from consentkit.audit.openings import Link
from consentkit.evidence.export import openings_path
from consentkit.tlog import TILE_WIDTH

__all__ = ["MAX_SKEW", "Histories", "Times"]

MAX_SKEW = timedelta(seconds=300)
"""How far a record may be dated before one that the log has earlier."""


@define
class Histories:
    """Follows every history through the log, in order of index.

    `tails` maps the commitment of each history's last record to its number and pseudonym, `last` each disclosed
    pseudonym to the number of its last record, and `closed` holds commitments of erased and expired records that
    nothing has followed yet. Links are checked even where a pack does not disclose whose records they join.
    `gaps` is set where entries could not be had at all, so that a record may seem to follow nothing.
    """

    findings: Findings
    tails: dict[bytes, tuple[int, str | None]] = field(factory=dict)
    last: dict[str, int] = field(factory=dict)
    closed: set[bytes] = field(factory=set)
    undisclosed: int = 0
    gaps: bool = False

    def take(self, link: Link) -> None:
        """Take in the next record."""
        self.undisclosed += link.history is None
        if problem := self._problem(link):
            message = f"record {link.index}, number {link.sequence} of its history, {problem[1]}"
            self.findings.add(problem[0], message, openings_path(link.index // TILE_WIDTH), link.index)
        self.tails[link.commitment] = link.sequence, link.history
        if link.history is not None:
            self.last[link.history] = max(link.sequence, self.last.get(link.history, 0))

    def _problem(self, link: Link) -> tuple[str, str] | None:
        """Return id and words of what is wrong with a link, having used up the tail that it follows."""
        known = self.last.get(link.history) if link.history is not None else None
        if known is not None and link.sequence <= known:
            return "history-repeated", f"comes after number {known} of the same history"
        if link.previous is None:
            return None
        tail = self.tails.pop(link.previous, None)
        if tail is None:
            return self._untold(link, link.previous, known)
        sequence, history = tail
        if sequence + 1 != link.sequence:
            return "history-broken", f"follows number {sequence}"
        if None not in (history, link.history) and history != link.history:
            return "history-broken", "follows a record of another history"
        return None

    def _untold(self, link: Link, previous: bytes, known: int | None) -> tuple[str, str] | None:
        """Judge a link to no record that was read: it may be to one that is erased or expired."""
        if previous not in self.closed:
            words = "follows a record that the log does not have or that another one follows"
            return None if self.gaps else ("history-gap", words)
        self.closed.remove(previous)
        return ("history-broken", "leaves out the one before") if known == link.sequence - 1 else None


@define
class Times:
    """Notices records that are dated long before one that stands earlier in the log."""

    findings: Findings
    latest: datetime | None = None

    def take(self, link: Link) -> None:
        """Take in the next record."""
        if self.latest is not None and link.time < self.latest - MAX_SKEW:
            message = f"record {link.index} is dated {self.latest - link.time} before an earlier one"
            self.findings.add("time-backwards", message, openings_path(link.index // TILE_WIDTH), link.index)
        if self.latest is None or link.time > self.latest:
            self.latest = link.time
