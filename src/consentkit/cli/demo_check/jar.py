"""A visitor's cookies, kept by the rules that browsers keep and by none of consentkit's own code (RFC 6265)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from time import time

from attrs import define, field, frozen

__all__ = ["Cookie", "Jar", "parse_set_cookie"]


@frozen
class Cookie:
    """One `Set-Cookie` field as a browser takes it. `gone` means that it deletes."""

    name: str
    value: str
    path: str
    gone: bool
    http_only: bool
    max_age: int | None
    domain: str = ""


def parse_set_cookie(header: str) -> Cookie:
    """Read a `Set-Cookie` field."""
    pair, *rest = header.split(";")
    name, _, value = pair.partition("=")
    attributes = {
        key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)
    }
    max_age = int(attributes["max-age"]) if "max-age" in attributes else None
    gone = max_age is not None and max_age <= 0
    if max_age is None and "expires" in attributes:
        gone = parsedate_to_datetime(attributes["expires"]).timestamp() <= time()
    path = attributes.get("path", "/")
    return Cookie(
        name.strip(),
        value.strip(),
        path,
        gone,
        "httponly" in attributes,
        max_age,
        attributes.get("domain", ""),
    )


@define
class Jar:
    """The cookies of one host, which is an IP address, so that none with a `Domain` is kept."""

    kept: dict[tuple[str, str], Cookie] = field(factory=dict)

    def take(self, cookies: tuple[Cookie, ...]) -> None:
        """Keep and delete as a response says; a deletion reaches the cookie of its own path alone."""
        for cookie in cookies:
            if cookie.domain:
                continue
            if cookie.gone:
                self.kept.pop((cookie.name, cookie.path), None)
            else:
                self.kept[cookie.name, cookie.path] = cookie

    def put(self, name: str, value: str) -> None:
        """Write a cookie, as a script or an attacker may."""
        self.kept[name, "/"] = Cookie(name, value, "/", gone=False, http_only=False, max_age=None)

    def drop(self, name: str) -> None:
        """Delete a cookie."""
        self.kept.pop((name, "/"), None)

    def get(self, name: str) -> str | None:
        """Return the value of a cookie at the root, None when there is none."""
        found = self.kept.get((name, "/"))
        return found.value if found else None

    def names(self) -> frozenset[str]:
        """Return the names of all cookies."""
        return frozenset(name for name, _ in self.kept)

    def header(self, path: str) -> str:
        """Return the `Cookie` field of a request for `path`."""
        return "; ".join(f"{one.name}={one.value}" for one in self.kept.values() if _reaches(one.path, path))


def _reaches(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")
