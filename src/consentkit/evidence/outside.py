"""What is kept of a ledger outside of it: heads at witnesses, the high-water mark, and the log in public."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from consentkit.errors import LedgerUnavailable
from consentkit.evidence._follower import Follower, Source
from consentkit.evidence.bucket import open_bucket
from consentkit.evidence.publication import Publisher
from consentkit.evidence.store import Head, View
from consentkit.evidence.witness import Submitter, Witness
from consentkit.tlog import VerifierKey

if TYPE_CHECKING:
    from consentkit.evidence.highwater import Mark, MarkKeeper

__all__ = ["Outside"]

_log = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 3.0


class Outside:
    """Those who follow the log, each in its own thread, so that none of them waits for another.

    No thread is started for a ledger that has neither witness nor mark, and is published nowhere.
    """

    def __init__(
        self,
        source: Source,
        emit: Callable[..., object],
        verifier: VerifierKey,
        *,
        witnesses: Sequence[Witness] = (),
        high_water: str | None = None,
        url: str = "",
        publish: str | Sequence[str] = (),
    ) -> None:
        self._verifier, self._emit = verifier, emit
        self._submitters = tuple(Submitter(witness, source, emit) for witness in witnesses)
        self._mark: Mark | None = None
        self._checked = False
        self._used = True
        self._keeper: MarkKeeper | None = None
        followers = [
            Follower(one.step, f"consentkit-witness {one.witness.key.name}") for one in self._submitters
        ]
        if high_water is not None:
            from consentkit.evidence.highwater import MarkKeeper, open_mark  # noqa: PLC0415

            self._mark = open_mark(high_water, verifier.name)
            if self._mark.writable:
                self._keeper = MarkKeeper(self._mark, source, emit)
                followers.append(Follower(self._keeper.step, "consentkit-highwater"))
        places = (publish,) if isinstance(publish, str) else publish
        self._publishers = tuple(
            Follower(Publisher(url, open_bucket(place), emit).step, "consentkit-publish") for place in places
        )
        self._followers = (*followers, *self._publishers)

    def check(self, view: View, head: Head | None) -> None:
        """Compare a ledger that is being opened with its mark.

        Raises LedgerRolledBack when it went back, and LedgerUnavailable when the mark's folder cannot be read. A
        witness that does not answer keeps no ledger closed: that is told as `highwater.late`. When a ledger is
        opened anew, after an error, no witness is asked: decisions wait for that.
        """
        if self._keeper is not None:
            self._keeper.trusted = False
        if self._mark is not None and (self._mark.writable or not self._checked):
            self._check(self._mark, view, head)
        self._checked = True
        if self._keeper is not None:
            self._keeper.trusted = True

    def _check(self, mark: Mark, view: View, head: Head | None) -> None:
        from consentkit.evidence.highwater import check_mark  # noqa: PLC0415

        try:
            note = mark.read()
        except LedgerUnavailable as error:
            if mark.writable:
                raise
            _log.warning("%s", error.message)
            self._emit("highwater.late", place=mark.place, reason=error.message)
            return
        if note is not None:
            check_mark(note, mark.place, self._verifier, view, head)

    def cosign(self) -> None:
        """Ask every witness now, one after another, to cosign the head."""
        for submitter in self._submitters:
            submitter.at_once()

    def wake(self) -> None:
        """Say that there is a new head."""
        self._used = True
        for follower in self._followers:
            follower.wake()

    def cosigned(self) -> None:
        """Say that the newest checkpoint has got a cosignature."""
        for follower in self._publishers:
            follower.wake()
            follower.start()

    def start(self) -> None:
        """Start the threads of those that there is news for."""
        for follower in self._followers:
            follower.start()

    def reset(self) -> None:
        """Begin anew in a process that has just been forked; the mark is the parent's until this one writes."""
        self._used = False
        for submitter in self._submitters:
            submitter.reset()
        for follower in self._followers:
            follower.reset()

    def rest(self) -> None:
        """Let everybody come up to date, for a few seconds at most."""
        for follower in self._followers:
            follower.rest(_GRACE_SECONDS)

    def close(self) -> None:
        """Let everybody finish, for a few seconds at most; the mark is brought up to date whatever happens."""
        for follower in self._followers:
            follower.close(0)
        for follower in self._followers:
            follower.close(_GRACE_SECONDS)
        if self._keeper is not None and self._used:
            self._keeper.step()
