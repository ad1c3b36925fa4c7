"""What consentkit needs to know of a request: bytes and a few strings, from any server interface."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Generic, Self, TypeVar, overload

import attrs

from consentkit.consent.cookie import parse_cookie_headers

__all__ = ["Headers", "Request", "is_loopback", "parse_authority", "split_site"]

T = TypeVar("T")

Headers = Sequence[tuple[bytes, bytes]]
"""Header fields in the order of the wire, values raw. Names of a request are lower-case."""

_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9])?\.?)(?::(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_WEB_SCHEMES = {"ws": "http", "wss": "https"}


class _Lazy(Generic[T]):
    """A property that is worked out once; `functools.cached_property` takes a lock for that in Python 3.11."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> T | Self:
        if instance is None:
            return self
        value: T = self._compute(instance)
        instance.__dict__[self._name] = value
        return value


@attrs.frozen(eq=False, slots=False)
class Request:
    """One request: `path` is decoded and without the prefix `root_path` that the application is mounted at.

    What is derived (`host`, `cookies`, ...) is worked out when first asked for and never raises: a malformed
    or repeated `Host` gives the empty string.
    """

    method: str
    path: str
    query: str
    headers: Headers
    scheme: str
    root_path: str = ""

    def header_values(self, name: bytes) -> list[bytes]:
        """Give every value of the header field called `name` (lower-case), raw, in order."""
        return self._fields.get(name, [])

    @_Lazy
    def _fields(self) -> dict[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = {}
        for name, value in self.headers:
            if name in found:
                found[name].append(value)
            else:
                found[name] = [value]
        return found

    @_Lazy
    def cookies(self) -> list[tuple[bytes, bytes]]:
        """Name and value of every cookie, raw, in order, duplicates included, over all `Cookie` fields."""
        return parse_cookie_headers(self.header_values(b"cookie"))

    @_Lazy
    def _place(self) -> tuple[str, str, str, bool]:
        values = self._fields.get(b"host", ())
        return _place(values[0] if len(values) == 1 else b"", self.scheme)

    @property
    def authority(self) -> str:
        """Host and port, lower-case, as in `Host` but without a default port; "" when malformed."""
        return self._place[0]

    @property
    def host(self) -> str:
        """The host of `authority`, without its port; an IPv6 address keeps its brackets."""
        return self._place[1]

    @property
    def site(self) -> str:
        """The web origin that was asked, such as `https://example.com`; "" when the host is malformed."""
        return self._place[2]

    @property
    def secure_host(self) -> bool:
        """Whether a browser keeps `__Host-` cookies for this host: false for loopback hosts over plain http.

        A site behind a proxy that speaks TLS for it counts as secure, whatever scheme it is reached by.
        """
        return self._place[3]


@lru_cache(maxsize=256)
def _place(value: bytes, scheme: str) -> tuple[str, str, str, bool]:
    """Give authority, host, site, and whether the host is secure."""
    scheme = _WEB_SCHEMES.get(scheme, scheme)
    authority = parse_authority(value, scheme)
    host = _host(authority)
    site = f"{scheme}://{authority}" if authority else ""
    return authority, host, site, scheme == "https" or not is_loopback(host)


def parse_authority(value: bytes, scheme: str) -> str:
    """Normalise the value of a `Host` field (RFC 9110 section 7.2): lower-case, without `scheme`'s default port.

    Gives "" for anything that is no host name or address, so that nothing else reaches a cookie or a record.
    """
    match = _AUTHORITY.fullmatch(value.decode("latin-1").strip(" \t").lower())
    if match is None or ".." in match["host"]:
        return ""
    host, port = match["host"].removesuffix("."), match["port"]
    if port is None or port == _DEFAULT_PORTS.get(scheme):
        return host
    return f"{host}:{port}"


def split_site(site: str) -> tuple[str, str]:
    """Give scheme and host of a web origin, without its port."""
    scheme, _, authority = site.partition("://")
    return scheme, _host(authority)


def _host(authority: str) -> str:
    name, colon, port = authority.rpartition(":")
    return name if colon and port.isdigit() else authority


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, which browsers trust without TLS."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
