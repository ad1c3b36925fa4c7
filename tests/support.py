"""What many tests share: a clock that stands still, free ports, and real servers in processes of their own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START = 1_793_620_800_000  # 2026-11-02T12:00:00Z

_READY_SECONDS = 20.0
_STOP_SECONDS = 10.0


class Clock:
    """A clock that only moves when told to; calling it gives UTC milliseconds."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, span: timedelta | int) -> int:
        """Move by ``span``, a timedelta or milliseconds, and return the new time."""
        self.now += span if isinstance(span, int) else round(span / timedelta(milliseconds=1))
        return self.now


def free_port() -> int:
    """Return a loopback TCP port that nothing listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """A child process that listens on a loopback port; ``url`` has no trailing slash."""

    def __init__(self, command: Sequence[str], port: int, log: Path, env: Mapping[str, str]) -> None:
        self.port, self.url, self._log = port, f"http://127.0.0.1:{port}", log
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
                stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def output(self) -> str:
        """Everything that the server has printed so far, on both streams."""
        return self._log.read_text(errors="replace")

    def wait_ready(self) -> "Server":
        """Return once the port accepts a connection; raise with the server's output if it never does."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.output}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.02)
        raise TimeoutError(f"nothing listens on port {self.port}:\n{self.output}")

    def stop(self) -> int:
        """End the process by its id, politely first; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(_STOP_SECONDS)


def server_command(server: str, app: str, port: int, options: Sequence[str] = ()) -> list[str]:
    """Return the command that serves ``app`` ("module:name", importable from the repository's root)."""
    python = [sys.executable, "-m", server]
    if server == "uvicorn":
        place = ["--host", "127.0.0.1", "--port", str(port), "--app-dir", str(ROOT)]
    elif server == "gunicorn":
        place = ["--bind", f"127.0.0.1:{port}", "--chdir", str(ROOT), "--no-control-socket"]
    else:
        raise ValueError(f"no such server here: {server}")
    return [*python, *place, *options, app]
