"""Storage that speaks S3, on loopback: moto's server, in a process of its own."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import attrs

from tests.support import free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "very-secret"}


@attrs.frozen
class ObjectStore:
    """A server's address, and the URLs of places in it."""

    endpoint: str

    def url(self, bucket: str, prefix: str = "log") -> str:
        """The place of a prefix in a bucket, which is made."""
        request = urllib.request.Request(f"{self.endpoint}/{bucket}", method="PUT")
        with urllib.request.urlopen(request, timeout=20):
            pass
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&region=us-east-1"


@contextmanager
def serving() -> Iterator[ObjectStore]:
    """Run a server while the context lasts."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | CREDENTIALS
    )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait(process, f"{endpoint}/moto-api/")
        yield ObjectStore(endpoint)
    finally:
        process.terminate()
        process.wait(20)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"moto's server ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("moto's server does not answer")


Answer = tuple[int, Mapping[str, str], bytes]


class Relay:
    """Stands before a server, and can spoil what passes. `requests` are those that came: method, path, body size.

    `forgets` names request headers that the server does not get, `hides` answer headers that nobody gets. `rule` may
    answer a request in the server's stead, close the connection by `Cut`, or let it pass by None.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.forgets: frozenset[str] = frozenset()
        self.hides: frozenset[str] = frozenset()
        self.rule: Callable[[str, str], Answer | None] = lambda method, path: None
        self.requests: list[tuple[str, str, int]] = []

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request, or have the server do it."""
        self.requests.append((method, path, len(body)))
        if (given := self.rule(method, path)) is not None:
            return given
        dropped = {"host", "connection"} | self.forgets
        kept = {name: value for name, value in headers.items() if name.lower() not in dropped}
        kept = {"Content-Type": "application/octet-stream"} | kept  # or urllib says that it is a form
        request = urllib.request.Request(self.store.endpoint + path, body or None, kept, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def written(self) -> list[str]:
        """The paths of files that were sent, those of self-tests aside."""
        sent = [path for method, path, _ in self.requests if method == "PUT" and path.count("/") > 1]
        return [path for path in sent if "/selftest-" not in path]


class Cut(Exception):
    """What a rule raises to have the connection closed."""


@contextmanager
def relaying(store: ObjectStore) -> Iterator[tuple[Relay, ObjectStore]]:
    """The same server behind a relay."""
    relay = Relay(store)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                status, headers, content = relay.answer(self.command, self.path, dict(self.headers), body)
            except Cut:
                self.close_connection = True
                return
            own = {"transfer-encoding", "connection", "server", "date"} | relay.hides
            headers = {"Content-Length": str(len(content))} | headers
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in own:
                    self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
                self.close_connection = int(headers["Content-Length"]) > len(content)  # the rest never comes

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = relay

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield relay, ObjectStore(f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
