"""The processes of a check: the demo's server, and the commands that an auditor runs."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen

from consentkit.cli.demo_check.expect import Wrong

__all__ = ["Ran", "Server", "consentkit", "free_port"]

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_RUN_SECONDS = 120.0


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "consentkit", *arguments]


@frozen
class Ran:
    """How a command ended, and what it printed."""

    code: int
    output: str
    errors: str


def consentkit(*arguments: str) -> Ran:
    """Run a command of consentkit in a process of its own."""
    done = subprocess.run(
        _command(*arguments),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_RUN_SECONDS,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@define
class Server:
    """The demo, served by a process of its own. `output` is the file that it prints to."""

    folder: Path
    port: int
    output: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers. Raises Wrong with what it printed when it does not."""
        with self.output.open("ab") as sink:
            self._process = subprocess.Popen(
                _command("demo", "--port", str(self.port), "--data", str(self.folder)),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.05)
        printed = self.output.read_text("utf-8", "replace")
        raise Wrong("the demo's server starts", f"an answer on port {self.port}", printed)

    def _answers(self) -> bool:
        # It listens before it is ready, and answers only then: so ask it something.
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.settimeout(_START_SECONDS)
            connection.sendall(b"HEAD /courier.css HTTP/1.0\r\n\r\n")
            return bool(connection.recv(1))
        return False

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        if self._process is None:
            return 0
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
