"""Faults as rows of a table: how often each was tried, how often it struck, and what it cost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import Factory, define, frozen

from tests.faults.history import Seen, Verdict, judge

HEADINGS = ("fault", "rounds", "fired", "acknowledged", "lost", "verdict")


@define
class Row:
    """What one kind of fault did. `must_lose` marks a setting that is unsafe, and shows that the checker notices."""

    fault: str
    must_lose: bool = False
    rounds: int = 0
    fired: int = 0
    acknowledged: int = 0
    lost: int = 0
    wrong: list[str] = Factory(list)

    def take(self, verdict: Verdict) -> None:
        """Count the verdict on one ledger."""
        self.acknowledged += verdict.acknowledged
        self.lost += verdict.lost
        self.wrong += verdict.wrong

    def judge(self, seen: Seen, url: str) -> None:
        """Have a ledger judged, and count that."""
        with tempfile.TemporaryDirectory(prefix="ckpack") as folder:
            self.take(judge(seen, url, Path(folder)))

    @property
    def trouble(self) -> str | None:
        """Why this row is no success; None if it is one."""
        if not self.fired:
            return "the fault never struck"
        if not self.acknowledged:
            return "nothing was ever acknowledged"
        if self.must_lose:
            return None if self.lost and self.wrong else "nothing was found, where something must be"
        if self.lost or self.wrong:
            return "\n".join(self.wrong[:10])
        return None

    @property
    def verdict(self) -> str:
        """The verdict in a few words."""
        if self.trouble is not None:
            return "FAILED"
        return "noticed, as it must be" if self.must_lose else "holds"

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        counts = (self.rounds, self.fired, self.acknowledged, self.lost)
        return (self.fault, *(f"{count:,}" for count in counts), self.verdict)


@frozen
class Scenario:
    """A fault, and how to make it strike: `run` plays so many rounds and counts in a row.

    `quick` rounds belong to the everyday tests, none if 0; `slow` to the long ones. `impossible` says why it
    cannot be tried here, None if it can.
    """

    fault: str
    run: Callable[[Row, int], None]
    slow: int
    quick: int = 0
    must_lose: bool = False
    impossible: Callable[[], str | None] = lambda: None

    def play(self, rounds: int) -> Row:
        """Play it, and return the row."""
        row = Row(self.fault, self.must_lose)
        self.run(row, rounds)
        return row


def as_text(rows: Iterable[tuple[str, ...]]) -> str:
    """Lay out cells in columns, numbers to the right."""
    lines = [HEADINGS, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 0 < place < 5 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
