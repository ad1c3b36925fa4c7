"""The demo's switches: where the visitor is, what the browser says by itself, and in which language it asks.

They are cookies of the demo and not of the newspaper, so they pass outside of consentkit.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from consentkit.cli.demo_site.site import Headers, Scope
from consentkit.consent.cookie import parse_cookie_headers
from consentkit.web.request import Request

__all__ = ["LANGUAGES", "REGIONS", "SIGNAL", "START", "UNKNOWN", "Switches", "cookies_in", "region_of"]

START = "AU"
UNKNOWN = "unknown"
REGIONS: Mapping[str, str] = {"AU": "Australia", "FR": "France", "US-CA": "California", UNKNOWN: "Unknown"}
LANGUAGES: Mapping[str, str] = {"en": "English", "fr": "Français"}
SIGNAL: Mapping[str, str] = {"off": "Off", "on": "On"}


@frozen
class Switches:
    """How the switches stand. `language` is empty while the browser's own choice counts."""

    region: str = START
    gpc: bool = False
    language: str = ""
    open: bool = True

    @classmethod
    def of(cls, cookies: Mapping[str, str]) -> Switches:
        """Read the switches from a request's cookies; whatever they cannot be counts as not set."""
        region, language = cookies.get("demo-region", START), cookies.get("demo-language", "")
        return cls(
            region=region if region in REGIONS else START,
            gpc=cookies.get("demo-gpc") == "on",
            language=language if language in LANGUAGES else "",
            open=cookies.get("demo-hood") != "closed",
        )

    def turned(self, scope: Scope) -> Scope:
        """Return the request as a browser would send it that is set up like this."""
        headers: Headers = list(scope["headers"])
        if self.language:
            headers = [(name, value) for name, value in headers if name != b"accept-language"]
            headers.append((b"accept-language", self.language.encode("ascii")))
        if self.gpc:
            headers.append((b"sec-gpc", b"1"))
        return {**scope, "headers": headers}


def cookies_in(headers: Headers) -> dict[str, str]:
    """Return the cookies of a request by name."""
    raw = [value for name, value in headers if name == b"cookie"]
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in parse_cookie_headers(raw)}


def region_of(request: Request) -> str | None:
    """Tell consentkit where the visitor is. A real site asks its CDN: see `consentkit.web.region`."""
    cookies = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.cookies}
    region = Switches.of(cookies).region
    return None if region == UNKNOWN else region
