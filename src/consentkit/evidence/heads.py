"""The log's heads as they are handed out: with the cosignatures that were made for them, and for no other."""

from __future__ import annotations

from consentkit.evidence.store import Head, View
from consentkit.tlog import parse_note

__all__ = ["best_covering", "with_cosignatures"]

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
