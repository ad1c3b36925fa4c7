"""A TCP proxy on loopback that breaks connections at a chosen moment of a conversation."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Self


class Cut(Enum):
    """When a connection breaks, seen from a client that says something."""

    BEFORE = "before the server has heard it"
    IN = "when the server has heard it, and nobody waits for the answer"
    AFTER = "when the server has answered, and the answer is lost"
    LATE = "at once, and yet the server hears it, half a second later"


class Proxy:
    """Passes bytes on between its port and a server's socket, until `cut` says otherwise. Use as a context."""

    def __init__(self, upstream: Path) -> None:
        self._upstream = str(upstream)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.fired = 0
        self._armed: tuple[bytes, Cut] | None = None
        self._open: set[socket.socket] = set()
        self._refusing = False
        self._passing = threading.Event()
        self._passing.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.break_all()

    def cut(self, said: bytes, how: Cut) -> None:
        """Break the next connection on which a client says this, once."""
        self._armed = said, how

    def refuse(self, refusing: bool) -> None:
        """Let every new connection break at once, as long as that is wanted."""
        self._refusing = refusing

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Pass nothing on for the while, and keep what is said."""
        self._passing.clear()
        try:
            yield
        finally:
            self._passing.set()

    def break_all(self) -> None:
        """Break every connection that there is."""
        for one in list(self._open):
            self._break(one)

    def _break(self, *ends: socket.socket) -> None:
        for end in ends:
            self._open.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refusing:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._upstream)
                self._open |= {client, server}
                silent = threading.Event()
                threading.Thread(target=self._upward, args=(client, server, silent), daemon=True).start()
                threading.Thread(target=self._downward, args=(client, server, silent), daemon=True).start()

    def _upward(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        tail = b""  # what is waited for may come in two pieces
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20):
                self._passing.wait()
                armed = self._armed
                if armed and armed[0] in tail + data:
                    self._armed = None
                    self.fired += 1
                    if armed[1] is not Cut.AFTER:
                        self._strike(armed[1], data, client, server)
                        return
                    silent.set()  # the other thread sees the answer, keeps it to itself, and breaks the connection
                tail = data[-64:] if armed else b""
                server.sendall(data)
        self._break(client, server)

    def _strike(self, how: Cut, data: bytes, client: socket.socket, server: socket.socket) -> None:
        if how is Cut.LATE:
            self._break(client)
            time.sleep(0.5)
        if how is not Cut.BEFORE:
            server.sendall(data)
        self._break(client, server)

    def _downward(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if silent.is_set():
                    break
                with contextlib.suppress(OSError):  # a client that is gone, as `LATE` has it
                    client.sendall(data)
        self._break(client, server)
