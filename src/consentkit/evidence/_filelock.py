"""An advisory lock between processes, on a file of its own."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consentkit.errors import LedgerUnavailable


class FileLock:
    """A lock that the kernel gives in turns, and takes back from the dead. Used by one thread at a time.

    Whoever holds it may ask for it again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._held = False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for one's turn. Raises LedgerUnavailable where no lock can be had."""
        if self._held:
            yield
            return
        self._take()
        try:
            yield
        finally:
            self._give_back()

    def _take(self) -> None:
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise LedgerUnavailable(
                f"{self._path} cannot be {'opened' if self._file is None else 'locked'}: {error.strerror}",
                remedy="the process must be allowed to write to the folder of the ledger",
            ) from error
        self._held = True

    def _give_back(self) -> None:
        self._held = False
        if self._file is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_UN)
            except OSError:  # what was done meanwhile is done; closing the file gives the lock back too
                self.close()

    def close(self) -> None:
        """Close the file; in a child, the parent's lock stays as it is."""
        self._held = False
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
