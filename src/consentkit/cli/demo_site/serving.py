"""Running the demo's server, and ending it in order however it is told to end."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn

from consentkit.cli.demo_site.site import App

__all__ = ["HOST", "listen", "serve", "stop_by_signal"]

HOST = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """Listen on a loopback port, 0 for any. Raises OSError when that cannot be."""
    listener = socket.socket()
    try:
        # Without it a port stays closed for a minute after its last connection. Taken ports stay taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


class _Stop(BaseException):
    """The process was told to end."""


@contextmanager
def stop_by_signal() -> Iterator[None]:
    """Let SIGTERM and SIGINT end what is inside in order, so that a temporary folder is removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stop

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with suppress(_Stop):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve(app: App, listener: socket.socket) -> None:
    """Serve until a signal comes; uvicorn finishes what is under way and raises the signal again."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn's own types of messages
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        ws="none",
    )
    uvicorn.Server(config).run(sockets=[listener])
