"""The region that a CDN's header fields tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.web.region import cloudflare, cloudfront, fastly, from_header, vercel
from consentkit.web.request import Request
from tests.web.sites import request


@pytest.mark.parametrize(
    ("country", "part", "region"),
    [
        ("FR", None, "FR"),
        ("us", "ca", "US-CA"),
        ("US", "", "US"),
        ("AU", "NSW", "AU-NSW"),
        ("UK", None, "GB"),
        ("EL", None, "GR"),
        ("XX", None, None),
        ("T1", None, None),
        ("ZZ", "CA", None),
        ("EU", None, None),
        ("", None, None),
        ("FRA", None, None),
        ("F\xe9", None, None),
        ("US", "California", "US"),
        ("US", "C A", "US"),
    ],
)
def test_country_and_subdivision(country: str, part: str | None, region: str | None) -> None:
    """ISO codes in capitals; what databases write for "unknown" is None."""
    headers = [("x-country", country), *([("x-part", part)] if part is not None else [])]
    assert from_header("X-Country", "X-Part")(request(headers=headers)) == region


def test_a_field_that_comes_twice_is_not_believed() -> None:
    """One of the two is not the CDN's."""
    assert from_header("x-country")(request(headers=[("x-country", "FR"), ("x-country", "US")])) is None


def test_no_field_is_nowhere() -> None:
    """And the policy's fallback applies."""
    assert from_header("x-country")(request()) is None


@pytest.mark.parametrize(
    ("locate", "country", "part"),
    [
        (cloudflare(), "cf-ipcountry", "cf-region-code"),
        (cloudfront(), "cloudfront-viewer-country", "cloudfront-viewer-country-region"),
        (vercel(), "x-vercel-ip-country", "x-vercel-ip-country-region"),
        (fastly(), "fastly-geo-country", "fastly-geo-region"),
        (fastly("x-a", "x-b"), "x-a", "x-b"),
    ],
)
def test_ready_ones_read_their_cdns_fields(locate, country: str, part: str) -> None:
    """Each its own, and nobody else's."""
    assert locate(request(headers=[(country, "US"), (part, "CA")])) == "US-CA"
    assert locate(request(headers=[("x-other", "US")])) is None


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_any_bytes_are_a_region_or_none(country: bytes, part: bytes) -> None:
    """Never an error, never anything but a code."""
    asked = Request("GET", "/", "", [(b"a", country), (b"b", part)], "https")
    region = from_header("a", "b")(asked)
    assert region is None or region.replace("-", "").isalnum()
