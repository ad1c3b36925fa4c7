"""The newspaper, as its own developer wrote it: careless with cookies, and five lines from being put right.

Every page view sets the analytics cookie and the advertising cookie without asking anybody. What asks is around it:
see `integrated`. Only where nothing can be taken back afterwards, as with a third party's script, does a page ask
by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from consentkit import ConsentManager
from consentkit.adapters.asgi import ConsentMiddleware, consent_from, exchange_from
from consentkit.cli.demo_site import pages
from consentkit.cli.demo_site.content import articles, asset
from consentkit.cli.demo_site.folder import DemoFolder
from consentkit.evidence.ledger import EventHook
from consentkit.web.origin import return_path
from consentkit.web.request import Request

__all__ = [
    "App",
    "Headers",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "courier",
    "integrated",
    "read_form",
    "send_answer",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_HALF_A_YEAR = 15_778_800  # seconds: the six months that the policy declares
_MAX_FORM = 2048


@contextmanager
def integrated(
    folder: DemoFolder,
    site: App,
    *,
    region: Callable[[Request], str | None],
    on_event: EventHook | None = None,
) -> Iterator[tuple[App, ConsentManager]]:
    """Put consentkit around a site: this is all there is to it. `consent_from(scope)` in `courier` is the rest."""
    with ConsentManager.open(
        folder.policy, ledger=folder.ledger, keys=folder.keys, region=region, on_event=on_event
    ) as manager:
        yield ConsentMiddleware(site, manager), manager


async def courier(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the newspaper."""
    if scope["type"] != "http":
        return
    path, method = scope["path"], scope["method"]
    if path == "/reader" and method == "POST":
        await _change_size(scope, receive, send)
    elif method not in ("GET", "HEAD"):
        await send_answer(send, 405, "text/plain; charset=utf-8", b"", [(b"allow", b"GET, HEAD")])
    elif path == "/courier.css" and (found := asset("courier.css")):
        await send_answer(send, 200, *found, [(b"cache-control", b"public, max-age=3600")])
    else:
        await _page(scope, send)


async def _page(scope: Scope, send: Send) -> None:
    consent, request = consent_from(scope), exchange_from(scope).request
    front = exchange_from(scope).front
    language = front.manager.language(request)
    cookies = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.cookies}
    view = pages.View(
        language=language,
        path=request.path,
        embeds=consent.allows("clipview"),
        reader=cookies.get("adnet_uid", "") if consent.allows("adnet") else "",
        large=consent.allows("reader") and cookies.get("reader_theme") == "large",
        choices=front.urls(request).preferences,
    )
    slug = request.path.removeprefix("/news/")
    article = next((one for one in articles(language) if one.slug == slug), None)
    if request.path == "/":
        status, page = 200, pages.front_page(view)
    elif article is not None:
        status, page = 200, pages.article_page(view, article)
    else:
        status, page = 404, pages.missing_page(view)
    await send_answer(send, status, "text/html; charset=utf-8", page, _careless_cookies(cookies))


def _careless_cookies(cookies: dict[str, str]) -> Headers:
    """Set everything on everybody: the developer never thought about consent."""
    readers = cookies.get("_pc_id", secrets.token_hex(8))
    profile = cookies.get("adnet_uid", secrets.token_hex(8))
    session = (
        [] if "courier_session" in cookies else [f"courier_session={secrets.token_hex(8)}; Path=/; HttpOnly"]
    )
    wanted = [
        *session,
        f"_pc_id={readers}; Max-Age={_HALF_A_YEAR}; Path=/; SameSite=Lax",
        f"adnet_uid={profile}; Max-Age={_HALF_A_YEAR}; Path=/; SameSite=Lax",
    ]
    return [(b"set-cookie", value.encode("latin-1", "replace")) for value in wanted]


async def _change_size(scope: Scope, receive: Receive, send: Send) -> None:
    size = "large" if (await read_form(receive)).get("size") == "large" else "normal"
    cookie = f"reader_theme={size}; Max-Age={_HALF_A_YEAR}; Path=/; SameSite=Lax"
    exchange = exchange_from(scope)
    location = return_path(exchange.request, exchange.front.options)
    headers = [(b"location", location.encode("ascii")), (b"set-cookie", cookie.encode("ascii"))]
    await send_answer(send, 303, "text/html; charset=utf-8", b"", headers)


async def read_form(receive: Receive) -> dict[str, str]:
    """Read a small form; what is longer or repeated does not count."""
    body, more = b"", True
    while more and len(body) <= _MAX_FORM:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    fields = parse_qs(body[:_MAX_FORM].decode("latin-1"))
    return {name: values[0] for name, values in fields.items()}


async def send_answer(
    send: Send, status: int, kind: str, body: bytes, headers: Headers | None = None
) -> None:
    """Send a whole response."""
    own = [(b"content-type", kind.encode("ascii")), (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
