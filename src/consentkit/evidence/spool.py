"""The spool: where a refusal is kept, durably, while the ledger cannot take its record.

A folder on this machine, shared by all processes that name it. Each process appends to a file of its own; each line
is one decision: a SHA-256 of what follows in hex, a space, and JSON. A line counts once it is on disk; a last line
that was torn was never acknowledged. Whoever drains takes all files, those of the dead too: it holds the lock of the
folder, enters a file's decisions into the ledger, each under an idempotency key of its own, and then deletes the file.
Who dies in between leaves a file that is drained again, and nothing is recorded twice.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final

from consentkit.errors import SpoolUnavailable
from consentkit.evidence.spooled import Spooled

__all__ = ["Spool", "Spooled", "default_spool"]

_SUFFIX: Final = ".spool"
_DAMAGED: Final = ".damaged"
_FULL: Final = 1 << 20
"""How long a file grows, in bytes; what one holds is entered at once."""

_PAUSE_SECONDS: Final = 0.01
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
_LOCATION: Final = ("ledger", "host", "port", "dbname")


def default_spool(url: str) -> Path | None:
    """Return where the spool of a ledger is unless told otherwise.

    Beside a ledger in a file; for one on a server, in the service's state folder (`STATE_DIRECTORY`, as systemd sets
    it, else `XDG_STATE_HOME`, else `~/.local/state`), under a name made of where the ledger is.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return Path(f"{rest[1:]}-spool")
    base, _, query = rest.partition("?")
    given = sorted(pair for pair in query.split("&") if pair.partition("=")[0] in _LOCATION)
    place = "\n".join([base.rpartition("@")[2], *given])
    state = os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or os.environ.get("XDG_STATE_HOME")
    name = f"spool-{sha256(place.encode()).hexdigest()[:16]}"
    try:
        return Path(state or Path.home() / ".local/state") / "consentkit" / name
    except RuntimeError:  # a user without a home
        return None


