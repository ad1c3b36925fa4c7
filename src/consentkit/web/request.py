"""What consentkit needs to know of a request: bytes and a few strings, from any server interface."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from ipaddress import ip_address

import attrs

from consentkit.consent.cookie import parse_cookie_headers

__all__ = ["Headers", "Request", "parse_authority"]

Headers = Sequence[tuple[bytes, bytes]]
"""Header fields in the order of the wire, values raw. Names of a request are lower-case."""

_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9._-]{0,252}[a-z0-9_])?\.?)(?::(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_WEB_SCHEMES = {"ws": "http", "wss": "https"}


@attrs.frozen(eq=False, slots=False)  # a dict makes both the frozen value and what is cached on it cheaper
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

    @cached_property
    def _fields(self) -> dict[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = {}
        for name, value in self.headers:
            if name in found:
                found[name].append(value)
            else:
                found[name] = [value]
        return found

    @cached_property
    def cookies(self) -> list[tuple[bytes, bytes]]:
        """Name and value of every cookie, raw, in order, duplicates included, over all `Cookie` fields."""
        return parse_cookie_headers(self.header_values(b"cookie"))

    @cached_property
    def authority(self) -> str:
        """Host and port, lower-case, as in `Host` but without a default port; "" when malformed."""
        values = self.header_values(b"host")
        return parse_authority(values[0], self._web_scheme) if len(values) == 1 else ""

    @cached_property
    def host(self) -> str:
        """The host of `authority`, without its port; an IPv6 address keeps its brackets."""
        host, colon, port = self.authority.rpartition(":")
        return host if colon and port.isdigit() else self.authority

    @cached_property
    def site(self) -> str:
        """The web origin that was asked, such as `https://example.com`; "" when the host is malformed."""
        return f"{self._web_scheme}://{self.authority}" if self.authority else ""

    @cached_property
    def secure_host(self) -> bool:
        """Whether a browser keeps `__Host-` cookies for this host: false for loopback hosts over plain http.

        A site behind a proxy that speaks TLS for it counts as secure, whatever scheme it is reached by.
        """
        return self._web_scheme == "https" or not _is_loopback(self.host)

    @property
    def _web_scheme(self) -> str:
        return _WEB_SCHEMES.get(self.scheme, self.scheme)


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
