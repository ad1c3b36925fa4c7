"""A decision is taken from this site's own pages only, and sends nobody elsewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.errors import BadRequest
from consentkit.web.origin import check_origin, return_path
from consentkit.web.protocol import Options
from consentkit.web.request import Request
from tests.web.sites import HOST, request

OWN = f"https://{HOST}"
EVIL = "https://evil.example"


def accepted(*headers: tuple[str, str], scheme: str = "https", host: str = HOST, **options: object) -> bool:
    """Whether a post with these header fields is taken."""
    asked = request("POST", "/consent/decision", headers, scheme=scheme, host=host)
    try:
        check_origin(asked, Options(**options))  # type: ignore[arg-type]
    except BadRequest as error:
        return {403: False}[error.status]
    return True


def returning(referer: str, *, host: str = HOST, scheme: str = "https", **options: object) -> str:
    """Where a post from that page leads."""
    asked = request(headers=[("referer", referer)], host=host, scheme=scheme)
    return return_path(asked, Options(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("same-origin", True),
        ("none", True),
        ("same-site", False),
        ("cross-site", False),
        ("", False),
        ("SAME-ORIGIN", False),
        ("none, same-origin", False),
    ],
)
def test_T20_fetch_metadata_decides(value: str, taken: bool) -> None:
    """The site itself or the visitor directly, and nobody else, whatever `Origin` says."""
    assert accepted(("sec-fetch-site", value)) is taken
    assert accepted(("sec-fetch-site", value), ("origin", OWN)) is taken


def test_T20_two_fetch_fields_are_not_believed() -> None:
    """A browser sends one."""
    assert not accepted(("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site"))


@pytest.mark.parametrize(
    ("origin", "taken"),
    [
        (OWN, True),
        (OWN.upper(), True),
        (EVIL, False),
        ("null", False),
        ("", False),
        (f"http://{HOST}", False),
        (f"{OWN}:8443", False),
        (f"{OWN}.evil.example", False),
    ],
)
def test_T20_without_fetch_metadata_the_origin_decides(origin: str, taken: bool) -> None:
    """It must be the very origin that was asked."""
    assert accepted(("origin", origin)) is taken


def test_T20_behind_a_tls_proxy_https_is_the_same_site() -> None:
    """The application sees http where the browser sees https; the other way round is refused."""
    assert accepted(("origin", OWN), scheme="http")
    assert accepted(("origin", "http://localhost:8000"), scheme="http", host="localhost:8000")
    assert not accepted(("origin", f"http://{HOST}"), scheme="https")


def test_T20_configured_origins_are_the_only_ones() -> None:
    """They may post from another host; and the asked one has to be among them."""
    origins = ("https://www.example.com",)
    assert accepted(("origin", "https://www.example.com"), site_origins=origins)
    assert accepted(
        ("origin", "https://www.example.com"), ("sec-fetch-site", "same-site"), site_origins=origins
    )
    assert not accepted(("origin", OWN), site_origins=origins)
    assert not accepted(("origin", EVIL), ("sec-fetch-site", "cross-site"), site_origins=origins)


def test_T20_a_request_that_says_nothing_is_refused_unless_configured() -> None:
    """No browser of the last years is that silent."""
    assert not accepted()
    assert accepted(allow_originless=True)
    assert not accepted(("origin", "null"), allow_originless=True)
    assert not accepted(("origin", EVIL), allow_originless=True)


def test_T20_a_malformed_host_matches_no_origin() -> None:
    """Nothing equals nothing."""
    assert not accepted(("origin", "https://"), host="a b")
    assert not accepted(("origin", OWN), host="a b")


@pytest.mark.parametrize(
    ("referer", "path"),
    [
        (f"{OWN}/news?page=2", "/news?page=2"),
        (f"{OWN}/news?page=2#part", "/news?page=2"),
        (OWN, "/"),
        (f"{OWN}/", "/"),
        (f"{OWN}:443/a", "/a"),
        (f"HTTPS://{HOST.upper()}/a", "/a"),
        (f"http://{HOST}/a", "/a"),
        (f"{OWN}/a%2F%2Fevil", "/a%2F%2Fevil"),
    ],
)
def test_T21_the_visitor_returns_to_the_page_of_the_form(referer: str, path: str) -> None:
    """Path and query of a page on the same host."""
    assert returning(referer) == path


@pytest.mark.parametrize(
    "referer",
    [
        EVIL,
        f"{EVIL}/a",
        f"{OWN}//evil.example",
        f"{OWN}/\\evil.example",
        f"{OWN}/\t/evil.example",
        f"{OWN}/\x01//evil",
        f"{OWN}/a\r\nset-cookie: x=1",
        f"{OWN}/a b",
        f"{OWN}/\x7f",
        f"{OWN}/é",
        f"{OWN}@evil.example/",
        f"https://user@{HOST}/a",
        f"{OWN}.evil.example/a",
        f"{OWN}?a",
        "/a",
        "//evil.example",
        "javascript:alert(1)",
        "",
        "https://\\evil.example/a",
    ],
)
def test_T21_anything_else_returns_to_the_root(referer: str) -> None:
    """Tabs, backslashes, controls, other hosts, users in the address: none of it leads anywhere."""
    assert returning(referer) == "/"


def test_T21_behind_a_proxy_that_rewrites_host_the_visitor_returns_too() -> None:
    """The page is on the configured origin, whatever host the application sees."""
    origin = "https://www.example.com"
    rewritten = {"host": "127.0.0.1:8000", "scheme": "http", "site_origins": [origin]}
    assert returning(f"{origin}/news", **rewritten) == "/news"  # type: ignore[arg-type]
    assert returning(f"{EVIL}/news", **rewritten) == "/"  # type: ignore[arg-type]
    assert returning(f"{origin}/news", host="a b", site_origins=[origin]) == "/news"


def test_T21_no_referer_or_two_return_to_the_root() -> None:
    """What is not said once is not known."""
    assert return_path(request(), Options()) == "/"
    twice = [("referer", f"{OWN}/a"), ("referer", f"{OWN}/b")]
    assert return_path(request(headers=twice), Options()) == "/"
    assert return_path(request(headers=[("referer", "https:///a")], host="a b"), Options()) == "/"


def test_T25_the_root_is_the_mount_point() -> None:
    """An application under a prefix returns to its own front page."""
    assert return_path(request(root_path="/app"), Options()) == "/app/"
    assert return_path(request(root_path="/caf\u00e9 x"), Options()) == "/caf%C3%A9%20x/"
    assert return_path(request(root_path="//evil.example"), Options()) == "/evil.example/"
    assert return_path(request(root_path="/\\evil\r\n"), Options()) == "/%5Cevil%0D%0A/"


@given(st.binary(max_size=60))
def test_T21_any_referer_gives_a_path_on_this_host(value: bytes) -> None:
    """No browser reads the result as another host's address."""
    for raw in (value, f"{OWN}/".encode() + value, OWN.encode() + value):
        asked = Request("POST", "/", "", [(b"host", HOST.encode()), (b"referer", raw)], "https")
        path = return_path(asked, Options())
        assert path.startswith("/")
        assert not path.startswith(("//", "/\\"))
        assert all(0x20 < ord(c) < 0x7F and c != "\\" for c in path)


@given(
    st.lists(
        st.tuples(st.sampled_from([b"origin", b"sec-fetch-site", b"host"]), st.binary(max_size=30)),
        max_size=5,
    )
)
def test_T20_any_fields_are_accepted_or_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """And never accepted by chance: only with one of the two values that speak for this site."""
    try:
        check_origin(Request("POST", "/", "", headers, "https"), Options())
    except BadRequest:
        return
    fetch = [value for name, value in headers if name == b"sec-fetch-site"]
    assert fetch in ([b"same-origin"], [b"none"], [])
