"""What a ledger that is open tells of its log: its head, its entries, and what opens them."""

from __future__ import annotations

import time

from consentkit.errors import LedgerError
from consentkit.evidence._gone import Fate
from consentkit.evidence._writing import Writer
from consentkit.evidence.batch import Appended
from consentkit.evidence.current import records
from consentkit.evidence.heads import with_cosignatures
from consentkit.evidence.opening import Opening
from consentkit.evidence.receipt import Receipt, make_receipt
from consentkit.evidence.record import disclosed, parse_record

__all__ = ["Reader"]


class Reader(Writer):
    """The part of a ledger that reads: every answer is of one consistent state, other processes' entries included."""

    @property
    def log_name(self) -> str:
        """The log's name: C2SP's origin line."""
        return self._keys.log_name

    @property
    def size(self) -> int:
        """Number of entries, those of other processes included."""
        with self._view() as view:
            return self._head(view).size

    def checkpoint(self) -> bytes:
        """Return the log's signed head, a C2SP checkpoint, with the cosignatures that it has so far."""
        with self._view() as view:
            return with_cosignatures(view, self._head(view))

    def cosigned(self, limit: int | None = None) -> tuple[bytes, ...]:
        """Return the checkpoints that witnesses cosigned, newest first, `limit` at most."""
        with self._view() as view:
            return tuple(note for _, note in view.cosigned(limit=limit))

    def policies(self) -> tuple[bytes, ...]:
        """Return the canonical forms of all policies that were in force, oldest first."""
        with self._view() as view:
            return tuple(body for _, body in view.published("policy"))

    def has_policy(self, digest: str) -> bool:
        """Say whether a policy was published, by its digest in hex."""
        with self._view() as view:
            return view.has("policy", digest)

    def has_notice(self, digest: str) -> bool:
        """Say whether a notice was published, by its digest in hex."""
        with self._view() as view:
            return view.has("notice", digest)

    def usable(self, log_name: str, index: int) -> bool:
        """Say whether a decision that names this log and entry can still be proven: not once it is erased.

        Reads the store only for an index beyond what this process has seen, and when the lag is over. While the store
        cannot be read then, what cannot be proven counts as gone.
        """
        if log_name != self.log_name or index < 0:
            return False
        try:
            if index >= self._size or time.monotonic() >= self._known_until:
                self._look()
            fate = self._gone.fate(index)
            if fate is Fate.EXPIRED:  # a hold may have spared it
                return self.opening(index) is not None
        except LedgerError:
            return False
        return fate is Fate.THERE and index < self._size

    def entries(self, start: int, stop: int) -> tuple[bytes, ...]:
        """Return entries `start` up to `stop`, as many as there are."""
        with self._view() as view:
            return tuple(view.entries(start, stop))

    def opening(self, index: int) -> Opening | None:
        """Return what opens entry `index`; None when it records no decision, or does not exist."""
        with self._view() as view:
            return next(view.openings(index, index + 1), None)

    def is_of_history(self, log_name: str, index: int, history: str) -> bool:
        """Say whether this log's entry `index` records a decision of that history, by its pseudonym."""
        opening = self.opening(index) if self.usable(log_name, index) else None
        if opening is None:
            return False
        claims = parse_record(opening.record).claims
        return disclosed(claims, opening.disclosures).get("history") == history

    def history(self, history: str) -> tuple[Appended, ...]:
        """Return the records that there are of a history, by its pseudonym, oldest first."""
        with self._view() as view:
            return records(view, history)

    def receipt(self, index: int) -> Receipt | None:
        """Return the receipt of the record at `index`, with proofs under the present head; None if it has none."""
        with self._view() as view:
            return make_receipt(view, self._head(view), index)
