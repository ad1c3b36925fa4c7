"""Post as fast as a server answers: `python -m benchmarks.http_client PORT PATH BODY CONNECTIONS SECONDS`.

Plain sockets, so that it takes little of the processor that the server needs. Prints JSON: how many requests were
answered in all, answers a second, the median and 99th percentile of how long one took, and the processor time that
the client itself spent on each, in seconds.
"""

import json
import selectors
import socket
import statistics
import sys
import time

WARM_UP = 0.5


def request(path: str, body: str) -> bytes:
    """The request, as a browser sends a form."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: blog.example\r\nSec-Fetch-Site: same-origin\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Connection:
    """One keep-alive connection with one request under way at a time."""

    def __init__(self, port: int, data: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data, self._answer, self._begun = data, b"", 0.0

    def send(self) -> None:
        """Send the request; it is small enough to leave at once."""
        self._begun = time.perf_counter()
        self.socket.sendall(self._data)

    def receive(self) -> float | None:
        """Take what has come; return how long the answer took once it is whole, and None until then."""
        self._answer += self.socket.recv(65536)
        if not self._answer.endswith(b"\r\n\r\n"):
            if not self._answer:
                raise RuntimeError("the server closed a connection")
            return None
        answer, self._answer = self._answer, b""
        if not answer.startswith(b"HTTP/1.1 303") or b"content-length: 0" not in answer.lower():
            raise RuntimeError(f"the server answered {answer[:200]!r}")
        return time.perf_counter() - self._begun


def load(port: int, data: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Keep every connection busy for so long, after a moment to warm up."""
    taken: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = Connection(port, data)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send()
        before: list[float] = []
        _serve(selector, time.perf_counter() + WARM_UP, before)
        begun, spent = time.perf_counter(), time.process_time()
        _serve(selector, begun + seconds, taken)
        elapsed, spent = time.perf_counter() - begun, time.process_time() - spent
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    cuts = statistics.quantiles(taken, n=100)
    count = len(before) + len(taken)
    return {
        "count": count, "rate": len(taken) / elapsed, "p50": cuts[49], "p99": cuts[98], "client": spent / len(taken),
    }  # fmt: skip


def _serve(selector: selectors.BaseSelector, until: float, taken: list[float]) -> None:
    """Send the next request over each connection whose answer has come, until it is time to stop."""
    while time.perf_counter() < until:
        for key, _ in selector.select(30):
            if (seconds := key.data.receive()) is not None:
                taken.append(seconds)
                key.data.send()


def main() -> None:
    """Run, and print what came of it."""
    port, path, body, connections, seconds = sys.argv[1:]
    print(json.dumps(load(int(port), request(path, body), int(connections), float(seconds))))


if __name__ == "__main__":
    main()
