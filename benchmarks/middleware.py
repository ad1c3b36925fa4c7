"""What the middleware adds to a request: passed through, read and filtered, injected into; and Django's peer."""

import base64
import json
import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import httpx
import itsdangerous
from attrs import evolve
from starlette.middleware.sessions import SessionMiddleware

from benchmarks import django_peer
from benchmarks.core import Outcome, Sample, benchmark, race, seconds
from benchmarks.drive import HOST, asgi_call, asgi_calls, environ, scope, wsgi_call
from benchmarks.site import LOG_NAME, POLICY, site
from consentkit import ConsentManager
from consentkit.adapters import asgi, wsgi
from consentkit.consent import NOTHING, Basis, IdCookie, Story
from consentkit.consent.cookie import encode, encode_id
from consentkit.keys import Keys

MANY = 10_000  # more than a manager remembers
SECRET = "only for measuring"
OTHERS = "sid=0123456789abcdef; csrftoken=abcdefghijklmnopqrstuvwxyz012345; visitor_0=1"
JSON = [(b"content-type", b"application/json"), (b"content-length", b"2")]
SETS = [(b"set-cookie", b"visitor_0=1; Max-Age=15552000; Path=/"), (b"set-cookie", b"theme_0=dark; Path=/")]
PAGE = b"<!doctype html><html><head><title>News</title></head><body class='news'>" + b"<p>A line.</p>\n" * 585
PAGE += b"</body></html>"
HTML = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(PAGE)).encode())]


def visitor(manager: ConsentManager) -> str:
    """Return the Cookie header of a visitor who accepted everything, by way of the preferences page."""
    headers = {"Sec-Fetch-Site": "same-origin"}
    transport = httpx.WSGITransport(app=wsgi.ConsentMiddleware(wsgi_app(JSON), manager))
    with httpx.Client(transport=transport, base_url=f"https://{HOST}", headers=headers) as client:
        form = client.get("/consent").text
        fields = re.findall(r'<input type="?hidden"? name="?([a-z]+)"? value="([^"]*)"', form)
        answer = client.post("/consent/decision", data=dict(fields) | {"control": "accept"})
        own = [f"{cookie.name}={cookie.value}" for cookie in answer.cookies.jar]
    if len(own) != 2:
        raise RuntimeError(f"a visitor who accepts should get two cookies, not {own}: {answer.status_code}")
    return "; ".join([*own, OTHERS])


def crowd(manager: ConsentManager, keys: Keys, size: int) -> list[str]:
    """Return the Cookie headers of so many visitors who accepted everything, each signed as the manager does."""
    now = manager.clock()
    story = Story(granted=True, basis=Basis.EXPRESS, time=now, policy=POLICY.digest)
    accepted = evolve(NOTHING, categories=dict.fromkeys(POLICY.category_ids, story))
    cookies = []
    for number in range(size):
        own = encode_id(IdCookie(f"{number:022}", 0, LOG_NAME))
        value = encode(accepted, manager.history, keys.cookie, f"host:{HOST}", own)
        cookies.append(f"__Host-consent={value}; __Host-consent-id={own}; {OTHERS}")
    return cookies


def asgi_app(
    headers: list[tuple[bytes, bytes]], body: bytes = b"{}", ask: Callable[[Any], object] | None = None
) -> Any:
    """Return an ASGI application that answers with this, after asking for consent if it shall."""

    async def app(scope: dict[str, Any], receive: Any, send: Callable[[Any], Any]) -> None:
        if ask:
            ask(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [*headers]})
        await send({"type": "http.response.body", "body": body})

    return app


def wsgi_app(
    headers: list[tuple[bytes, bytes]], body: bytes = b"{}", ask: Callable[[Any], object] | None = None
) -> Any:
    """Return a WSGI application that answers with this, after asking for consent if it shall."""
    native = [(name.decode().title(), value.decode()) for name, value in headers]

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        if ask:
            ask(environ)
        start_response("200 OK", [*native])
        return [body]

    return app


def may_count(where: Any) -> bool:
    """Ask as an ASGI application does."""
    return asgi.consent_from(where).allows("analytics")


def may_count_wsgi(where: Any) -> bool:
    """Ask as a WSGI application does."""
    return wsgi.consent_from(where).allows("analytics")


def session_cookie() -> str:
    """Return a session as Starlette signs it."""
    data = base64.b64encode(json.dumps({"user": 1}).encode())
    return f"session={itsdangerous.TimestampSigner(SECRET).sign(data).decode()}"


@benchmark("ASGI, consent not read", budget="<= the reference", reference="SessionMiddleware, no session")
def asgi_pass_through() -> Outcome:
    """An application that does not ask and sets nothing."""
    app = asgi_app(JSON)
    with site() as manager:
        request = scope(cookie=visitor(manager))
        peer = SessionMiddleware(app, secret_key=SECRET)
        contestants = [asgi_call(each, request) for each in (app, asgi.ConsentMiddleware(app, manager), peer)]
        bare, ours, reference = race(*contestants)
    return _added(bare, ours, reference.minus(bare), limit=reference.best - bare.best)


