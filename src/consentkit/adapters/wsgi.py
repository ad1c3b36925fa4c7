"""WSGI (PEP 3333): a pure callable around the application.

    app = ConsentMiddleware(app, manager)

Put it outside of whatever sets cookies (sessions included) and inside of whatever compresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from consentkit.web.exchange import KEY, Exchange, Started, consent_from, exchange_from
from consentkit.web.front import Fronts
from consentkit.web.inject import Injector
from consentkit.web.protocol import Manager
from consentkit.web.request import Headers, Request
from consentkit.web.unclaimed import Unclaimed
from consentkit.web.wiring import check_wiring

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ConsentMiddleware", "consent_from", "exchange_from"]

Native = list[tuple[str, str]]
Write = Callable[[bytes], object]

_REASONS = {
    200: "OK", 303: "See Other", 304: "Not Modified", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 413: "Content Too Large",
    415: "Unsupported Media Type", 503: "Service Unavailable",
}  # fmt: skip


class ConsentMiddleware:
    """Wraps an application: reads consent lazily, keeps refused cookies back, serves consentkit's endpoints.

    `manager` is a ConsentManager, or for an application of many sites a callable from host (lower-case, without
    port) to manager. For a host that it answers with None or a LookupError, the request passes, everything but
    `necessary` is denied, no banner is shown, and an error is logged. Raises InvalidOption where the arguments are
    swapped or something else.
    """

    def __init__(self, app: WSGIApplication, manager: Manager | Callable[[str], Manager | None]) -> None:
        check_wiring(app, manager, "WSGI")
        self.app = app
        self._fronts = Fronts(manager)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        front = self._fronts.single or self._fronts.at(_request(environ).host)
        if front is None:
            environ[KEY] = Unclaimed()
            return self.app(environ, start_response)
        exchange = Exchange(front, _request, environ)
        if front.owns(environ.get("PATH_INFO", "")):
            return _answer(exchange, environ, start_response)
        environ[KEY] = exchange
        relay = _Relay(exchange, start_response)
        body = self.app(environ, relay)
        if relay.passes or _is_file(environ, body):
            relay.give_up()
            return body  # the very object: a server sends files its own way, and closes what it got
        return _Body(relay, body)


def _is_file(environ: WSGIEnvironment, body: object) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _request(environ: WSGIEnvironment) -> Request:
    return Request(
        method=environ.get("REQUEST_METHOD", "GET"),
        path=_decoded(environ.get("PATH_INFO", "")),
        query=environ.get("QUERY_STRING", ""),
        headers=_headers(environ),
        scheme=environ.get("wsgi.url_scheme", "http"),
        root_path=_decoded(environ.get("SCRIPT_NAME", "").rstrip("/")),
    )


def _decoded(path: str) -> str:
    """Read the bytes that PEP 3333 passes in latin-1 clothes as the UTF-8 that they are."""
    return path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")


def _headers(environ: WSGIEnvironment) -> Headers:
    """Give the request's header fields; a server has joined fields of one name, so there is one of each."""
    found = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            found.append((key[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")))
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            found.append((key.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")))
    return found


def _answer(exchange: Exchange, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve one of consentkit's own endpoints."""
    response = exchange.respond(_read(environ, exchange.body_limit))
    start_response(f"{response.status} {_REASONS[response.status]}", _native(response.headers))
    return [response.body]


def _read(environ: WSGIEnvironment, limit: int) -> bytes | None:
    """Read a body as far as `limit`; None if less arrived than was announced."""
    announced = environ.get("CONTENT_LENGTH") or "0"
    if not (announced.isascii() and announced.isdigit()):
        return None
    endless = environ.get("wsgi.input_terminated") and "CONTENT_LENGTH" not in environ
    wanted = limit if endless else min(int(announced), limit)
    body = bytearray()
    try:
        while len(body) < wanted:
            chunk = environ["wsgi.input"].read(wanted - len(body))
            if not chunk:
                break
            body += chunk
    except OSError:
        return None
    return bytes(body) if endless or len(body) == wanted else None


def _native(headers: Headers) -> Native:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


class _Relay:
    """The `start_response` that an application gets, and what its body goes through if it must be changed."""

    __slots__ = ("_exchange", "_held", "_injector", "_start_response", "_waiting", "_write", "passes")

    def __init__(self, exchange: Exchange, start_response: StartResponse) -> None:
        self._exchange, self._start_response = exchange, start_response
        self._injector: Injector | None = None  # while the body goes through it
        self._waiting: tuple[str, Started, Any] | None = None  # a start that waits for the injector
        self._held: list[bytes] = []
        self._write: Write | None = None
        # Whether the response has begun and its body needs no change.
        self.passes: bool = False

    def __call__(self, status: str, headers: Native, exc_info: Any = None, /) -> Write:
        if self._waiting is not None and exc_info is None:
            self.give_up()  # a second start is the application's mistake, for the server to say
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        started = self._exchange.start(int(status[:3]), raw)
        self._injector, self._waiting, self._held = started.injector, None, []
        self.passes = started.injector is None
        if started.holds:
            self._waiting = status, started, exc_info
            return self.write
        sent = started.headers()
        write = self._send(status, headers if sent is raw else _native(sent), exc_info)
        return write if self.passes else self.write

    def _send(self, status: str, headers: Native, exc_info: Any) -> Write:
        if exc_info is None:
            self._write = self._start_response(status, headers)
        else:
            self._write = self._start_response(status, headers, exc_info)
        return self._write

    def feed(self, chunk: bytes, *, last: bool = False) -> bytes | None:
        """Take a piece of the body and give what may be sent by now; None while the start waits."""
        injector = self._injector
        if injector is None:
            return chunk
        self._held.append(injector.feed(chunk, last=last))
        if injector.settled:
            self._injector = None
        elif self._waiting is not None:
            return None
        if self._waiting is not None:
            (status, started, exc_info), self._waiting = self._waiting, None
            self._send(status, _native(started.headers()), exc_info)
        data, self._held = b"".join(self._held), []
        return data

    def write(self, data: bytes) -> None:
        """Stand in for the `write` of `start_response`."""
        sent = self.feed(data)
        if sent and self._write is not None:
            self._write(sent)

    def give_up(self) -> None:
        """Start the response without injection, if it waits, and send what was written so far."""
        rest = self.feed(b"", last=True)
        if rest and self._write is not None:
            self._write(rest)


class _Body:
    """The body of a response that may be changed; closes the application's own iterable exactly once."""

    __slots__ = ("_closed", "_iterable", "_iterator", "_relay")

    def __init__(self, relay: _Relay, iterable: Iterable[bytes]) -> None:
        self._relay, self._iterable = relay, iterable
        self._iterator: Iterator[bytes] | None = None
        self._closed = False

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = iter(self._iterable)
        for chunk in self._iterator:
            data = self._relay.feed(chunk)
            if data is not None:
                return data
        rest = self._relay.feed(b"", last=True)
        if rest:
            return rest
        raise StopIteration

    def close(self) -> None:
        """Close the application's iterable, however far it was read."""
        if not self._closed:
            self._closed = True
            close = getattr(self._iterable, "close", None)
            if close is not None:
                close()
