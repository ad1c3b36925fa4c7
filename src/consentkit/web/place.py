"""Where a site lives for its visitors' browsers, which a proxy may hide: its web origin, and how cookies are kept."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import attrs

from consentkit.web.protocol import Options
from consentkit.web.request import Request, is_loopback, split_site

__all__ = ["Place", "own_origins", "site_of"]


@attrs.frozen
class Place:
    """A web origin (`site`, "" when unknown) and its host; `secure` says that cookies carry `Secure` and a prefix.

    `doubt` is "scheme" where a browser keeps such cookies only if a proxy speaks TLS and does not say so, and "host"
    where the host that was asked is none of `Options.site_origins`.
    """

    site: str
    host: str
    secure: bool
    doubt: Literal["scheme", "host"] | None = None

    @staticmethod
    def of(request: Request, options: Options) -> Place:
        """Tell where a request was sent to, so that all requests to one site agree.

        Of the origins configured, it is the one that was asked, or its https twin; else the only one that it can
        be, since then a proxy has changed `Host`: loopback ones aside, or by the scheme. With none it is what
        the request says, and plain http counts as secure on all but loopback hosts and `insecure_hosts`.
        """
        return _place(
            request.site, request.host, request.secure_host, options.site_origins, options.insecure_hosts
        )


@lru_cache(maxsize=1024)
def _place(
    site: str, host: str, secure_host: bool, origins: tuple[str, ...], insecure: frozenset[str]
) -> Place:
    secured = f"https:{site.removeprefix('http:')}"
    for known in (site, secured):
        if known in origins:
            return Place(known, host, known.startswith("https:"))
    others = _likeliest(site, origins)
    if len(others) == 1:
        [home] = others
        return Place(home, split_site(home)[1], home.startswith("https:"), "host")
    secure = secure_host and (site.startswith("https:") or host not in insecure)
    if others and all(home.startswith("https:") for home in others):
        return Place(site, host, secure=True, doubt="host")
    unsure: Literal["scheme"] | None = "scheme" if secure and site.startswith("http:") else None
    return Place(site, host, secure, "host" if others else unsure)


def _likeliest(site: str, origins: tuple[str, ...]) -> list[str]:
    """Give the origins that a request can have been sent to, although `site` is none of them.

    Who asks a loopback host asks it directly, so that the request would name it.
    """
    public = [home for home in origins if not is_loopback(split_site(home)[1])] or list(origins)
    scheme = split_site(site)[0]
    return [home for home in public if split_site(home)[0] == scheme] or public if len(public) > 1 else public


def site_of(request: Request, options: Options) -> str:
    """Tell the web origin of the page that a decision was posted from: what the browser says, if it can be so."""
    place = Place.of(request, options)
    values = request.header_values(b"origin")
    sender = values[0].decode("latin-1").lower() if len(values) == 1 else ""
    return sender if sender in (*options.site_origins, *own_origins(request)) else place.site


def own_origins(request: Request) -> tuple[str, ...]:
    """Give the origins that count as the one asked: behind a proxy that speaks TLS, https looks like http here."""
    if not request.authority:
        return ()
    secured = f"https://{request.authority.removesuffix(':443')}"
    return (request.site, secured) if request.site.startswith("http:") else (request.site,)
