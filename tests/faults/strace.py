"""System calls that fail, or that a process does not live to make: strace tampers with those on a ledger's files."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.faults.history import Seen
from tests.faults.writers import Writer

_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)


def untraceable() -> str | None:
    """Say why nothing can be traced here; None if it can."""
    return _untraceable()


@cache
def _untraceable() -> str | None:
    if (strace := shutil.which("strace")) is None:
        return "strace is not installed"
    ran = subprocess.run(
        [strace, "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False
    )
    return f"strace may not trace here: {ran.stderr.strip()}" if ran.returncode else None


class Traced:
    """A writer under strace, on the ledger in the file `path`; it writes a few bursts and ends.

    `inject` is what strace is to do to calls, such as `fdatasync:error=EIO:when=2`; counts are each thread's own.
    """

    def __init__(
        self, path: Path, seen: Seen, calls: Sequence[str], *, inject: str | None = None, bursts: int = 3
    ):
        names = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal", ".lock"))]
        with tempfile.TemporaryDirectory(prefix="cktrace") as folder:
            trace = Path(folder) / "trace"
            watch = [word for name in (*names, path.parent) for word in ("-P", str(name))]
            tamper = ["-e", f"inject={inject}"] if inject else []
            under = [
                "strace",
                "-f",
                "-qq",
                "-o",
                str(trace),
                *watch,
                "-e",
                f"trace={','.join(calls)}",
                *tamper,
            ]
            writer = Writer(f"sqlite:///{path}", seen, bursts=bursts, mode="hasty", under=under)
            self.code = writer.wait()
            self.complaints = "".join(writer.complaints)
            self.trace = trace.read_text()

    @property
    def injected(self) -> int:
        """How many calls were made to fail."""
        return self.trace.count("(INJECTED)")

    @property
    def counts(self) -> dict[str, int]:
        """How often each call was made, by the thread that made it most often."""
        made = Counter(_CALL.findall(self.trace))
        return {name: max(count for (_, call), count in made.items() if call == name) for _, name in made}
