"""The log's heads: whether the stored one is what was signed, and how they are handed out, with cosignatures."""

from __future__ import annotations

from consentkit.errors import InvalidNote, LedgerCorrupt, LedgerError, LedgerRolledBack
from consentkit.evidence.hashes import check_head
from consentkit.evidence.store import Head, View
from consentkit.tlog import Checkpoint, VerifierKey, open_checkpoint, parse_note

__all__ = ["best_covering", "check_stored", "foreign", "with_cosignatures"]

_LOOK_BACK = 64
"""Among how many of the newest cosigned checkpoints the best one is sought."""


def with_cosignatures(view: View, head: Head) -> bytes:
    """Return the newest checkpoint, with the cosignatures that it has by now."""
    size, note = next(view.cosigned(head.size, 1), (0, b""))
    return note if size == head.size else head.checkpoint


def best_covering(view: View, head: Head, index: int) -> tuple[int, bytes]:
    """Return size and note of the checkpoint by which an entry is proven best.

    That is the newest of those that most witnesses cosigned, and the head where none of them reaches so far.
    """
    covering = [(head.size, head.checkpoint), *view.cosigned(index + 1, _LOOK_BACK)]
    return max(covering, key=lambda one: (len(parse_note(one[1])[1]), one[0]))


def check_stored(view: View, head: Head, key: VerifierKey, *, least: int) -> None:
    """Check that a stored head is signed with the log's key, and that the stored tree is the one it signs.

    Raises LedgerCorrupt if not, LedgerError for another log's head, LedgerRolledBack for one of fewer entries
    than `least`, which this process has seen.
    """
    try:
        checkpoint = open_checkpoint(head.checkpoint, key)
    except InvalidNote as error:
        raise foreign(head, key.name) or LedgerCorrupt(
            f"the ledger's head is not signed with this log's key: {error.message}",
            remedy="use the keys that belong to the ledger",
        ) from error
    if (checkpoint.size, checkpoint.root) != (head.size, head.frontier.root()):
        raise LedgerCorrupt("the ledger's head is not the one that was signed")
    if head.size < least:
        raise LedgerRolledBack(
            f"the ledger has {head.size} entries, and had {least} before it was opened anew",
            remedy="find out which copy of the database this is, and go back to the right one",
        )
    check_head(view, head)


def foreign(head: Head, log_name: str) -> LedgerError | None:
    """Return the error to raise for a head of another log than the one called `log_name`; None if it is not."""
    try:
        name = Checkpoint.parse(parse_note(head.checkpoint)[0]).log_name
    except InvalidNote:
        return None
    if name == log_name:
        return None
    return LedgerError(
        f"the ledger is that of the log {name}, and the keys are those of {log_name}",
        remedy="use the keys of that log, or another file for a new ledger",
    )
