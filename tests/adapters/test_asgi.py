"""What only ASGI has: messages, other scopes, an event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consentkit.adapters import asgi
from consentkit.adapters.asgi import ConsentMiddleware, consent_from
from consentkit.errors import LedgerUnavailable
from tests.adapters.drivers import Call, receiver, scope_of
from tests.web.sites import ADS, SESSION, Site

Message = dict[str, Any]
App = Callable[..., Awaitable[None]]

PAGE = b"<html><body>text</body></html>"
HTML = (b"content-type", b"text/html")
LENGTH = (b"content-length", str(len(PAGE)).encode())
OWN = ("Sec-Fetch-Site", "same-origin")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def start(*headers: tuple[bytes, bytes], status: int = 200, **more: Any) -> Message:
    """The beginning of a response."""
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data: bytes, *, more: bool = False) -> Message:
    """A piece of a body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def sending(*messages: Message) -> App:
    """An application that sends these messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def sent_by(
    app: App, site: Site | None = None, call: Call | None = None, scope: Message | None = None
) -> list[Message]:
    """All that reaches the server."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    call = call or Call()
    asyncio.run(ConsentMiddleware(app, site or Site())(scope or scope_of(call), receiver(call), send))
    return sent


def test_other_scopes_pass() -> None:
    """Whatever is to come is the application's and the server's."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    scope = {"type": "newer"}
    asyncio.run(ConsentMiddleware(app, Site())(scope, receiver, print))  # type: ignore[arg-type]
    assert seen == [({"type": "newer"}, receiver, print)]


# The lifespan of a server


async def proper(scope: Any, receive: Any, send: Any) -> None:
    """An application that has a lifespan."""
    assert scope == {"type": "lifespan", "state": {}}
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def ignorant(scope: Any, receive: Any, send: Any) -> None:
    """One that takes every scope for a request that it knows."""
    raise KeyError("path")


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """One that does nothing about other scopes."""


async def curious(scope: Any, receive: Any, send: Any) -> None:
    """One that takes the message for a request's body, and answers."""
    await receive()
    await send(start(HTML))


async def eager(scope: Any, receive: Any, send: Any) -> None:
    """One that answers at once."""
    await send(start(HTML))


def lived(app: App, site: Site, *, failing: bool = False) -> list[str]:
    """Take an application through a server's life; give what it answered, and when the manager came to rest."""
    told: list[str] = []
    messages = ["lifespan.startup", "lifespan.shutdown"]

    async def receive() -> Message:
        return {"type": messages.pop(0)}

    async def send(message: Message) -> None:
        told.append(message["type"])

    def rest() -> None:
        told.append("rest")
        if failing:
            raise LedgerUnavailable("the disk is gone")

    site.rest = rest  # type: ignore[method-assign]
    asyncio.run(ConsentMiddleware(app, site)({"type": "lifespan", "state": {}}, receive, send))
    assert messages == []
    return told


@pytest.mark.parametrize("app", [proper, ignorant, silent, curious, eager])
def test_the_ledger_comes_to_rest_when_the_server_stops(app: App) -> None:
    """Before the server hears that the application is done, whether or not that has a lifespan of its own."""
    assert lived(app, Site()) == ["lifespan.startup.complete", "rest", "lifespan.shutdown.complete"]


