"""The pack as a folder that nobody vouches for: every read is bounded and stays inside it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Folder", "Refused"]

_DEPTH = 12
# Without O_NOFOLLOW (Windows) the lstat before it is what refuses links; O_NONBLOCK keeps a FIFO from waiting.
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


class Refused(Exception):
    """A file that is there and is not read. `tampered`: its kind or size alone is wrong, not the disk."""

    def __init__(self, message: str, *, tampered: bool) -> None:
        super().__init__(message)
        self.message = message
        self.tampered = tampered


class Folder:
    """Reads files below `root` by relative paths with forward slashes, following no symbolic link."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise NotADirectoryError(f"{root} is not a folder")
        self._root = root
        self._plain: set[str] = {""}

    def read(self, path: str, limit: int) -> bytes | None:
        """Return the content of a file, None when there is none.

        Raises Refused for links, for anything that is no regular file, for more than `limit` bytes, and when
        the system cannot read it.
        """
        try:
            self._check_parents(path)
            return self._read_regular(path, limit)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Refused(f"cannot be read: {getattr(error, 'strerror', error)}", tampered=False) from error

    def _read_regular(self, path: str, limit: int) -> bytes:
        target = self._root / path
        self._check_kind(os.lstat(target), stat.S_ISREG, "a regular file")
        with open(os.open(target, _FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            self._check_kind(status, stat.S_ISREG, "a regular file")
            if status.st_size > limit:
                raise Refused(f"has {status.st_size} bytes, more than the {limit} allowed", tampered=True)
            data = file.read(limit + 1)
        if len(data) > limit:
            raise Refused(f"grew beyond {limit} bytes while it was read", tampered=True)
        return data

    def _check_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent in self._plain:
            return
        self._check_parents(parent)
        self._check_kind(os.lstat(self._root / parent), stat.S_ISDIR, "a folder")
        if len(self._plain) < 4096:
            self._plain.add(parent)

    @staticmethod
    def _check_kind(status: os.stat_result, wanted: object, name: str) -> None:
        if stat.S_ISLNK(status.st_mode):
            raise Refused("is a symbolic link, which is not followed", tampered=True)
        if not wanted(status.st_mode):  # type: ignore[operator]
            raise Refused(f"is not {name}", tampered=True)

    def names(self, path: str) -> Iterator[str]:
        """Yield the names in a subfolder, in no order; none when it is missing, is a link or cannot be read."""
        try:
            self._check_parents(f"{path}/")
            with os.scandir(self._root / path) as entries:
                yield from (entry.name for entry in entries)
        except (OSError, Refused):
            return

    def walk(self, path: str = "", depth: int = 0) -> Iterator[str]:
        """Yield the path of everything that is no folder, and of folders too deep for a pack or unreadable."""
        try:
            entries = os.scandir(self._root / path)
        except OSError:
            yield path
            return
        with entries:
            for entry in entries:
                inner = f"{path}/{entry.name}" if path else entry.name
                if entry.is_dir(follow_symlinks=False) and depth < _DEPTH:
                    yield from self.walk(inner, depth + 1)
                else:
                    yield inner
