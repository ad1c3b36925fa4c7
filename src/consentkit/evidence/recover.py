"""Carrying on after a loss: a new log under a new name, whose first entry says where the old one ended.

A log whose newest entries are gone can never be written to again: whatever came next would contradict what was
signed before. What is left of it is set aside, for auditors; the new log names it, with the size and the root of
the newest head that anybody still has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from attrs import frozen

from consentkit.errors import InvalidNote, LedgerCorrupt, LedgerError, LedgerMissing
from consentkit.evidence.entry import PredecessorEntry
from consentkit.evidence.highwater import open_mark
from consentkit.evidence.ledger import Ledger, system_clock
from consentkit.evidence.store import Store, open_store
from consentkit.keys import Keys
from consentkit.tlog import Checkpoint, VerifierKey, open_checkpoint

__all__ = ["Recovered", "recover"]

_NOTHING_KNOWN: Final = "give a checkpoint that was kept: of a pack, a witness or the high-water mark"


@frozen
class Recovered:
    """What came of a recovery. `lost` counts the entries of the old log that its database does not hold any more.

    `old_url` is where the old ledger is from now on, None where there was none.
    """

    predecessor: PredecessorEntry
    old_url: str | None
    lost: int


def recover(
    url: str,
    *,
    old_key: VerifierKey,
    keys: Keys,
    high_water: str | None = None,
    checkpoints: Sequence[bytes] = (),
    clock: Callable[[], int] = system_clock,
    subject_keys: str | None = None,
) -> Recovered:
    """Set the ledger at `url` aside and begin a new one in its place, with `keys`, that carries on after it.

    `old_key` verifies the old log's heads. Its newest head is sought in the database, at `high_water` and among
    `checkpoints`, which were kept elsewhere. The new log's openings are sealed under the same `subject_keys` as the
    old one's, where it has some. Nothing else may have the ledger open. Raises LedgerError when no head
    is found, or when the ledger is another log's; LedgerUnavailable when it is in use; InvalidNote for a checkpoint
    that the old log did not sign.
    """
    if keys.log_name == old_key.name:
        raise LedgerError(
            f"{old_key.name} is the old log's name",
            remedy="give the new log another name, such as one with a year",
        )
    store = open_store(url)
    try:
        there, held = _stored_head(store, old_key)
        newest = max(
            [held, *_kept_heads(old_key, high_water, checkpoints)], key=lambda one: one.size if one else -1
        )
        if newest is None:
            raise LedgerError(
                f"no head of the log {old_key.name} is left to go on from", remedy=_NOTHING_KNOWN
            )
        old_url = store.set_aside() if there else None
    finally:
        store.release()
    predecessor = PredecessorEntry(newest.log_name, newest.size, newest.root)
    Ledger.open(
        url, keys=keys, clock=clock, high_water=high_water, predecessor=predecessor, subject_keys=subject_keys
    ).close()
    return Recovered(predecessor, old_url, newest.size - (held.size if held else 0))


def _stored_head(store: Store, old_key: VerifierKey) -> tuple[bool, Checkpoint | None]:
    """Say whether there is anything to be set aside, and return its head if that can be read."""
    try:
        with store.view() as view:
            head = view.head()
    except LedgerMissing:
        return False, None
    except LedgerCorrupt:
        return True, None
    if head is None:
        return False, None
    try:
        return True, open_checkpoint(head.checkpoint, old_key)
    except InvalidNote as error:
        raise LedgerError(
            f"the ledger is not that of {old_key.name}: {error.message}",
            remedy="use the keys of the log that the ledger holds",
        ) from error


def _kept_heads(
    old_key: VerifierKey, high_water: str | None, checkpoints: Sequence[bytes]
) -> list[Checkpoint]:
    found = [open_checkpoint(note, old_key) for note in checkpoints]
    if high_water is not None and (mark := open_mark(high_water, old_key.name).read()) is not None:
        with suppress(InvalidNote):  # damaged: it tells nothing
            found.append(open_checkpoint(mark, old_key))
    return found
