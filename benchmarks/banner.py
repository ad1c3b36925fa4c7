"""What a first visit downloads for the banner, compressed as a server would."""

import gzip
import re

import httpx

from benchmarks.core import Outcome, Sample, benchmark, octets
from benchmarks.drive import HOST
from benchmarks.middleware import wsgi_app
from benchmarks.site import site
from consentkit.adapters import wsgi

EMPTY = b"<html><body></body></html>"
ASSET = re.compile(r'"(/consent/assets/[^"]+)"')
SMALLEST_PEER, BEST_KNOWN_PEER = 8_100, 15_500  # bytes, compressed: published figures, not measured here


def compressed(data: bytes) -> int:
    """Return the size of ``data`` after gzip at its usual level."""
    return len(gzip.compress(data, 6))


def downloads(*pages: str) -> int:
    """Return the compressed bytes of these pages and of the files that the first of them loads."""
    app = wsgi_app([(b"content-type", b"text/html; charset=utf-8")], EMPTY)
    with site() as manager:
        transport = httpx.WSGITransport(app=wsgi.ConsentMiddleware(app, manager))
        with httpx.Client(transport=transport, base_url=f"https://{HOST}") as client:
            bodies = [client.get(page).content for page in pages]
            assets = [client.get(asset).content for asset in ASSET.findall(bodies[0].decode())]
    if len(assets) != 2:
        raise RuntimeError(f"the banner should bring a style and a script, not {len(assets)} files")
    return sum(map(compressed, [*bodies, *assets]))


@benchmark("banner, first view, gzip", budget="<= 5 kB", reference="smallest peer, as published", show=octets)
def first_view() -> Outcome:
    """HTML, style and script of a banner for three categories."""
    return Outcome(Sample((downloads("/"),)), Sample((SMALLEST_PEER,)), limit=5_000)


@benchmark(
    "banner, second layer too, gzip", budget="<= 8 kB", reference="best known, as published", show=octets
)
def second_layer() -> Outcome:
    """The same, and the preferences that open from it."""
    return Outcome(Sample((downloads("/", "/consent"),)), Sample((BEST_KNOWN_PEER,)), limit=8_000)
