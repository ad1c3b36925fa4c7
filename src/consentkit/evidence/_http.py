"""One HTTP request to a party that need not be there, need not be quick, and is not believed."""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from consentkit.errors import InvalidOption

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector

__all__ = ["Unreachable", "check_prefix", "fetch"]

_MOST: Final = 256 * 1024


class Unreachable(Exception):
    """There was no answer, or not in time; the message says why."""


def check_prefix(url: str) -> str:
    """Return the URL of a place, without its final slash, once requests may be sent there.

    Raises InvalidOption unless it is https, or http on this very machine, and without user, query or fragment.
    """
    _load()
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and not (parts.query or parts.fragment or parts.username)
        _ = parts.port
    except ValueError:
        sound = False
    if not sound or any(char <= " " or char >= "\x7f" for char in url):
        raise InvalidOption(f"{url!r} is no URL", remedy="write it like https://witness.example/prefix")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise InvalidOption(
            f"{url!r} would be asked without encryption", remedy="use https; http is for this machine alone"
        )
    return parts.geturl().rstrip("/")


def _load() -> None:
    """Import what a request needs, which most sites never do, while no thread sends one.

    A process that forks while one of its threads imports leaves its child a lock that nobody will release.
    """
    for module in ("encodings.idna", "http.client", "ssl", "urllib.request"):
        import_module(module)


def is_loopback(host: str) -> bool:
    """Say whether a host is this very machine."""
    from ipaddress import ip_address  # noqa: PLC0415  for those who have witnesses alone

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def fetch(url: str, body: bytes | None = None, *, timeout: float) -> tuple[int, bytes]:
    """Send a request, POST if it has a body, and return status and content of the answer.

    `url` begins as `check_prefix` allows. Certificates are verified, redirects are not followed, the environment's
    proxies are used for https. Waits at most `timeout` seconds for any one thing and twice that in all. Raises
    Unreachable when there is no answer, or one of more than 256 KiB.
    """
    from http.client import HTTPException  # noqa: PLC0415  loads slowly, and most sites never ask anybody
    from urllib.request import Request  # noqa: PLC0415

    headers = {"User-Agent": "consentkit"} | ({} if body is None else {"Content-Type": "text/plain"})
    end = time.monotonic() + 2 * timeout
    try:
        with _opener(url).open(Request(url, body, headers), timeout=timeout) as response:  # noqa: S310
            return int(response.status), _read(response, end)
    except (OSError, HTTPException) as error:
        raise Unreachable(f"{url}: {str(error) or type(error).__name__}") from error


def _opener(url: str) -> OpenerDirector:
    # Put together by hand: no redirects, no other schemes, and every status is an answer.
    import ssl  # noqa: PLC0415
    from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler  # noqa: PLC0415

    opener = OpenerDirector()
    if url.startswith("https:"):
        opener.add_handler(ProxyHandler())
        opener.add_handler(HTTPSHandler(context=ssl.create_default_context()))
    else:
        opener.add_handler(HTTPHandler())
    return opener


def _read(response: HTTPResponse, end: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65536):
        parts.append(part)
        size += len(part)
        if size > _MOST:
            raise ConnectionError(f"the answer has more than {_MOST} bytes")
        if time.monotonic() > end:
            raise TimeoutError("the answer takes too long")
    return b"".join(parts)
