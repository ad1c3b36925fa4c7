"""Holds: what the log says of them, and which records the pack says that they are about."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from consentkit.audit.pack import HOLDS, Pack
from consentkit.audit.state import Facts, LogState
from consentkit.errors import InvalidRecord
from consentkit.evidence.holds import parse_hold
from consentkit.evidence.store import Hold

__all__ = ["check_holds"]


def check_holds(pack: Pack, state: LogState, facts: Facts) -> tuple[Hold, ...]:
    """Compare the holds of a pack with the log's entries, and return those that agree.

    Where the log has no hold, the file is not read here.
    """
    if not state.holds:
        return ()
    told = list(_read(pack))
    good = tuple(hold for hold in told if _agrees(pack, hold, state, facts))
    for name in state.holds.keys() - {hold.hold_id for hold in told}:
        placed = state.holds[name][0]
        pack.findings.add("hold-unopened", f"{HOLDS} does not open the hold {name}", HOLDS, placed)
    return good


def _read(pack: Pack) -> Iterator[Hold]:
    known = set()
    for number, line in enumerate(BytesIO(pack.fetch("holds", HOLDS, missing=None) or b""), 1):
        try:
            hold = parse_hold(line)
        except InvalidRecord as error:
            pack.findings.add("hold-malformed", f"{HOLDS}, line {number}: {error.message}", HOLDS)
            continue
        if hold.hold_id in known:
            message = f"{HOLDS}, line {number}: the hold {hold.hold_id} is told of again"
            pack.findings.add("hold-malformed", message, HOLDS)
            continue
        known.add(hold.hold_id)
        yield hold


def _agrees(pack: Pack, hold: Hold, state: LogState, facts: Facts) -> bool:
    logged = state.holds.get(hold.hold_id)
    if logged != (hold.placed, hold.released):
        if logged is None and not facts.complete:
            return False
        message = f"{HOLDS} tells of the hold {hold.hold_id} what the log does not"
        pack.findings.add("hold-mismatch", message, HOLDS, hold.placed)
        return False
    if hold.released is None and not hold.indexes:
        pack.findings.add(
            "hold-broken", f"the hold {hold.hold_id} is in force on nothing", HOLDS, hold.placed
        )
    for index in hold.indexes:
        if index in state.erased:
            message = f"record {index}, said to be on hold {hold.hold_id}, was erased"
            pack.findings.add("hold-broken", message, HOLDS, index)
    return True
