"""Writer processes, seen from outside: what they say arrives through pipes, whatever happens to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.history import Seen
from tests.support import ROOT

_WAIT_SECONDS = 60.0
_names = count(1)


class Writer:
    """One process, and the thread that listens to it."""

    def __init__(
        self, url: str, seen: Seen, *, bursts: int = 0, mode: str = "", under: Sequence[str] = ()
    ) -> None:
        self.seen, self.acks = seen, 0
        module = [sys.executable, "-m", "tests.faults.writer", url, f"w{next(_names)}", str(bursts)]
        self.process = subprocess.Popen(
            [*under, *module, *([mode] if mode else [])],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.complaints: list[str] = []
        self._threads = [
            threading.Thread(target=task, daemon=True) for task in (self._listen, self._complain)
        ]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.take(line)
            self.acks += ', "ack", ' in line[:32]

    def _complain(self) -> None:
        assert self.process.stderr is not None
        self.complaints.extend(self.process.stderr)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def wait_for(self, acks: int) -> None:
        """Return once it was answered so many times more."""
        wanted = self.acks + acks
        wait_until(lambda: self.acks >= wanted or not self.alive, "answers")
        if self.acks < wanted:
            raise RuntimeError(f"a writer ended with {self.process.returncode}: {''.join(self.complaints)}")

    def kill(self) -> bool:
        """Send SIGKILL; say whether that is what it died of."""
        self.process.send_signal(signal.SIGKILL)
        return self.wait() == -signal.SIGKILL

    def wait(self) -> int:
        """Return its exit code once it has ended and everything that it said was heard."""
        try:
            code = self.process.wait(_WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            pid = self.process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for one in (*map(int, children), pid):  # whoever traces it does not take it along
                os.kill(one, signal.SIGKILL)
            raise
        for thread in self._threads:
            thread.join(_WAIT_SECONDS)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return code


class Writers:
    """Some writers on one ledger; those that still run at the end are killed."""

    def __init__(self, url: str, seen: Seen, number: int, *, mode: str = "") -> None:
        self._url, self._seen, self._mode = url, seen, mode
        self.all = [self._start() for _ in range(number)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _start(self) -> Writer:
        return Writer(self._url, self._seen, mode=self._mode)

    def wait_for(self, acks: int) -> None:
        """Return once each of them was answered so many times more."""
        for writer in self.all:
            writer.wait_for(acks)

    def replace(self, place: int) -> bool:
        """Kill one and start another in its place, while the others go on; say whether it was killed."""
        killed = self.all[place].kill()
        self.all[place] = self._start()
        return killed

    def kill(self) -> int:
        """Kill those that run; returns how many that were."""
        alive, self.all = [writer for writer in self.all if writer.alive], []
        for writer in alive:
            writer.process.send_signal(signal.SIGKILL)
        return sum([writer.kill() for writer in alive])


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {_WAIT_SECONDS:.0f} s")
        time.sleep(0.005)
