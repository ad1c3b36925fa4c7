"""Storage that speaks S3, on loopback: moto's server, in a process of its own."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
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

    def through(self, endpoint: str) -> "ObjectStore":
        """The same server, reached by another address."""
        return ObjectStore(endpoint)


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


@contextmanager
def unconditional(store: ObjectStore) -> Iterator[ObjectStore]:
    """The same server behind one that forgets conditions, as some that speak S3 do."""

    class Forgetful(BaseHTTPRequestHandler):
        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept: Mapping[str, str] = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("if-match", "if-none-match", "host", "connection")
            }
            request = urllib.request.Request(
                store.endpoint + self.path, body or None, dict(kept), method=self.command
            )
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    status, headers, content = answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                status, headers, content = error.code, error.headers, error.read()
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in (
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "server",
                    "date",
                ):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_DELETE = do_POST = relay

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store.through(f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
