"""One description of an application, run through each adapter in process, without a server."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import attrs

from consentkit.adapters import asgi, wsgi
from consentkit.consent import Consent
from consentkit.web.exchange import Exchange
from tests.web.sites import HOST


@attrs.frozen
class Reply:
    """What an application answers: the body in the pieces that it is sent in."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html; charset=utf-8"),)
    chunks: tuple[bytes, ...] = (b"<html><head></head><body>text</body></html>",)


@attrs.frozen
class Call:
    """A request, as a client sends it."""

    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    mount: str = ""
    host: str = HOST
    short_by: int = 0
    """How many bytes less than announced arrive before the client hangs up."""


@attrs.frozen
class Answer:
    """What comes back. Names of header fields as they were sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        """All pieces together."""
        return b"".join(self.chunks)

    def values(self, name: str) -> list[str]:
        """Every value of a header field."""
        return [value for key, value in self.headers if key.lower() == name]


@attrs.frozen
class View:
    """What an application sees of consentkit, under one adapter."""

    consent_from: Callable[[object], Consent]
    exchange_from: Callable[[object], Exchange]
    carrier: Any

    @property
    def consent(self) -> Consent:
        """The consent of the request."""
        return self.consent_from(self.carrier)

    @property
    def exchange(self) -> Exchange:
        """The exchange of the request."""
        return self.exchange_from(self.carrier)


Behaviour = Callable[[View], Reply]


class Driver(Protocol):
    """Runs a behaviour behind an adapter's middleware."""

    name: str

    def call(self, behaviour: Behaviour, manager: Any, call: Call) -> Answer:
        """Send one request through."""


class Asgi:
    """Runs it as ASGI 3."""

    name = "asgi"

    def call(self, behaviour: Behaviour, manager: Any, call: Call) -> Answer:
        """Send one request through."""
        return asyncio.run(self._call(behaviour, manager, call))

    async def _call(self, behaviour: Behaviour, manager: Any, call: Call) -> Answer:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            reply = behaviour(View(asgi.consent_from, asgi.exchange_from, scope))
            headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in reply.headers]
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            for chunk in reply.chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await asgi.ConsentMiddleware(app, manager)(scope_of(call), receiver(call), send)
        if not sent:
            return Answer(0, (), ())
        start, *bodies = sent
        assert [m["type"] for m in bodies] == ["http.response.body"] * len(bodies)
        assert [m.get("more_body", False) for m in bodies] == [True] * (len(bodies) - 1) + [False]
        headers = tuple((k.decode(), v.decode("latin-1")) for k, v in start["headers"])
        return Answer(start["status"], headers, tuple(m["body"] for m in bodies))


def scope_of(call: Call) -> dict[str, Any]:
    """An ASGI scope as uvicorn makes it: `path` has the mount point in front."""
    fields = [("Host", call.host), *call.headers]
    if call.body or call.short_by:
        fields.append(("Content-Length", str(len(call.body) + call.short_by)))
    path, _, query = call.path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "https",
        "path": call.mount + path,
        "root_path": call.mount,
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in fields],
    }


def receiver(call: Call) -> Any:
    """A `receive` that gives the body in three pieces, and then says that the client is gone."""
    third = len(call.body) // 3 + 1
    pieces = [call.body[at : at + third] for at in range(0, len(call.body), third)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": bool(call.short_by) or number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


class Wsgi:
    """Runs it as WSGI, with the standard library's validator on both sides of the middleware."""

    name = "wsgi"

    def call(self, behaviour: Behaviour, manager: Any, call: Call) -> Answer:
        """Send one request through."""

        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            reply = behaviour(View(wsgi.consent_from, wsgi.exchange_from, environ))
            start_response(f"{reply.status} Whatever", list(reply.headers))
            return Chunks(reply.chunks)

        started: list[Any] = []

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
            started[:] = [status, headers]
            return lambda data: None

        middleware = wsgi.ConsentMiddleware(app, manager)
        iterable = validator(middleware)(environ_of(call), start_response)
        try:
            chunks = tuple(iterable)
        finally:
            iterable.close()  # type: ignore[attr-defined]
        status, headers = started
        return Answer(int(status[:3]), tuple(headers), chunks)


class Chunks:
    """A body in pieces, which notices being closed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self.closed = chunks, 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        """Count."""
        self.closed += 1


class Input:
    """A request's body; a read that waits for bytes which never come finds the connection closed."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, size: int) -> bytes:
        """Give at most 1000 bytes at once."""
        size = min(size, 1000)
        chunk, self._body = self._body[:size], self._body[size:]
        return chunk

    readline = readlines = __iter__ = None  # the validator wants them to be there


def environ_of(call: Call) -> dict[str, Any]:
    """A WSGI environ."""
    path, _, query = call.path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": call.method,
        "SCRIPT_NAME": call.mount,
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "HTTP_HOST": call.host,
        "wsgi.url_scheme": "https",
    }
    setup_testing_defaults(environ)
    environ["wsgi.input"] = Input(call.body)
    if call.body or call.short_by:
        environ["CONTENT_LENGTH"] = str(len(call.body) + call.short_by)
    for name, value in call.headers:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        joiner = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{joiner}{value}" if key in environ else value
    return environ


DRIVERS: tuple[Driver, ...] = (Asgi(), Wsgi())
