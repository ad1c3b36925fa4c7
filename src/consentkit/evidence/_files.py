"""Durable files, and what to think of them after an error."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_kept: Final[dict[tuple[int, int], int]] = {}


def sync_folder(folder: Path) -> None:
    """Make the names of the files in a folder durable."""
    _sync(folder, os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Make a file's content and length durable, whoever wrote it."""
    _sync(path, 0)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drop_cache(path: Path) -> None:
    """Have a file read from the disk again, where the system can do that; does nothing where it cannot.

    After a failed fsync the kernel goes on showing what never reached the disk (fsync(2)). Writing the same places
    once more does not make up for it: ext4 then reports success, and leaves blocks that read as zeros after a
    restart. Once the cache is dropped it does better. The descriptor stays open for good, one for each such file:
    closing it would take away the locks that SQLite has on the file (sqlite.org/howtocorrupt.html 2.2).
    """
    with suppress(OSError, AttributeError):
        status = path.stat()
        descriptor = _kept.get(key := (status.st_dev, status.st_ino))
        if descriptor is None:
            descriptor = _kept[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
