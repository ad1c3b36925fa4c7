"""Running the demo's server, and ending it in order however it is told to end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from consentkit.cli.demo_site.site import App

__all__ = ["HOST", "Stopped", "listen", "serve", "stop_by_signal"]

HOST = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """Listen on a loopback port, 0 for any. Raises OSError when that cannot be."""
    # asyncio spares a connection Nagle's delay only if its socket says that it is TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Without it a port stays closed for a minute after its last connection. Taken ports stay taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


class Stopped(BaseException):
    """The process was told to end."""


@contextmanager
def stop_by_signal() -> Iterator[None]:
    """Let SIGTERM and SIGINT raise Stopped inside, so that all that was opened there is closed in order."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve(app: App, listener: socket.socket) -> None:
    """Serve until a signal comes; uvicorn finishes what is under way and raises the signal again."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        ws="none",
    )
    serving = uvicorn.Server(config).serve(sockets=[listener])
    try:
        asyncio.run(serving)
    finally:
        serving.close()  # a signal may come before it was begun
