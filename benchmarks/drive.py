"""Call ASGI and WSGI applications the way a server would, without a server's own cost."""

import io
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Any

HOST = "blog.example"
Scope = dict[str, Any]


def scope(
    *, cookie: str = "", path: str = "/", method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = ()
) -> Scope:
    """Return an ASGI scope as uvicorn would build it."""
    cookies = [(b"cookie", cookie.encode())] if cookie else []
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "server": (HOST, 443),
        "client": ("127.0.0.1", 50000),
        "scheme": "https",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", HOST.encode()), (b"accept", b"text/html"), *headers, *cookies],
        "state": {},
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: dict[str, Any]) -> None:
    """Take a message as a server does, and drop it."""


def asgi_calls(app: Any, templates: Sequence[Scope]) -> Callable[[], None]:
    """Return a call that serves the next request; nothing in it waits, so no event loop is charged for."""
    following = cycle(templates).__next__

    def call() -> None:
        steps = app(dict(following()), _receive, _send)
        try:
            steps.send(None)
        except StopIteration:
            return
        raise RuntimeError("the application waits for something; drive it with an event loop")

    return call


def asgi_call(app: Any, template: Scope) -> Callable[[], None]:
    """Return a call that serves the same request each time."""
    return asgi_calls(app, [template])


def environ(*, cookie: str = "", path: str = "/") -> dict[str, Any]:
    """Return a WSGI environment as gunicorn would build it."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": HOST,
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": HOST,
        "HTTP_ACCEPT": "text/html",
        "HTTP_COOKIE": cookie,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def start_response(
    status: str, headers: list[tuple[str, str]], exc_info: Any = None
) -> Callable[[bytes], object]:
    """Take the head of an answer as a server does, and drop it."""
    return len


def wsgi_call(app: Any, template: dict[str, Any]) -> Callable[[], None]:
    """Return a call that serves one request and reads its body to the end."""

    def call() -> None:
        body = app(dict(template), start_response)
        for _ in body:
            pass
        if close := getattr(body, "close", None):
            close()

    return call
