"""Places for static files: a folder, or storage that speaks S3. What a log looks like there is `publication`'s.

A name is a path with slashes. What is written once never changes; what changes is replaced whole, and only if
nobody else replaced it meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from consentkit.errors import InvalidOption, LedgerError, LedgerUnavailable
from consentkit.evidence._files import sync_folder

__all__ = ["Bucket", "File", "Folder", "Found", "open_bucket"]


class Found(NamedTuple):
    """A file as it was found: what it holds, and the mark by which `swap` knows whether it is still the same."""

    data: bytes
    version: str


class File(NamedTuple):
    """A file to be written; `fixed` says that it never changes: what has its name already must be the same."""

    name: str
    data: bytes
    fixed: bool = True


class Bucket(Protocol):
    """A place for files. All methods raise LedgerUnavailable when it cannot be reached or written to."""

    @property
    def place(self) -> str:
        """What people call it; without any secret."""
        ...

    def check(self) -> None:
        """Make the place ready, and make sure that it keeps what the methods promise. Raises LedgerError if not."""

    def names(self) -> set[str]:
        """Return the first segments of the names that there are."""

    def read(self, name: str) -> Found | None:
        """Return a file; None when there is none."""

    def length(self, name: str) -> int | None:
        """Return the size of a file in bytes; None when there is none."""

    def write(self, files: Iterable[File]) -> None:
        """Write files that nobody relies on before `settle`; what is there with the same content is left alone.

        They are taken as they are written, a few at a time. Raises LedgerError when a fixed one is there with another
        content, and whatever `files` raises; some are written then.
        """

    def swap(self, name: str, data: bytes, old: Found | None) -> bool:
        """Replace `old` (None: nothing); False, and nothing is written, when something else is there by now."""

    def settle(self) -> None:
        """Return once all that was written is durable."""

    def drop(self, name: str) -> None:
        """Remove all files whose names begin with `name` and a slash, as far as that can be done."""


def differs(place: str, name: str) -> LedgerError:
    """Make the error for a file that should never have changed."""
    return LedgerError(
        f"{place} holds another {name} than the ledger has: the log was forked, or the file is somebody else's",
        remedy="keep both, find out why, and publish to another place",
    )


def open_bucket(url: str) -> Bucket:
    """Return the place that a URL names: `file:///path/to/folder`, or what `consentkit.evidence.s3` takes.

    Raises InvalidOption for a URL that names none, and LedgerUnavailable when a driver is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        try:
            from consentkit.evidence.s3 import S3  # noqa: PLC0415  an extra, for those who need it
        except ImportError as error:
            raise LedgerUnavailable(
                f"obstore cannot be loaded: {error}", remedy="pip install 'consentkit[s3]'"
            ) from error
        return S3.of_url(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or len(parts.path) < 2 or parts.query:
        raise InvalidOption(
            f"{url.partition('?')[0]!r} names no place for files",
            remedy="write it like file:///path/to/folder, or s3://bucket/prefix",
        )
    return Folder(Path(unquote(parts.path)))


class Folder:
    """A folder; made, readable for its owner alone, when it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._touched: set[Path] = set()

    @property
    def place(self) -> str:
        """Its path."""
        return str(self._folder)

    def check(self) -> None:
        """Make the folder."""
        with self._explaining():
            if not self._folder.is_dir():
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(self._folder.parent)

    def names(self) -> set[str]:
        """Return the names in it; one that begins with a dot is that of a file which was being written."""
        with self._explaining():
            return {path.name for path in self._folder.iterdir() if not path.name.startswith(".")}

    def read(self, name: str) -> Found | None:
        """Return a file; None when there is none."""
        with self._explaining():
            try:
                return Found((self._folder / name).read_bytes(), "")
            except FileNotFoundError:
                return None

    def length(self, name: str) -> int | None:
        """Return the size of a file."""
        with self._explaining():
            try:
                return (self._folder / name).stat().st_size
            except FileNotFoundError:
                return None

    def write(self, files: Iterable[File]) -> None:
        """Write each file whole or not at all."""
        for file in files:
            found = self.read(file.name)
            self._touched.update(self._above(file.name))  # who wrote it may have died before syncing them
            if found is None or (found.data != file.data and not file.fixed):
                with self._turn():
                    self._put(file.name, file.data)
            elif found.data != file.data:
                raise differs(self.place, file.name)

    def _put(self, name: str, data: bytes) -> None:
        path = self._folder / name
        with self._explaining():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.new")  # what was broken off is written over
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            self._touched.update(self._above(name))

    def _above(self, name: str) -> list[Path]:
        """Return the folders whose names lead to a file."""
        return [self._folder / parent for parent in PurePath(name).parents]

    def swap(self, name: str, data: bytes, old: Found | None) -> bool:
        """Compare and replace."""
        with self._turn():
            found = self.read(name)
            if (found and found.data) != (old and old.data):
                return False
            self._put(name, data)
            self.settle()
            return True

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one at a time write, of all threads and processes."""
        with self._explaining():
            lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def settle(self) -> None:
        """Make the names of all files written so far durable."""
        with self._explaining():
            for folder in sorted(self._touched, reverse=True):
                sync_folder(folder)
        self._touched.clear()

    def drop(self, name: str) -> None:
        """Remove a folder."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LedgerUnavailable(
                f"{self._folder} cannot be written to or read: {error.strerror or error}",
                remedy="check the folder and the disk",
            ) from error