class Spool:
    """The spool in one folder, which is made when it is first needed. Safe among threads and processes.

    Raises SpoolUnavailable wherever the folder or a file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None
        self.reset()

    def reset(self) -> None:
        """Begin anew in a process that has just been forked: the file is the parent's."""
        self._mine = Lock()
        self._forget_file()

    def close(self) -> None:
        """Let go of this process's file; what it holds stays."""
        with self._mine:
            self._forget_file()

    def writable(self) -> bool:
        """Say whether something could be kept, as far as the folder's rights tell."""
        folder = self.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)

    def add(self, one: Spooled) -> None:
        """Keep a decision; returns once it is on disk."""
        line = one.line()
        with self._mine, _told(f"{self.folder} cannot keep a decision"):
            try:
                file = self._locked()
                _write(file, line)
                full = os.fstat(file).st_size > _FULL
                fcntl.flock(file, fcntl.LOCK_UN)
            except BaseException:
                self._forget_file()
                raise
            if full:
                self._forget_file()

    def _locked(self) -> int:
        """Return this process's file, locked against whoever drains; a new one where that one is being drained."""
        if self._file is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(self._file).st_nlink:
                    return self._file
            except BlockingIOError:
                pass
            self._forget_file()
        self._file = file = self._new_file()
        return file

    def _new_file(self) -> int:
        _make(self.folder)
        while True:
            path = self.folder / f"{time.time_ns():020}-{secrets.token_hex(8)}{_SUFFIX}"
            file = os.open(path, _NEW, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file).st_nlink:  # else whoever drains was quicker, and has deleted it
                    _sync_folder(self.folder)
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    def _forget_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)  # which gives the lock back, too

    def waiting(self) -> bool:
        """Say whether anything waits to be drained, as far as that can be seen."""
        try:
            with os.scandir(self.folder) as found:
                return any(entry.name.endswith(_SUFFIX) for entry in found)
        except OSError:
            return False

    def files(self) -> list[Path]:
        """Return the files there are, oldest first: each has the time when it was begun in its name."""
        with _told(f"{self.folder} cannot be read"):
            try:
                names = sorted(os.listdir(self.folder))
            except FileNotFoundError:
                return []
        return [self.folder / name for name in names if name.endswith(_SUFFIX)]

    def read(self) -> Iterator[Spooled]:
        """Yield every decision that waits. Whoever looks into the ledger as well does so afterwards."""
        for path in self.files():  # one that is gone was drained meanwhile, and is in the ledger
            yield from self.read_on(path, 0)[0]

    def read_on(self, path: Path, start: int) -> tuple[list[Spooled], int]:
        """Return what a file holds from a place on, and the place where that ends; nothing for one that is gone."""
        with _told(f"{path} cannot be read"):
            try:
                with path.open("rb") as file:
                    file.seek(start)
                    lines = _lines(file.read())
            except FileNotFoundError:
                return [], start
        return [*filter(None, map(Spooled.parse, lines))], start + sum(len(line) + 1 for line in lines)

    @contextmanager
    def draining(self, seconds: float) -> Iterator[bool]:
        """Be the only one who drains, and wait so long for that; gives False when somebody else still does."""
        with _told(f"{self.folder} cannot be drained"):
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                mine = _lock(folder, seconds)
            except BaseException:
                os.close(folder)
                raise
        try:
            yield mine
        finally:
            os.close(folder)

    def drain(self, path: Path, enter: Callable[[list[Spooled]], Collection[Spooled]]) -> None:
        """Hand on what a file holds, and delete it. `enter` returns those that nobody will ever take.

        They and lines that cannot be read any more are kept for a person to look at. The caller is the one who drains.
        """
        with _told(f"{path} cannot be drained"):
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            with _told(f"{path} cannot be drained"):
                fcntl.flock(file, fcntl.LOCK_EX)
                lines = _lines(path.read_bytes())
            found = [Spooled.parse(line) for line in lines]
            never = enter([one for one in found if one is not None])
            bad = [line for line, one in zip(lines, found, strict=True) if one is None or one in never]
            with _told(f"{path} cannot be drained"):
                if bad:
                    _put(path.with_suffix(_DAMAGED), bad)
                path.unlink()
                _sync_folder(self.folder)
        finally:
            os.close(file)

    def damaged(self) -> list[Path]:
        """Return the files with what could not be entered."""
        with _told(f"{self.folder} cannot be read"):
            return sorted(self.folder.glob(f"*{_DAMAGED}"))

    def forget(self, histories: Collection[str]) -> None:
        """Take the lines that name these histories out of what could not be entered."""
        names = [history.encode() for history in histories]
        for path in self.damaged():
            with _told(f"{path} cannot be changed"):
                lines = _lines(path.read_bytes())
                kept = [line for line in lines if not any(name in line for name in names)]
                if kept and kept != lines:
                    _put(path, kept)
                elif not kept:
                    path.unlink()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tell an error of the file system as one of the spool."""
    try:
        yield
    except OSError as error:
        raise SpoolUnavailable(
            f"{what}: {error.strerror}",
            remedy="the spool is a folder that the process may write to, with space left",
        ) from error


def _lock(file: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        else:
            return True


def _lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]  # what has no end was torn


def _write(file: int, line: bytes) -> None:
    """Write a line whole and durably, or not at all."""
    end, written = os.fstat(file).st_size, 0
    try:
        while written < len(line):
            written += os.write(file, line[written:])
        os.fdatasync(file)
    except OSError:
        os.ftruncate(file, end)  # nobody is told that it was kept, so it should not be recorded either
        raise


def _put(path: Path, lines: Collection[bytes]) -> None:
    """Write a file whole and durably, in place of another one."""
    new = path.with_suffix(".new")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(file, "wb") as stream:
        stream.write(b"".join(line + b"\n" for line in lines))
        stream.flush()
        os.fsync(file)
    new.replace(path)
    _sync_folder(path.parent)


def _make(folder: Path) -> None:
    """Make a folder durably, and those that it stands in."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
