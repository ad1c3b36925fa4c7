"""A witness for tests, on loopback, written from c2sp.org/tlog-witness: it checks what a real one must."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

from consentkit.errors import InvalidLog
from consentkit.evidence.witness import Witness
from consentkit.keys import Ed25519Signer
from consentkit.tlog import (
    Algorithm,
    Checkpoint,
    VerifierKey,
    add_signatures,
    check_consistency,
    cosign,
    open_checkpoint,
    parse_note,
)
from tests.evidence.samples import signer

Answer = tuple[int, bytes]


class WitnessServer:
    """Cosigns the checkpoints of `log_keys`. `answers`, while it has any, are given instead; `requests` are kept."""

    def __init__(self, name: str, *log_keys: VerifierKey) -> None:
        self.name, self.log_keys = name, {key.name: key for key in log_keys}
        self.signer: Ed25519Signer = signer(f"witness {name}")
        self.key = VerifierKey(name, Algorithm.COSIGNATURE_V1, self.signer.public_key)
        self.latest: dict[str, bytes] = {}
        self.requests: list[bytes] = []
        self.answers: list[Answer | Callable[[bytes], Answer]] = []
        self.clock: Callable[[], float] = time.time
        self.url = ""
        self._changed = Condition()

    def witness(self, **options: Any) -> Witness:
        """What a ledger is told of it; quick, since tests do not wait."""
        return Witness(f"{self.url}/prefix", self.key, **{"interval": 0.05, "timeout": 5.0} | options)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer a request, whichever way."""
        with self._changed:
            self.requests.append(body)
            answer = self.answers.pop(0) if self.answers else self.decide
            made = answer(body) if callable(answer) else answer
            self._changed.notify_all()
        return made

    def decide(self, body: bytes) -> Answer:
        """Answer as the specification says, its checks in its order."""
        head, blank, checkpoint = body.partition(b"\n\n")
        old_line, *hashes = head.decode().split("\n")
        if not blank or not old_line.startswith("old ") or len(hashes) > 63:
            return 400, b"malformed\n"
        new = Checkpoint.parse(checkpoint.rpartition(b"\n\n")[0] + b"\n")
        if new.log_name not in self.log_keys:
            return 404, b"unknown log\n"
        try:
            open_checkpoint(checkpoint, self.log_keys[new.log_name])
        except InvalidLog:
            return 403, b"not signed by the log\n"
        old_size, latest = int(old_line.removeprefix("old ")), self.latest.get(new.log_name)
        if old_size > new.size:
            return 400, b"old is larger\n"
        known = Checkpoint.parse(parse_note(latest)[0]) if latest else None
        if old_size != (known.size if known else 0):
            return 409, b"%d\n" % (known.size if known else 0)
        try:
            self._check(known, new, [base64.b64decode(line) for line in hashes])
        except InvalidLog:
            return 422, b"inconsistent\n"
        line = cosign(checkpoint, self.name, self.signer, int(self.clock()))
        self.latest[new.log_name] = add_signatures(checkpoint, line)
        return 200, line

    @staticmethod
    def _check(known: Checkpoint | None, new: Checkpoint, proof: list[bytes]) -> None:
        if known is None or not known.size:
            if proof:
                raise InvalidLog("there is nothing to prove")
            return
        check_consistency(known.size, new.size, known.root, new.root, proof)

    def monitor(self, path: str) -> Answer:
        """Answer a request to the monitoring prefix."""
        for name, note in self.latest.items():
            if path == f"/prefix/{sha256(name.encode()).hexdigest()}/checkpoint":
                return 200, note
        return 404, b"not seen\n"

    def size(self, log_name: str) -> int:
        """How many entries of a log it has cosigned."""
        note = self.latest.get(log_name)
        return Checkpoint.parse(parse_note(note)[0]).size if note else 0

    def wait(self, ready: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait until `ready` says so after some request; fail if it never does."""
        with self._changed:
            assert self._changed.wait_for(ready, seconds), f"{self.name} waited in vain; saw {self.requests}"


def _handler(server: WitnessServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(server.add_checkpoint(body) if self.path == "/prefix/add-checkpoint" else (404, b""))

        def do_GET(self) -> None:
            self.answer(server.monitor(self.path))

        def answer(self, answer: Answer) -> None:
            status, body = answer
            self.send_response(status)
            self.send_header("Location", "/prefix/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def serving(name: str, *log_keys: VerifierKey) -> Iterator[WitnessServer]:
    """Run a witness on a free loopback port."""
    server = WitnessServer(name, *log_keys)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
