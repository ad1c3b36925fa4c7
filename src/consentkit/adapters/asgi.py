"""ASGI 3: a pure callable around the application, for http and websocket scopes.

    app = ConsentMiddleware(app, manager)

Put it outside of whatever sets cookies (sessions included) and inside of whatever compresses. Needs asyncio:
storage never holds up the event loop, since a decision waits for its record in the ledger's own thread. When the
server stops, the ledger's files are brought in order; it stays usable, since who opened a manager closes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from consentkit.errors import ConsentkitError
from consentkit.web.exchange import KEY, Exchange, Started, consent_from, exchange_from
from consentkit.web.front import Fronts
from consentkit.web.inject import Injector
from consentkit.web.protocol import Manager
from consentkit.web.request import Request
from consentkit.web.unclaimed import Unclaimed
from consentkit.web.wiring import check_wiring

__all__ = ["ConsentMiddleware", "consent_from", "exchange_from"]

_log = logging.getLogger("consentkit.asgi")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_SECONDS = 10.0
"""How long a decision's body may take to arrive."""

# What sends a body, or ends one, without the bytes passing through here.
_BEYOND_REACH = frozenset({"http.response.pathsend", "http.response.zerocopysend", "http.response.trailers"})


class ConsentMiddleware:
    """Wraps an application: reads consent lazily, keeps refused cookies back, serves consentkit's endpoints.

    `manager` is a ConsentManager, or for an application of many sites a callable from host (lower-case, without
    port) to manager. For a host that it answers with None or a LookupError, the request passes, everything but
    `necessary` is denied, no banner is shown, and an error is logged. Raises InvalidOption where the arguments are
    swapped or something else.
    """

    def __init__(self, app: App, manager: Manager | Callable[[str], Manager | None]) -> None:
        check_wiring(app, manager, "ASGI")
        self.app = app
        self._fronts = Fronts(manager)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection or request."""
        kind = scope["type"]
        if kind == "lifespan":
            await _Lifespan(receive, send, self._fronts).run(self.app, scope)
            return
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        front = self._fronts.single or self._fronts.at(_request(scope).host)
        if front is None:
            scope[KEY] = Unclaimed()
            await self.app(scope, receive, send)
            return
        exchange = Exchange(front, _request, scope)
        if kind == "websocket":
            scope[KEY] = exchange
            await self.app(scope, receive, _websocket_send(exchange, send))
        elif front.owns(_path(scope)):
            await _answer(exchange, receive, send)
        else:
            scope[KEY] = exchange
            relay = _Relay(exchange, send)
            await self.app(scope, receive, relay)
            await relay.end()


def _path(scope: Scope) -> str:
    """Give the path below the mount point; servers differ in whether `path` has `root_path` in front."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :] or "/"
    return path


def _request(scope: Scope) -> Request:
    return Request(
        method=scope.get("method", "GET"),
        path=_path(scope),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=scope["headers"],
        scheme=scope.get("scheme", "http"),
        root_path=scope.get("root_path", "").rstrip("/"),
    )


async def _answer(exchange: Exchange, receive: Receive, send: Send) -> None:
    """Serve one of consentkit's own endpoints."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read(receive, exchange.body_limit)
    except TimeoutError:
        body = None
    except _ClientGoneError:
        return
    if exchange.reads_storage:
        response = await asyncio.to_thread(exchange.respond, body)
    else:
        response = await exchange.arespond(body)
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.body})


class _ClientGoneError(Exception):
    """The client hung up before its request was complete."""


async def _read(receive: Receive, limit: int) -> bytes | None:
    """Read a body as far as `limit`; what is beyond does not matter any more."""
    body = bytearray()
    more = limit > 0
    while more and len(body) < limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body[:limit])


class _NotLifespanError(Exception):
    """An application answers the server's start as if it were a request."""


class _Lifespan:
    """The application's lifespan, or one in place of it: some servers end in a way that tells nobody else."""

    def __init__(self, receive: Receive, send: Send, fronts: Fronts) -> None:
        self._receive, self._send, self._fronts = receive, send, fronts
        self._received = 0
        self._answered = False

    async def run(self, app: App, scope: Scope) -> None:
        """Let the application handle its lifespan; one that knows of none has it handled here."""
        try:
            await app(scope, self._get, self._put)
        except _NotLifespanError:
            pass
        except Exception:
            if self._answered or self._received:
                raise
            _log.debug("the application has no lifespan", exc_info=True)
        if self._answered:
            return
        if not self._received:
            await self._receive()
        await self._send({"type": "lifespan.startup.complete"})
        await self._receive()
        await self._put({"type": "lifespan.shutdown.complete"})

    async def _get(self) -> Message:
        message = await self._receive()
        self._received += 1
        return message

    async def _put(self, message: Message) -> None:
        kind = message["type"]
        if not kind.startswith("lifespan."):
            raise _NotLifespanError
        self._answered = True
        if kind.startswith("lifespan.shutdown."):
            try:
                await asyncio.to_thread(self._fronts.rest)
            except ConsentkitError:
                _log.exception("a ledger did not come to rest; what was answered is durable all the same")
        await self._send(message)


def _websocket_send(exchange: Exchange, send: Send) -> Send:
    async def relay(message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            message = {**message, "headers": exchange.accept(message.get("headers", ()))}
        elif kind == "websocket.http.response.start":
            started = exchange.start(message["status"], message.get("headers", ()), inject=False)
            message = {**message, "headers": started.headers()}
        await send(message)

    return relay


class _Relay:
    """The `send` that an application gets: messages pass as they are, but for a response that must be changed."""

    __slots__ = ("_exchange", "_held", "_injector", "_send", "_waiting")

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange, self._send = exchange, send
        self._injector: Injector | None = None  # while the body goes through it
        self._waiting: tuple[Message, Started] | None = None  # a start that waits for the injector
        self._held: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            await self._begin(message)
        elif self._injector is None:
            await self._send(message)
        elif kind == "http.response.body":
            await self._body(message, self._injector)
        else:
            if kind in _BEYOND_REACH:
                await self.end(more=True)
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers = message.get("headers", ())
        started = self._exchange.start(message["status"], headers)
        self._injector = started.injector
        if started.holds:
            self._waiting = message, started
            return
        sent = started.headers()
        await self._send(message if sent is headers else {**message, "headers": sent})

    async def _body(self, message: Message, injector: Injector) -> None:
        self._held.append(injector.feed(message.get("body", b""), last=not message.get("more_body", False)))
        if injector.settled:
            self._injector = None
        elif self._waiting is not None:
            return
        await self._send({**message, "body": await self._release()})

    async def _release(self) -> bytes:
        """Send the start if it waits, and give the bytes that were held back."""
        if self._waiting is not None:
            (message, started), self._waiting = self._waiting, None
            await self._send({**message, "headers": started.headers()})
        data, self._held = b"".join(self._held), []
        return data

    async def end(self, *, more: bool = False) -> None:
        """Send whatever was held back, since nothing will be injected any more."""
        if self._injector is not None:
            self._held.append(self._injector.feed(b"", last=True))
            self._injector = None
            data = await self._release()
            if data:
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