@benchmark("WSGI, consent not read", budget="<= the reference", reference="SessionMiddleware, no session")
def wsgi_pass_through() -> Outcome:
    """The same under WSGI, against the same reference."""
    app, peer_app = wsgi_app(JSON), asgi_app(JSON)
    with site() as manager:
        cookie = visitor(manager)
        peer = SessionMiddleware(peer_app, secret_key=SECRET)
        bare, ours, peer_bare, reference = race(
            wsgi_call(app, environ(cookie=cookie)),
            wsgi_call(wsgi.ConsentMiddleware(app, manager), environ(cookie=cookie)),
            asgi_call(peer_app, scope(cookie=cookie)),
            asgi_call(peer, scope(cookie=cookie)),
        )
    return _added(bare, ours, reference.minus(peer_bare), limit=reference.best - peer_bare.best)


@benchmark("ASGI, read, verify, filter", budget="<= 15 us", reference="SessionMiddleware, session read")
def asgi_read() -> Outcome:
    """An application that asks, and sets two cookies of which both are looked up."""
    app, asking = asgi_app(JSON + SETS), asgi_app(JSON + SETS, ask=may_count)
    reader = asgi_app(JSON + SETS, ask=lambda scope: scope["session"]["user"])
    with site() as manager:
        cookie = f"{visitor(manager)}; {session_cookie()}"
        peer = SessionMiddleware(reader, secret_key=SECRET)
        bare, ours, reference = race(
            asgi_call(app, scope(cookie=cookie)),
            asgi_call(asgi.ConsentMiddleware(asking, manager), scope(cookie=cookie)),
            asgi_call(peer, scope(cookie=cookie)),
        )
    return _added(bare, ours, reference.minus(bare), limit=15e-6)


@benchmark(
    "ASGI, same, new visitor each time", budget="<= 15 us", reference="SessionMiddleware, session read"
)
def asgi_read_crowd() -> Outcome:
    """The same for visitors whom this process has not met, so that every cookie's tag is worked out."""
    app, asking = asgi_app(JSON + SETS), asgi_app(JSON + SETS, ask=may_count)
    reader = asgi_app(JSON + SETS, ask=lambda scope: scope["session"]["user"])
    keys = Keys.generate(LOG_NAME)
    with site(keys) as manager:
        session = session_cookie()
        requests = [scope(cookie=f"{cookie}; {session}") for cookie in crowd(manager, keys, MANY)]
        apps = (app, asgi.ConsentMiddleware(asking, manager), SessionMiddleware(reader, secret_key=SECRET))
        bare, ours, reference = race(*(asgi_calls(each, requests) for each in apps))
    return _added(bare, ours, reference.minus(bare), limit=15e-6)


@benchmark("WSGI, read, verify, filter", budget="<= 15 us", reference="SessionMiddleware, session read")
def wsgi_read() -> Outcome:
    """The same under WSGI."""
    app, asking = wsgi_app(JSON + SETS), wsgi_app(JSON + SETS, ask=may_count_wsgi)
    peer_app = asgi_app(JSON + SETS)
    reader = asgi_app(JSON + SETS, ask=lambda scope: scope["session"]["user"])
    with site() as manager:
        cookie = f"{visitor(manager)}; {session_cookie()}"
        bare, ours, peer_bare, reference = race(
            wsgi_call(app, environ(cookie=cookie)),
            wsgi_call(wsgi.ConsentMiddleware(asking, manager), environ(cookie=cookie)),
            asgi_call(peer_app, scope(cookie=cookie)),
            asgi_call(SessionMiddleware(reader, secret_key=SECRET), scope(cookie=cookie)),
        )
    return _added(bare, ours, reference.minus(peer_bare), limit=15e-6)


@benchmark("ASGI, inject into 9.4 kB", budget="<= 5 us more", reference="one scan for <body ...>")
def injection() -> Outcome:
    """What injecting the banner's control adds to reading and filtering the same page."""
    app = asgi_app(HTML + SETS, PAGE, ask=may_count)
    scan = re.compile(rb"<body[^>]*>").search
    with ExitStack() as stack:
        plain, injecting = (stack.enter_context(site(inject=inject)) for inject in (False, True))
        calls = [
            asgi_call(asgi.ConsentMiddleware(app, manager), scope(cookie=visitor(manager)))
            for manager in (plain, injecting)
        ]
        without, ours, reference = race(*calls, lambda: scan(PAGE))
    return _added(without, ours, reference, limit=5e-6)


@benchmark(
    "Django, read, verify, filter", budget="<= 1/10 of the reference", reference="django-cookie-consent"
)
def django_site() -> Outcome:
    """One Django site behind the WSGI middleware, and behind the peer's."""
    bare_app, peer = django_peer.application(), django_peer.application(django_peer.PEER)
    asking = _asks_first(bare_app)
    with site() as manager:
        request = environ(cookie=f"{visitor(manager)}; {django_peer.COOKIES}")
        apps = (bare_app, wsgi.ConsentMiddleware(asking, manager), peer)
        bare, ours, reference = race(*(wsgi_call(app, request) for app in apps))
    added = reference.minus(bare)
    return _added(bare, ours, added, limit=added.best / 10)


def _asks_first(app: Any) -> Any:
    def asking(environ: dict[str, Any], start_response: Any) -> Any:
        may_count_wsgi(environ)
        return app(environ, start_response)

    return asking


def _added(bare: Sample, ours: Sample, reference: Sample, limit: float) -> Outcome:
    return Outcome(ours.minus(bare), reference, limit, note=f"added to a bare {seconds(bare.best)}")
