"""Where a visitor is, as the CDN or proxy in front of the site says in a header field.

Each function gives a callable for the manager's `region` option. **Trust one only behind the CDN it is for**:
anybody else can send the same field. Nothing here is active unless a developer passes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from consentkit.web.request import Request

__all__ = ["cloudflare", "cloudfront", "fastly", "from_header", "vercel"]

Locate = Callable[[Request], str | None]

_COUNTRY = re.compile(rb"[A-Za-z]{2}")
_SUBDIVISION = re.compile(rb"[A-Za-z0-9]{1,3}")
_NOWHERE = frozenset(
    {"XX", "ZZ", "T1", "A1", "A2", "AP", "EU"}
)  # unknown, Tor, proxy, satellite, a continent
_SAME = {"UK": "GB", "EL": "GR"}


def from_header(country: str, subdivision: str | None = None) -> Locate:
    """Read the country from the field `country`, and its subdivision from the field `subdivision`, if given.

    The callable gives "FR", "US-CA" or None: for a field that is absent, malformed or repeated, and for the
    codes that location databases use for "unknown".
    """
    country_field = country.lower().encode("ascii")
    subdivision_field = subdivision.lower().encode("ascii") if subdivision else None

    def locate(request: Request) -> str | None:
        code = _single(request, country_field, _COUNTRY)
        if code is None or code in _NOWHERE:
            return None
        code = _SAME.get(code, code)
        part = _single(request, subdivision_field, _SUBDIVISION) if subdivision_field else None
        return f"{code}-{part}" if part else code

    return locate


def _single(request: Request, name: bytes, form: re.Pattern[bytes]) -> str | None:
    values = request.header_values(name)
    # Two values mean that one of them is not the CDN's.
    if len(values) != 1 or not form.fullmatch(values[0]):
        return None
    return values[0].decode("ascii").upper()


def cloudflare() -> Locate:
    """Cloudflare: `CF-IPCountry`, and `CF-Region-Code` where the site adds visitor location headers."""
    return from_header("cf-ipcountry", "cf-region-code")


def cloudfront() -> Locate:
    """Amazon CloudFront: the viewer location headers, which an origin request policy must forward."""
    return from_header("cloudfront-viewer-country", "cloudfront-viewer-country-region")


def fastly(country: str = "fastly-geo-country", subdivision: str | None = "fastly-geo-region") -> Locate:
    """Fastly: fields that the service's VCL sets from `client.geo.country_code` and `client.geo.region`.

    Fastly adds none by itself, so these names are a convention: set them, and unset what a client sent, in
    `vcl_recv`.
    """
    return from_header(country, subdivision)


def vercel() -> Locate:
    """Vercel: `X-Vercel-IP-Country` and `X-Vercel-IP-Country-Region`."""
    return from_header("x-vercel-ip-country", "x-vercel-ip-country-region")