def test_a_ledger_that_does_not_come_to_rest_keeps_no_server_from_stopping(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged; nothing is lost by it."""
    assert lived(proper, Site(), failing=True)[-1] == "lifespan.shutdown.complete"
    assert "did not come to rest" in caplog.text


def test_a_start_that_fails_is_the_applications_to_tell() -> None:
    """Nothing is made up in its place, nor is its error taken away."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        lived(failing, Site())

    async def polite(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        lived(polite, Site())


def test_of_many_sites_those_that_were_visited_come_to_rest() -> None:
    """A manager that never served a request here has nothing to finish here."""
    sites = {"one.example": Site(), "two.example": Site()}

    async def page(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await proper(scope, receive, send)
        else:
            await send(start())
            await send(body(b""))

    middleware = ConsentMiddleware(page, sites.get)
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        """Nobody listens."""

    async def life() -> None:
        await middleware({**scope_of(Call()), "headers": [(b"host", b"two.example")]}, receive, send)
        await middleware({"type": "lifespan", "state": {}}, receive, send)

    asyncio.run(life())
    assert {host: site.rests for host, site in sites.items()} == {"one.example": 0, "two.example": 1}


def test_a_message_that_needs_no_change_is_the_very_same() -> None:
    """Nothing is copied for nothing."""
    messages = [start((b"content-type", b"text/plain")), body(b"x")]
    sent = sent_by(sending(*messages))
    assert all(a is b for a, b in zip(sent, messages, strict=True))


@pytest.mark.parametrize("headers", [[HTML, LENGTH], [HTML]])
def test_T9_all_keys_of_a_changed_message_are_kept(headers: list[tuple[bytes, bytes]]) -> None:
    """`trailers` on the start, and whatever an extension adds to a body."""
    first = start(*headers, trailers=True, custom=1)
    sent = sent_by(
        sending(first, {**body(PAGE), "custom": 2}, {"type": "http.response.trailers", "headers": []})
    )
    assert (sent[0]["trailers"], sent[0]["custom"], sent[1]["custom"]) == (True, 1, 2)
    assert sent[1]["body"] != PAGE
    assert sent[2]["type"] == "http.response.trailers"


@pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend"])
@pytest.mark.parametrize("headers", [[HTML, LENGTH], [HTML]])
def test_T9_a_file_that_the_server_sends_passes(kind: str, headers: list[tuple[bytes, bytes]]) -> None:
    """The start goes first, nothing is injected, and an announced length stays."""
    file = {"type": kind, "path": "/x"}
    sent = sent_by(sending(start(*headers), file))
    assert [message["type"] for message in sent] == ["http.response.start", kind]
    assert [value for name, value in sent[0]["headers"] if name == b"content-length"] == [
        v for n, v in headers if n == b"content-length"
    ]
    assert sent[1] is file


def test_T9_what_was_held_back_goes_before_a_file() -> None:
    """A body that begins in messages and goes on as a file loses nothing on the way."""
    file = {"type": "http.response.zerocopysend", "file": 3}
    sent = sent_by(sending(start(HTML), body(b"<html><bo", more=True), file))
    assert [message.get("body") for message in sent] == [None, b"<html>", b"<bo", None]
    assert sent[2]["more_body"] is True


@pytest.mark.parametrize("kind", ["http.response.early_hint", "http.response.push", "http.response.debug"])
def test_T9_other_extensions_pass_and_injection_goes_on(kind: str) -> None:
    """Before the start or after it."""
    extra = {"type": kind, "links": [b"x"]}
    sent = sent_by(sending(extra, start(HTML, LENGTH), extra, body(PAGE)))
    assert [message["type"] for message in sent] == [kind, kind, "http.response.start", "http.response.body"]
    assert b"<link" in sent[3]["body"]


def test_T1_a_start_without_length_is_sent_at_once() -> None:
    """A page that takes its time is not held up: its headers leave before the first piece is there."""
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(HTML))
        seen.append(len(sent))
        await send(body(b"<html>", more=True))
        seen.append(len(sent))
        await send(body(b"<body>text"))

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(ConsentMiddleware(app, Site())(scope_of(Call()), receiver(Call()), send))
    assert seen == [1, 2]


def test_a_body_message_may_leave_its_keys_out() -> None:
    """`body` and `more_body` have defaults, and so have the headers of a start."""
    sent = sent_by(sending({"type": "http.response.start", "status": 204}, {"type": "http.response.body"}))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    sent = sent_by(sending(start(HTML, (b"content-length", b"0")), {"type": "http.response.body"}))
    assert sent[1]["body"] == b""


def test_an_application_that_never_ends_its_body_is_not_swallowed() -> None:
    """What it did send reaches the server, which then says what is wrong."""
    sent = sent_by(sending(start(HTML, LENGTH)))
    assert [message["type"] for message in sent] == ["http.response.start"]
    sent = sent_by(sending(start(HTML, LENGTH), body(b"<html>", more=True)))
    assert b"".join(message.get("body", b"") for message in sent) == b"<html>"


def test_T24_an_error_before_the_body_leaves_the_response_to_the_server() -> None:
    """The waiting start is not sent, so the server can still answer 500."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(HTML, LENGTH))
        raise RuntimeError("broken template")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(RuntimeError, match="broken template"):
        asyncio.run(ConsentMiddleware(app, Site())(scope_of(Call()), receiver(Call()), send))
    assert sent == []


def test_T24_an_error_within_the_body_reaches_the_server() -> None:
    """Never swallowed."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(HTML))
        raise RuntimeError("broken template")

    with pytest.raises(RuntimeError, match="broken template"):
        sent_by(app)


def websocket(*headers: tuple[str, str]) -> Message:
    """The scope of a WebSocket."""
    scope = scope_of(Call(headers=headers))
    del scope["method"]
    return {**scope, "type": "websocket", "scheme": "wss"}


def test_T8_consent_is_read_from_a_websockets_handshake() -> None:
    """Its cookies and signals are those of the page."""
    seen: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(consent_from(scope).allows("analytics"))

    sent_by(app, scope=websocket(("X-Region", "ZA")))
    sent_by(app, scope=websocket(("X-Region", "ZA"), ("Cookie", "__Host-consent=0.refused")))
    assert seen == [True, False]


def test_T8_cookies_are_kept_back_when_a_websocket_is_accepted() -> None:
    """And when it is denied with a response of its own; other messages pass."""
    headers = [(b"set-cookie", ADS.encode()), (b"set-cookie", SESSION.encode())]
    accept = {"type": "websocket.accept", "subprotocol": "x", "headers": headers}
    denial = {"type": "websocket.http.response.start", "status": 403, "headers": [HTML, *headers]}
    rest = {"type": "websocket.http.response.body", "body": PAGE}
    sent = sent_by(sending(accept, {"type": "websocket.accept"}, denial, rest), scope=websocket())
    assert sent[0] == {**accept, "headers": headers[1:]}
    assert list(sent[1]["headers"]) == []
    assert [value for name, value in sent[2]["headers"] if name == b"set-cookie"] == [SESSION.encode()]
    assert sent[3] is rest


@pytest.mark.parametrize(
    ("root", "path"),
    [("", "/consent"), ("/app", "/app/consent"), ("/app", "/consent"), ("/app/", "/app/consent")],
)
def test_T25_servers_differ_in_whether_the_path_has_the_mount_point(root: str, path: str) -> None:
    """Both ways lead to the endpoint."""
    scope = {**scope_of(Call()), "root_path": root, "path": path}
    sent = sent_by(sending(), scope=scope)
    prefix = root.rstrip("/").encode()
    assert b'action="' + prefix + b'/consent/decision"' in sent[1]["body"]


def test_T25_a_path_that_only_begins_like_the_mount_point_is_whole() -> None:
    """`/apple` is not below `/app`; and the mount point itself is the root."""
    assert asgi._path({"path": "/apple", "root_path": "/app"}) == "/apple"
    assert asgi._path({"path": "/app", "root_path": "/app"}) == "/"


def test_a_client_that_hangs_up_gets_nothing() -> None:
    """There is nobody to answer."""
    site = Site()
    call = Call("POST", "/consent/decision", (OWN, FORM), b"control=refuse", short_by=5)
    assert sent_by(sending(), site, call) == []
    assert site.log == []


def test_a_body_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """408, and the connection is free again."""
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.01)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    call = Call("POST", "/consent/decision", (OWN, FORM))
    asyncio.run(ConsentMiddleware(sending(), Site())(scope_of(call), receive, send))
    assert sent[0]["status"] == 408


def test_a_body_is_read_no_further_than_the_cap() -> None:
    """What a client sends beyond it is not even taken from the server."""
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1000
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    call = Call("POST", "/consent/decision", (OWN, FORM))
    asyncio.run(ConsentMiddleware(sending(), Site(max_body=2500))(scope_of(call), receive, send))
    assert (sent[0]["status"], taken) == (413, 3000)


def test_a_decision_does_not_hold_up_the_event_loop() -> None:
    """Others are served while its record is on its way to the disk."""
    reached, go_on = threading.Event(), threading.Event()
    site = Site()
    decide = site.decide_for

    def slow(*arguments: Any) -> Any:
        reached.set()
        assert go_on.wait(10)
        return decide(*arguments)

    site.decide_for = slow  # type: ignore[method-assign]
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def both() -> None:
        call = Call("POST", "/consent/decision", (OWN, FORM), b"control=refuse")
        middleware = ConsentMiddleware(sending(start(), body(b"other")), site)
        deciding = asyncio.create_task(middleware(scope_of(call), receiver(call), send))
        await asyncio.to_thread(reached.wait, 10)
        await middleware(scope_of(Call()), receiver(Call()), send)
        go_on.set()
        await deciding

    asyncio.run(both())
    assert [m["status"] for m in sent if m["type"] == "http.response.start"] == [200, 303]


def test_a_receipt_is_read_in_a_thread_of_its_own() -> None:
    """Storage may be slow."""
    site, threads = Site(), []

    def receipt(request: Any) -> bytes:
        threads.append(threading.current_thread())
        return b"{}"

    site.receipt = receipt  # type: ignore[method-assign]
    assert sent_by(sending(), site, Call(path="/consent/receipt"))[0]["status"] == 200
    assert threads != [threading.main_thread()]
