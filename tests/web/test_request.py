"""A request tells its host, site and cookies without ever raising."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.web.place import Place
from consentkit.web.protocol import Options
from consentkit.web.request import Request, parse_authority
from tests.web.sites import request


@pytest.mark.parametrize(
    ("host", "scheme", "authority", "name", "site"),
    [
        ("Example.COM", "https", "example.com", "example.com", "https://example.com"),
        ("example.com:443", "https", "example.com", "example.com", "https://example.com"),
        ("example.com:443", "http", "example.com:443", "example.com", "http://example.com:443"),
        ("example.com:80", "http", "example.com", "example.com", "http://example.com"),
        ("example.com:8000", "http", "example.com:8000", "example.com", "http://example.com:8000"),
        ("example.com.", "https", "example.com", "example.com", "https://example.com"),
        ("[::1]:8000", "http", "[::1]:8000", "[::1]", "http://[::1]:8000"),
        ("[2001:db8::1]", "https", "[2001:db8::1]", "[2001:db8::1]", "https://[2001:db8::1]"),
        ("example.com", "wss", "example.com", "example.com", "https://example.com"),
        ("127.0.0.1:5000", "ws", "127.0.0.1:5000", "127.0.0.1", "http://127.0.0.1:5000"),
    ],
)
def test_host_and_site(host: str, scheme: str, authority: str, name: str, site: str) -> None:
    """Lower-case, without a default port; a WebSocket counts as the page's own scheme."""
    asked = request(host=host, scheme=scheme)
    assert (asked.authority, asked.host, asked.site) == (authority, name, site)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "a b",
        "a/b",
        "a@b",
        "exa\x00mple",
        "a..b",
        "a:b",
        "[::1",
        "é.example",
        "a,b",
        "-a.example",
        "x" * 300,
        "a:123456",
        "a.example\r\nx",
    ],
)
def test_a_malformed_host_is_empty(host: str | None) -> None:
    """It never reaches a cookie or a record."""
    asked = request(host=host)
    assert (asked.authority, asked.host, asked.site) == ("", "", "")


def test_two_hosts_are_none() -> None:
    """A request that names two hosts names none."""
    assert request(headers=[("host", "other.example")]).host == ""


@pytest.mark.parametrize(
    ("host", "scheme", "secure"),
    [
        ("example.com", "https", True),
        ("example.com", "http", True),
        ("localhost", "https", True),
        ("localhost:8000", "http", False),
        ("app.localhost", "http", False),
        ("127.0.0.1", "http", False),
        ("127.8.9.1", "http", False),
        ("[::1]", "http", False),
        ("notlocalhost", "http", True),
        ("localhost.example.com", "http", True),
        ("10.0.0.1", "http", True),
    ],
)
def test_T17_only_loopback_over_http_is_insecure(host: str, scheme: str, secure: bool) -> None:
    """Anywhere else the cookie keeps its `__Host-` prefix."""
    assert request(host=host, scheme=scheme).secure_host is secure
    assert Place.of(request(host=host, scheme=scheme), Options()).secure is secure


def test_T16_cookies_are_joined_over_all_fields_and_duplicates_stay() -> None:
    """HTTP/2 sends a cookie's crumbs one by one; none is lost and none wins over another."""
    asked = request(headers=[("cookie", "a=1; b=2"), ("cookie", "a=3")])
    assert asked.cookies == [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]


def test_T16_a_broken_cookie_does_not_lose_the_others() -> None:
    """What follows a malformed pair is still read."""
    asked = request(headers=[("cookie", 'bad={"x":1}; flag; k@=2; consent=yes')])
    assert (b"consent", b"yes") in asked.cookies


@given(
    st.lists(st.tuples(st.sampled_from([b"host", b"cookie", b"origin"]), st.binary(max_size=60)), max_size=6)
)
def test_any_header_bytes_are_read(headers: list[tuple[bytes, bytes]]) -> None:
    """Nothing that a client sends makes a request raise."""
    asked = Request("GET", "/", "", headers, "https")
    assert isinstance(asked.site, str)
    assert isinstance(asked.secure_host, bool)
    assert all(isinstance(name, bytes) for name, _ in asked.cookies)


@given(st.binary(max_size=40))
def test_a_host_is_a_name_or_nothing(value: bytes) -> None:
    """What is left of any bytes is safe in a header field, and stays as it is when read again."""
    found = parse_authority(value, "https")
    assert found.isascii()
    assert not set(found) & set(" \t\r\n;,/\\@?#%\"'")
    assert parse_authority(found.encode(), "https") == found


def test_a_request_cannot_be_changed() -> None:
    """It is a value."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request().method = "POST"  # type: ignore[misc]


def test_what_is_worked_out_late_is_documented() -> None:
    """Tools that read the class find the sentence, and a second reading gives the same object."""
    assert "raw, in order" in (Request.cookies.__doc__ or "")
    asked = request(headers=[("cookie", "a=1")])
    assert asked.cookies is asked.cookies
