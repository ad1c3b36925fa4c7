"""Behind which web origin a site is found, whatever a proxy makes of `Host` and of the scheme."""

import logging

import pytest

from consentkit.web.jar import Jar
from consentkit.web.place import Place, site_of
from consentkit.web.protocol import Options
from tests.web.sites import HOST, Site, front, request

ONE = "https://www.example.com"


def place(host: str, scheme: str = "http", *origins: str, **options: object) -> Place:
    """Where a request to `host` was sent to, with `origins` configured."""
    return Place.of(request(host=host, scheme=scheme), Options(site_origins=origins, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "scheme", "origins", "site", "secure", "doubt"),
    [
        # nothing configured
        (HOST, "https", (), f"https://{HOST}", True, None),
        (HOST, "http", (), f"http://{HOST}", True, "scheme"),
        ("localhost:8000", "http", (), "http://localhost:8000", False, None),
        # the origin that was asked, or its https twin behind a proxy that does not tell the scheme
        ("www.example.com", "https", (ONE,), ONE, True, None),
        ("www.example.com", "http", (ONE,), ONE, True, None),
        ("www.example.com", "wss", (ONE,), ONE, True, None),
        ("intranet.example", "http", ("http://intranet.example",), "http://intranet.example", False, None),
        ("localhost:8000", "http", (ONE, "http://localhost:8000"), "http://localhost:8000", False, None),
        # a proxy that rewrites Host, as nginx does unless told otherwise
        ("127.0.0.1:8000", "http", (ONE,), ONE, True, "host"),
        ("backend", "http", (ONE,), ONE, True, "host"),
        ("a b", "http", (ONE,), ONE, True, "host"),
        ("backend", "http", (ONE, "http://localhost:8000"), ONE, True, "host"),
        ("backend", "https", (ONE, "http://www.example.com"), ONE, True, "host"),
        ("127.0.0.1", "http", ("http://localhost:8000",), "http://localhost:8000", False, "host"),
        # and which of several cannot be known: cookies are secure where all of them are
        ("127.0.0.1", "http", (ONE, "https://example.org"), "http://127.0.0.1", True, "host"),
        ("127.0.0.1", "http", ("http://a.example", "http://b.example"), "http://127.0.0.1", False, "host"),
    ],
)  # fmt: skip
def test_T17_the_place_is_the_likeliest_of_the_origins_configured(
    host: str, scheme: str, origins: tuple[str, ...], site: str, secure: bool, doubt: str | None
) -> None:
    """So that a cookie has the prefix that the browser takes, not the one that the last hop would."""
    found = place(host, scheme, *origins)
    assert (found.site, found.secure, found.doubt) == (site, secure, doubt)


def test_T17_a_development_host_must_be_named() -> None:
    """`insecure_hosts` adds hosts that are reached over http; over https they stay secure."""
    for host, scheme, secure in (
        ("shop.test", "http", False),
        ("shop.test:8000", "http", False),
        ("shop.test", "https", True),
        ("other.test", "http", True),
    ):
        assert place(host, scheme, insecure_hosts={"Shop.test"}).secure is secure


def test_T17_a_page_and_the_decision_posted_from_it_share_a_cookie() -> None:
    """`Origin` comes with the post alone, so it must not choose the cookie."""
    for origins in ([ONE], [ONE, "https://example.org"]):
        options = Options(site_origins=origins)
        page = request(host="127.0.0.1:8000", scheme="http")
        post = request("POST", headers=[("origin", ONE)], host="127.0.0.1:8000", scheme="http")
        assert Jar.of(page, options) == Jar.of(post, options)
        assert Jar.of(page, options).name == "__Host-consent"


@pytest.mark.parametrize(
    ("origin", "origins", "site"),
    [
        ("https://example.org", (ONE, "https://example.org"), "https://example.org"),
        (ONE.upper(), (ONE, "https://example.org"), ONE),
        ("https://evil.example", (ONE,), ONE),
        ("null", (ONE,), ONE),
        (None, (ONE,), ONE),
        ("http://backend", (ONE,), "http://backend"),
        ("https://backend", (), "https://backend"),
        ("https://evil.example", (), "http://backend"),
        (None, (), "http://backend"),
    ],
)
def test_the_page_that_posted_is_the_records_site(
    origin: str | None, origins: tuple[str, ...], site: str
) -> None:
    """As the browser says, where that is an origin of this site; a proxy that hides TLS does not hide it there."""
    headers = [] if origin is None else [("origin", origin)]
    asked = request("POST", headers=headers, host="backend", scheme="http")
    assert site_of(asked, Options(site_origins=origins)) == site


def warnings(
    caplog: pytest.LogCaptureFixture, *hosts: str, scheme: str = "http", **options: object
) -> list[str]:
    """What the log says of pages on these hosts, each asked for twice."""
    shared = front(Site(**options))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, "consentkit.web"):
        for host in hosts * 2:
            shared.urls(request(host=host, scheme=scheme))
    return [record.getMessage() for record in caplog.records]


def test_T17_plain_http_is_told_once_for_each_host(caplog: pytest.LogCaptureFixture) -> None:
    """The browser drops the cookie there and says nothing; the log names both remedies."""
    told = warnings(caplog, "one.example", "two.example")
    assert [host for text in told for host in ("one.example", "two.example") if repr(host) in text] == [
        "one.example",
        "two.example",
    ]
    assert all("insecure_hosts" in text and "X-Forwarded-Proto" in text for text in told)


def test_T17_a_host_that_is_no_configured_origin_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whichever of proxy and configuration is wrong."""
    [told] = warnings(caplog, "backend", site_origins=[ONE])
    assert "'backend'" in told
    assert f"taken for {ONE}" in told


@pytest.mark.parametrize(
    ("host", "scheme", "options"),
    [
        ("www.example.com", "https", {}),
        ("www.example.com", "http", {"site_origins": [ONE]}),
        ("www.example.com", "https", {"site_origins": [ONE]}),
    ],
)
def test_nothing_is_told_where_all_is_clear(
    caplog: pytest.LogCaptureFixture, host: str, scheme: str, options: dict[str, object]
) -> None:
    """TLS, or a configured origin that says so."""
    assert warnings(caplog, host, scheme=scheme, **options) == []


def test_hosts_without_end_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Anybody can send any `Host`."""
    assert len(warnings(caplog, *(f"h{n}.example" for n in range(1100)))) == 1024
