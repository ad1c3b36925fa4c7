"""The high-water mark: a signed head of the log at a second place, by which a ledger that went back is noticed.

A restored backup is a perfectly good ledger, only an earlier one; going on with it would sign a second log that
contradicts the first. The mark tells, because it is not restored together with the database. It is the log's newest
checkpoint below a URL, where a witness would show it (c2sp.org/tlog-witness, "monitoring prefix")::

    <url>/<hex SHA-256 of the log name>/checkpoint

`file:///folder` is written, a second at most after each commit; at the `https://` address of a witness the mark is
what the witness cosigned, and only read.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from attrs import define, field, frozen

from consentkit.errors import (
    ConsentkitError,
    InvalidNote,
    InvalidOption,
    InvalidProof,
    LedgerClosed,
    LedgerError,
    LedgerRolledBack,
    LedgerUnavailable,
)
from consentkit.evidence._files import sync_folder
from consentkit.evidence._follower import Next, Source, pause
from consentkit.evidence.hashes import StoredHashes
from consentkit.evidence.store import Head, View
from consentkit.tlog import (
    EMPTY_ROOT,
    Checkpoint,
    VerifierKey,
    check_consistency,
    monitoring_path,
    open_checkpoint,
    parse_note,
    prove_consistency,
)

__all__ = ["LAG_SECONDS", "Mark", "MarkKeeper", "check_mark", "open_mark"]

_log = logging.getLogger(__name__)

LAG_SECONDS: Final = 1.0
"""How long after a commit the mark may still be the one before."""

_MOST: Final = 1_000_000
_TIMEOUT: Final = 10.0
_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 60.0
_RECOVER: Final = (
    "restore a newer copy; if there is none, carry on under a new name: consentkit ledger recover"
)


class Mark(Protocol):
    """Where a log's high-water mark is."""

    @property
    def place(self) -> str:
        """What people call it."""
        ...

    @property
    def writable(self) -> bool:
        """Whether the ledger writes it, or somebody else does."""
        ...

    def read(self) -> bytes | None:
        """Return the checkpoint that is there, None if there is none yet. Raises LedgerUnavailable."""

    def write(self, checkpoint: bytes) -> None:
        """Replace it, durably, unless the one that is there is of a longer log. Raises OSError."""


def open_mark(url: str, log_name: str) -> Mark:
    """Return the mark of a log below `url`. Raises InvalidOption for a URL that can hold none."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        from consentkit.evidence._http import check_prefix  # noqa: PLC0415  a mark in a folder needs no network

        return _WebMark(f"{check_prefix(url)}/{monitoring_path(log_name)}")
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query:
        raise InvalidOption(f"{url!r} names no folder", remedy="write it like file:///path/to/folder")
    return _FileMark(Path(unquote(parts.path)), monitoring_path(log_name))


@frozen
class _FileMark:
    """A mark in a folder that somebody made: where it is missing, the place was not mounted, and none is made."""

    folder: Path
    name: str
    writable: bool = True

    @property
    def place(self) -> str:
        return str(self.folder / self.name)

    def read(self) -> bytes | None:
        try:
            if not self.folder.is_dir():
                raise LedgerUnavailable(
                    f"the folder of the high-water mark, {self.folder}, is not there",
                    remedy="mount or make it",
                )
            with (self.folder / self.name).open("rb") as file:
                return file.read(_MOST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerUnavailable(
                f"the high-water mark {self.place} cannot be read: {error.strerror}",
                remedy="check its owner and mode",
            ) from error

    def write(self, checkpoint: bytes) -> None:
        path = self.folder / self.name
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder} is not there")
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.folder)
        with self._turn(path.parent):
            if path.exists() and _size(path.read_bytes()) >= _size(checkpoint):
                return
            draft = path.with_name(".checkpoint.new")
            with draft.open("wb") as file:
                file.write(checkpoint)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            sync_folder(path.parent)

    @staticmethod
    @contextmanager
    def _turn(folder: Path) -> Iterator[None]:
        """Let one process at a time compare and replace."""
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _size(note: bytes) -> int:
    try:
        return Checkpoint.parse(parse_note(note)[0]).size
    except InvalidNote:
        return -1


@frozen
class _WebMark:
    """A mark that a witness keeps and shows; where nobody answers, there is no mark to go by."""

    place: str
    writable: bool = False

    def read(self) -> bytes | None:
        from consentkit.evidence._http import Unreachable, fetch  # noqa: PLC0415

        try:
            status, body = fetch(self.place, timeout=_TIMEOUT)
        except Unreachable as error:
            raise LedgerUnavailable(f"the high-water mark cannot be read: {error}") from error
        if status == 404:
            return None
        if status != 200:
            raise LedgerUnavailable(f"the high-water mark cannot be read: {self.place} answers {status}")
        return body

    def write(self, checkpoint: bytes) -> None:  # noqa: ARG002
        raise OSError(f"{self.place} is written by its witness")


def check_mark(mark: bytes, place: str, verifier: VerifierKey, view: View, head: Head | None) -> None:
    """Check that the ledger has not gone back behind `mark`, a checkpoint that its log signed, nor contradicts it.

    Raises LedgerRolledBack when it has, LedgerError when the mark is not one that `verifier` signed.
    """
    try:
        checkpoint = open_checkpoint(mark, verifier)
    except InvalidNote as error:
        raise LedgerError(
            f"the high-water mark {place} is none of this log: {error.message}",
            remedy="find out who changed it; remove it only if you are sure of the ledger",
        ) from error
    size, root = (head.size, head.frontier.root()) if head else (0, EMPTY_ROOT)
    if checkpoint.size > size:
        raise LedgerRolledBack(
            f"the ledger has {size} entries, and had {checkpoint.size} when {place} was written: it was restored"
            " from an old copy",
            remedy=_RECOVER,
        )
    if not checkpoint.size:
        return
    try:
        proof = prove_consistency(checkpoint.size, size, StoredHashes(view))
        check_consistency(checkpoint.size, size, checkpoint.root, root, proof)
    except InvalidProof as error:
        raise LedgerRolledBack(
            f"the ledger does not continue the log that it was when {place} was written", remedy=_RECOVER
        ) from error


@define(eq=False)
class MarkKeeper:
    """Writes the newest checkpoint to a mark; `step` is a follower's. `emit` tells of `highwater.late`, once.

    Writes nothing while the ledger is not `trusted`: one that contradicts its mark must not replace it.
    """

    mark: Mark
    source: Source
    emit: Callable[..., object]
    trusted: bool = False
    _failures: int = field(default=0, init=False)

    def step(self) -> Next:
        """Bring the mark up to date."""
        try:
            with self.source.view() as view:
                head = view.head()
            if head is not None and self.trusted:
                self.mark.write(head.checkpoint)
        except LedgerClosed:
            return Next()
        except (OSError, ConsentkitError) as error:
            return self._failed(error)
        self._failures = 0
        return Next(LAG_SECONDS)

    def _failed(self, error: Exception) -> Next:
        self._failures += 1
        if self._failures == 1:
            _log.warning("the high-water mark %s cannot be written: %s", self.mark.place, error)
            self.emit("highwater.late", place=self.mark.place, reason=str(error))
        return pause(self._failures, _FIRST_PAUSE, _LONGEST_PAUSE)
