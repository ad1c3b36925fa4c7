"""One small site as an ASGI and as a WSGI application, behind a real manager, for real servers.

The folder that `CONSENTKIT_SITE` names has the keys and gets the ledger, unless `CONSENTKIT_LEDGER` is the URL of one.
"""

import io
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio

from consentkit.adapters import asgi, wsgi
from consentkit.manager import ConsentManager
from consentkit.web.region import from_header
from tests.web.sites import ADS, ANALYTICS, SESSION, policy

PAGE = b"<!doctype html><html><head><title>News</title></head><body>news</body></html>"
FOLDER = Path(os.environ.get("CONSENTKIT_SITE", "."))
GO = threading.Event()
_COOKIES = [("Set-Cookie", value) for value in (SESSION, ANALYTICS, ADS)]


def manager() -> ConsentManager:
    """The manager of the site."""
    return ConsentManager.open(
        policy(),
        ledger=os.environ.get("CONSENTKIT_LEDGER", f"sqlite:///{FOLDER}/consent.db"),
        keys=FOLDER / "keys",
        region=from_header("x-region"),
    )


def reply(path: str, allowed: Any) -> tuple[list[tuple[str, str]], list[bytes]]:
    """Header fields and body of the plain pages."""
    if path == "/cookies":
        return [("Content-Type", "text/plain"), *_COOKIES], [b"set"]
    if path == "/allowed":
        return [("Content-Type", "text/plain")], [str(allowed("analytics")).encode()]
    if path == "/go":
        GO.set()
        return [("Content-Type", "text/plain")], [b"going"]
    return [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE)))], [PAGE]


async def asgi_site(scope: Any, receive: Any, send: Any) -> None:
    """The site as ASGI."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    path = scope["path"]
    if path == "/stream":
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
        )
        await send({"type": "http.response.body", "body": b"<html><body>one", "more_body": True})
        await anyio.to_thread.run_sync(GO.wait, 10)
        await send({"type": "http.response.body", "body": b"two</body></html>"})
        return
    headers, body = reply(path, lambda name: asgi.consent_from(scope).allows(name))
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": b"".join(body) if scope["method"] != "HEAD" else b""})


def _slowly() -> Iterator[bytes]:
    yield b"<html><body>one"
    GO.wait(10)
    yield b"two</body></html>"


def wsgi_site(environ: Any, start_response: Any) -> Iterable[bytes]:
    """The site as WSGI."""
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/html")])
        return _slowly()
    if path == "/file":
        start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE)))])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(PAGE))
        return wrapped
    if path == "/written":
        start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE)))])(PAGE)
        return []
    headers, body = reply(path, lambda name: wsgi.consent_from(environ).allows(name))
    start_response("200 OK", headers)
    return body if environ["REQUEST_METHOD"] != "HEAD" else []


def __getattr__(name: str) -> Any:
    """Open the manager when a server asks for its application, and not before."""
    if name == "asgi_app":
        return asgi.ConsentMiddleware(asgi_site, manager())
    if name == "wsgi_app":
        return wsgi.ConsentMiddleware(wsgi_site, manager())
    raise AttributeError(name)
