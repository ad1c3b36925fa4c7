"""Where a posted decision comes from, and where its sender goes next.

There is no token: a form stays the same for everybody and can be cached. The browser itself says which page
a request comes from (W3C Fetch Metadata, and `Origin` of the Fetch standard), and no page can change that.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from consentkit.errors import BadRequest
from consentkit.web.place import Place, own_origins
from consentkit.web.protocol import Options
from consentkit.web.request import Request, parse_authority

__all__ = ["check_origin", "mount_point", "return_path"]

_OWN_FETCH = frozenset({b"same-origin", b"none"})
# A browser drops tabs and newlines and reads a backslash as a slash, so neither may be in a path to go to.
_SAFE_PATH = re.compile(rb"/(?![/\\])[\x21-\x5b\x5d-\x7e]*|/")
_REFERER = re.compile(rb"(https?)://([^/?#\\@]+)([^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)


def check_origin(request: Request, options: Options) -> None:
    """Raise BadRequest (403) unless a page of this site, or its visitor directly, sent the request.

    Accepted: `Sec-Fetch-Site` of `same-origin` or `none`; else an `Origin` among `options.site_origins`; when
    none are configured and the browser sends no `Sec-Fetch-Site`, an `Origin` equal to the one that was asked;
    with neither field, only if `options.allow_originless`.
    """
    fetch, origin = request.header_values(b"sec-fetch-site"), request.header_values(b"origin")
    if len(fetch) == 1 and fetch[0] in _OWN_FETCH:
        return
    if not fetch and not origin:
        if options.allow_originless:
            return
        raise BadRequest("the request does not say which page it comes from", status=403)
    if len(origin) == 1:
        sender = origin[0].decode("latin-1").lower()
        if sender in options.site_origins:
            return
        if not options.site_origins and not fetch and sender in own_origins(request):
            return
    raise BadRequest("the request comes from a page of another site", status=403)


def return_path(request: Request, options: Options) -> str:
    """Give the path and query of the page that a form was posted from, if it is on this host, else the root.

    Taken from `Referer` alone, so that no parameter can send a visitor elsewhere.
    """
    values = request.header_values(b"referer")
    match = _REFERER.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        return mount_point(request)
    path = match[3] or b"/"
    sender = parse_authority(match[2], match[1].decode().lower())
    same = sender != "" and sender in _authorities(request, options)
    if not same or not _SAFE_PATH.fullmatch(path):
        return mount_point(request)
    return path.decode("ascii")


def mount_point(request: Request) -> str:
    """Give the path that the application is mounted at, as it stands in an address, with a slash at its end."""
    root = quote(request.root_path.strip("/"), safe="/:@!$&'()*+,;=~")
    return f"/{root}/" if root else "/"


def _authorities(request: Request, options: Options) -> tuple[str, ...]:
    # Behind a proxy the scheme, and so the default port, may differ from the browser's, and so may the host.
    home = Place.of(request, options).site.partition("://")[2]
    return home, request.authority, request.authority.removesuffix(":443")
