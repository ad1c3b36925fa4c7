"""What is done to openings once they are there: erased, expired, held and released.

Each is worked out on one state of the store and entered by the sequencer's way: where the log has moved on before
that is written, it is worked out again. So no hold, no record and no erasure can come in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from typing import Final

from attrs import field, frozen

from consentkit.errors import LedgerError
from consentkit.evidence._encoding import parse_time
from consentkit.evidence.entry import ErasedEntry, ExpiredEntry, HoldEntry, is_field
from consentkit.evidence.opening import Opening
from consentkit.evidence.record import parse_record
from consentkit.evidence.store import Hold, View

__all__ = [
    "MAX_SKEW",
    "Action",
    "Erasure",
    "Expiry",
    "Placing",
    "Plan",
    "Releasing",
    "check_field",
    "recorded_at",
]

MAX_SKEW: Final = 300_000
"""How far a record's time may lie behind the newest record's, in milliseconds."""

_SHUFFLE_BYTES: Final = 16
_FIELD_REMEDY: Final = "1 to 256 letters, digits and . _ : / + = - make one, and everybody may read it"


def check_field(text: str, what: str) -> None:
    """Refuse a reason or a hold's name that no entry can carry. Raises LedgerError."""
    if not is_field(text):
        raise LedgerError(f"{text[:80]!r} cannot be the {what}", remedy=_FIELD_REMEDY)


@frozen
class Plan:
    """What is to be entered, and what each entry does to openings.

    `entries` come with the range of openings that goes with them, None where none does. `indexes` are what is erased
    or held, `spared` held records within the ranges.
    """

    entries: tuple[tuple[ErasedEntry | ExpiredEntry | HoldEntry, tuple[int, int] | None], ...] = ()
    indexes: tuple[int, ...] = ()
    spared: tuple[int, ...] = ()


@frozen(eq=False)
class Erasure:
    """Erase every record of these histories. `random` gives as many random bytes as it is asked for."""

    histories: tuple[str, ...] = field(repr=False)
    reason: str
    random: Callable[[int], bytes] = field(repr=False)

    def plan(self, view: View, today: date) -> Plan:
        """Enter one tombstone for each record, in an order that tells nothing. Raises LedgerError for a held one."""
        indexes = sorted(index for history in self.histories for index in view.indexes(history))
        _refuse_held(indexes, _held(view))
        shuffled = sorted(indexes, key=lambda _: self.random(_SHUFFLE_BYTES))
        tombstones = [(ErasedEntry(index, self.reason, today), (index, index + 1)) for index in shuffled]
        return Plan(tuple(tombstones), tuple(indexes))


@frozen(eq=False)
class Expiry:
    """Remove the openings of all records up to the first one that was made at `before` or later, UTC milliseconds."""

    before: int

    def plan(self, view: View, today: date) -> Plan:
        """Enter how far that is, unless everything below is gone already. What is held stays."""
        head = view.head()
        size = _older(view, head.size if head else 0, self.before)
        held = tuple(sorted(index for index in _held(view) if index < size))
        spared = frozenset(held)
        if all(opening.index in spared for opening in view.openings(0, size)):
            return Plan()
        return Plan(((ExpiredEntry(size, today), (0, size)),), (size,), spared=held)


@frozen(eq=False)
class Placing:
    """Place a hold on the records that there are of some histories, and on some more by their indexes."""

    hold_id: str
    histories: tuple[str, ...] = field(repr=False)
    indexes: tuple[int, ...]

    def plan(self, view: View, today: date) -> Plan:
        """Enter the hold. Raises LedgerError for a hold that was there before, and for what is no record any more."""
        if any(hold.hold_id == self.hold_id for hold in view.holds()):
            raise LedgerError(f"there was a hold {self.hold_id} before", remedy="give the hold another name")
        for index in self.indexes:
            if next(view.openings(index, index + 1), None) is None:
                raise LedgerError(f"entry {index} is no record, or its opening is gone")
        found = {index for history in self.histories for index in view.indexes(history)}
        indexes = tuple(sorted(found | set(self.indexes)))
        if not indexes:
            raise LedgerError(
                "there is no record to be held", remedy="name a history that has records, or indexes"
            )
        return Plan(((HoldEntry("hold", self.hold_id, today), None),), indexes)


@frozen(eq=False)
class Releasing:
    """Release a hold."""

    hold_id: str

    def plan(self, view: View, today: date) -> Plan:
        """Enter the release. Raises LedgerError for a hold that is not in force."""
        if all(hold.hold_id != self.hold_id or hold.released is not None for hold in view.holds()):
            raise LedgerError(f"there is no hold {self.hold_id} in force")
        return Plan(((HoldEntry("release", self.hold_id, today), None),))


Action = Erasure | Expiry | Placing | Releasing


def recorded_at(opening: Opening) -> int:
    """Return the time that a record gives, UTC milliseconds."""
    return parse_time(parse_record(opening.record).claims["time"])


def _held(view: View) -> Mapping[int, str]:
    holds: Iterable[Hold] = (hold for hold in view.holds() if hold.released is None)
    return {index: hold.hold_id for hold in holds for index in hold.indexes}


def _refuse_held(indexes: Collection[int], held: Mapping[int, str]) -> None:
    names = sorted({held[index] for index in indexes if index in held})
    if names:
        raise LedgerError(
            f"nothing was erased: the hold {', '.join(names)} is on records of it",
            remedy="release the hold first, once its reason is gone",
        )


def _older(view: View, size: int, before: int) -> int:
    """Return the index of the first record that is not older than `before`, or `size`.

    Times follow indexes but for the skew: where a record is older by more than that, so is everything before it.
    """
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        opening = next(view.openings(middle, high), None)
        if opening is not None and recorded_at(opening) < before - MAX_SKEW:
            low = opening.index + 1
        else:
            high = middle
    late = (opening.index for opening in view.openings(low, size) if recorded_at(opening) >= before)
    return next(late, size)
