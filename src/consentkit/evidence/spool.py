"""The spool: where a refusal is kept, durably, while the ledger cannot take its record.

A folder of files on this machine, shared by all processes that name it. Each line is one decision: a SHA-256 of
what follows in hex, a space, and JSON. A line counts once it is on disk; a last line that was torn was never
acknowledged. To drain, a process moves the file aside, enters its decisions into the ledger, each under an
idempotency key of its own, and deletes it: whoever dies in between leaves a file that is drained again, and
nothing is recorded twice.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import frozen

from consentkit.errors import LedgerUnavailable
from consentkit.evidence._encoding import format_time
from consentkit.evidence.batch import Once
from consentkit.evidence.record import Choice, RecordDraft

__all__ = ["Spool", "Spooled", "default_spool"]

_log = logging.getLogger(__name__)

_OPEN: Final = "open"
_ASIDE: Final = "aside-"
_DAMAGED: Final = "damaged-"
_REMEMBERED: Final = 400 * 86_400_000
"""For how long the ledger knows what was drained, in milliseconds: longer than any file should wait."""


@frozen
class Spooled:
    """A decision in the spool: its draft, when it was decided (UTC milliseconds), and 32 random bytes."""

    draft: RecordDraft
    time: int
    key: bytes

    def dated(self, now: int) -> RecordDraft:
        """Return the draft as it is recorded at `now`: with that time, and when it was decided beside it."""
        extra = {**self.draft.extra, "decided": format_time(self.time)}
        return attrs.evolve(self.draft, time=now, extra=extra)

    def once(self, now: int) -> Once:
        """Return what keeps it from being recorded twice."""
        return Once(self.key, self.key, now + _REMEMBERED)

    def line(self) -> bytes:
        """Return the line that is written."""
        said = attrs.asdict(self.draft, recurse=False)
        told = {"v": 1, "time": self.time, "key": self.key.hex(), "draft": said}
        body = json.dumps(told, default=_plain).encode("ascii")
        return sha256(body).hexdigest().encode() + b" " + body + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Spooled | None:
        """Read a line; None for one that is not as it was written."""
        digest, _, body = line.partition(b" ")
        if sha256(body).hexdigest().encode() != digest:
            return None
        said = json.loads(body)
        return cls(_draft(said["draft"]), said["time"], bytes.fromhex(said["key"]))


def _plain(value: Choice | Mapping[str, Any]) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else attrs.asdict(value)


def _draft(said: dict[str, Any]) -> RecordDraft:
    notice = said["notice"]
    return RecordDraft(
        **said
        | {
            "choices": _choices(said["choices"]),
            "services": _choices(said["services"]),
            "asked": tuple(said["asked"]),
            "policy": tuple(said["policy"]),
            "notice": None if notice is None else tuple(notice),
        }
    )


def _choices(said: dict[str, Any]) -> dict[str, Choice]:
    return {name: Choice(**choice) for name, choice in said.items()}


def default_spool(url: str) -> Path | None:
    """Return the folder that stands beside a ledger in a file; None for a ledger elsewhere."""
    scheme, _, path = url.partition("://")
    return Path(f"{path[1:]}-spool") if scheme == "sqlite" else None


class Spool:
    """The spool in one folder, which is made when it is first needed. Safe among threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, draft: RecordDraft, time: int) -> None:
        """Keep a decision; returns once it is on disk. Raises LedgerUnavailable when that cannot be."""
        line = Spooled(draft, time, secrets.token_bytes(32)).line()
        try:
            self._make()
            file = self._locked()
            try:
                _write(file, line)
            finally:
                os.close(file)  # which gives the lock back
        except OSError as error:
            raise LedgerUnavailable(
                f"{self._folder} cannot keep a decision: {error.strerror}",
                remedy="the spool needs a folder that the process may write to, with space left",
            ) from error

    def _make(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(self._folder.parent)

    def _locked(self) -> int:
        """Open the file that is written to, and lock it; another process may move it aside meanwhile."""
        path = self._folder / _OPEN
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _same(file, path):
                    _sync_folder(self._folder)
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    def waiting(self) -> bool:
        """Say whether anything waits to be drained, as far as that can be seen."""
        try:
            with os.scandir(self._folder) as found:
                return any(entry.name == _OPEN or entry.name.startswith(_ASIDE) for entry in found)
        except OSError:
            return False

    def read(self) -> Iterator[Spooled]:
        """Yield every decision that waits, in the order in which they were made. Raises LedgerUnavailable."""
        try:
            for path in self._files():
                yield from _read(path)[0]
        except OSError as error:
            raise LedgerUnavailable(f"{self._folder} cannot be read: {error.strerror}") from error

    def take(self) -> Iterator[tuple[Path, list[Spooled]]]:
        """Move the file that is written to aside, and yield each file that is to be drained, with what it holds.

        Call `done` for one once its decisions are in the ledger. Raises LedgerUnavailable.
        """
        try:
            self._move_aside()
            for path in self._files():
                if path.name != _OPEN:
                    found, sound = _read(path)
                    if not sound:
                        self._keep_damaged(path)
                    yield path, found
        except OSError as error:
            raise LedgerUnavailable(f"{self._folder} cannot be drained: {error.strerror}") from error

    def done(self, path: Path) -> None:
        """Delete a file whose decisions are in the ledger."""
        path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        """Return the files there are, oldest first: those moved aside have the time in their names."""
        if not self._folder.is_dir():
            return []
        aside = sorted(path for path in self._folder.iterdir() if path.name.startswith(_ASIDE))
        current = self._folder / _OPEN
        return [*aside, current] if current.exists() else aside

    def _move_aside(self) -> None:
        path = self._folder / _OPEN
        if not path.exists():
            return
        file = self._locked()
        try:
            path.rename(self._folder / f"{_ASIDE}{time.time_ns():020}-{os.getpid()}")
            _sync_folder(self._folder)
        finally:
            os.close(file)

    def _keep_damaged(self, path: Path) -> None:
        """Keep a copy of a file with lines that cannot be read, for a person to look at."""
        kept = self._folder / f"{_DAMAGED}{path.name.removeprefix(_ASIDE)}"
        if not kept.exists():
            os.link(path, kept)
            _log.error("%s holds decisions that cannot be read any more; the others are recorded", kept)


def _same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _write(file: int, line: bytes) -> None:
    """Write a line whole and durably, behind the last one that is whole: what was torn was never acknowledged."""
    end = os.pread(file, os.fstat(file).st_size, 0).rfind(b"\n") + 1
    os.ftruncate(file, end)
    written = 0
    try:
        while written < len(line):
            written += os.write(file, line[written:])
        os.fdatasync(file)
    except OSError:
        os.ftruncate(file, end)  # nobody is told that it was kept, so it should not be recorded either
        raise


def _read(path: Path) -> tuple[list[Spooled], bool]:
    """Read a file; says as well whether all of it could be read, but for a last line that was torn."""
    *lines, torn = path.read_bytes().split(b"\n")
    del torn
    found = [Spooled.parse(line) for line in lines]
    return [one for one in found if one is not None], None not in found


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
