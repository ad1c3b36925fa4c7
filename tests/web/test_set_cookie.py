"""`Set-Cookie` is read as browsers read it, and written so that they keep it."""

import http.cookiejar
import re
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.consent.cookie import CONSENT_NAMES, ID_NAMES
from consentkit.policy import Lifetime
from consentkit.web.set_cookie import (
    cookie_name,
    declared_lifetime,
    filter_set_cookies,
    format_set_cookie,
    is_deletion,
)
from tests.support import START
from tests.web import sites

POLICY = sites.policy()
PAST, FUTURE = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


def headers(*cookies: str) -> list[tuple[bytes, bytes]]:
    """Header fields of a response that sets these cookies."""
    return [(b"content-type", b"text/plain"), *((b"set-cookie", c.encode("latin-1")) for c in cookies)]


def kept(*cookies: str, allowed: tuple[str, ...] = (), undeclared: str = "report") -> list[str]:
    """What is left of a response's cookies when these services are allowed."""
    policy = sites.policy(enforcement={"undeclared": undeclared})
    left = filter_set_cookies(headers(*cookies), lambda s: s in allowed, policy, START).headers
    return [value.decode("latin-1") for name, value in left if name.lower() == b"set-cookie"]


def test_refused_cookies_go_and_others_stay() -> None:
    """Only the service that is not allowed loses its cookie."""
    assert kept(sites.ANALYTICS, sites.ADS, allowed=("pagecount",)) == [sites.ANALYTICS]


def test_necessary_cookies_stay_without_a_question() -> None:
    """A necessary service's cookie passes although nothing is allowed, and nobody is asked."""

    def never(service: str) -> bool:
        raise AssertionError(service)

    assert filter_set_cookies(headers(sites.SESSION), never, POLICY, START).blocked == ()


@pytest.mark.parametrize("name", [*CONSENT_NAMES, *ID_NAMES])
def test_own_cookies_stay(name: str) -> None:
    """An application may carry consentkit's cookies itself, whatever is done with undeclared names."""
    assert kept(f"{name}=x", undeclared="block") == [f"{name}=x"]


@pytest.mark.parametrize(("rule", "stays", "told"), [("report", 1, 1), ("block", 0, 1), ("allow", 1, 0)])
def test_undeclared_cookies_follow_the_policy(rule: str, stays: int, told: int) -> None:
    """`report` tells and keeps, `block` tells and removes, `allow` keeps in silence."""
    policy = sites.policy(enforcement={"undeclared": rule})
    result = filter_set_cookies(headers(sites.UNKNOWN), lambda _: False, policy, START)
    assert len(result.headers) == 1 + stays
    assert [name for name, _ in result.undeclared] == ["mystery"] * told
    assert result.blocked == (("mystery", ""),) * (1 - stays)


@pytest.mark.parametrize(
    ("attributes", "lifetime"),
    [
        ("", "session"),
        ("; Path=/; Secure", "session"),
        ("; Max-Age=1", "1 minute"),
        ("; Max-Age=90", "2 minutes"),
        ("; Max-Age=3600", "1 hour"),
        ("; Max-Age=86401", "2 days"),
        (f"; Max-Age=60; Expires={FUTURE}", "1 minute"),
        (f"; Expires={FUTURE}", "400 days"),
        ("; Max-Age=" + "9" * 5000, "400 days"),
    ],
)
def test_a_cookies_lifetime_is_told_as_a_policy_declares_it(attributes: str, lifetime: str) -> None:
    """Rounded up, and no longer than a browser keeps anything."""
    found = declared_lifetime(f"mystery=1{attributes}".encode(), START)
    assert found == lifetime
    assert str(Lifetime.parse(found)) == lifetime


def test_what_was_blocked_is_told() -> None:
    """The cookie's name and its service, for the event hook."""
    result = filter_set_cookies(headers(sites.ADS), lambda _: False, POLICY, START)
    assert result.blocked == (("ad_uid", "adnet"),)


def test_nothing_blocked_gives_the_very_same_headers() -> None:
    """An unchanged response costs no copy."""
    same = headers(sites.SESSION)
    assert filter_set_cookies(same, lambda _: False, POLICY, START).headers is same


def test_T15_the_raw_list_is_filtered_no_cookie_is_lost_or_split() -> None:
    """Two fields of one name, a comma in a date: each field is one cookie, and order is kept."""
    first = "session=a; Path=/a"
    second = f"session=b; Path=/b; Expires={FUTURE}"
    assert kept(first, sites.ADS, second) == [first, second]


@pytest.mark.parametrize(
    "ending",
    [
        "; Max-Age=0",
        "; Max-Age=-1",
        "; max-age = 0 ; path=/",
        f"; Expires={PAST}",
        "; Expires=Thu, 01-Jan-1970 00:00:10 GMT",
        "; EXPIRES=Thursday, 01-Jan-70 00:00:00 GMT",
        f"; Max-Age=0; Expires={FUTURE}",
        "; Max-Age=00",
    ],
)
def test_T15_deletions_always_pass(ending: str) -> None:
    """Else a site could not clear cookies after a withdrawal; undeclared ones pass under `block` too."""
    assert kept(f"ad_uid={ending}") == [f"ad_uid={ending}"]
    assert kept(f"mystery={ending}", undeclared="block") == [f"mystery={ending}"]


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "; Max-Age=1",
        f"; Expires={FUTURE}",
        f"; Max-Age=60; Expires={PAST}",
        f"; Expires={PAST}; Expires={FUTURE}",
        "; Max-Age=0; Max-Age=60",
        "; Max-Age=zero",
        "; Max-Age=-",
        "; Max-Age=",
        "; Expires=yesterday",
        "; Expires=Thu, 31 Feb 1970 00:00:00 GMT",
        "; Expires=Thu, 01 Jan 1600 00:00:00 GMT",
        "; Expires=Thu, 01 Jan 1970 00:00 GMT",
        "; Comment=Max-Age=0",
        "; Max-Age\xa0=0",
    ],
)
def test_T15_what_a_browser_would_keep_is_no_deletion(ending: str) -> None:
    """Nothing that a browser stores slips through as a deletion."""
    assert kept(f"ad_uid=1{ending}") == []


@given(st.integers(0, 3_000_000_000))
def test_dates_are_read_as_written(second: int) -> None:
    """An `Expires` in HTTP's format is over exactly when its second has come."""
    raw = f"a=1; Expires={formatdate(second, usegmt=True)}".encode()
    at = second * 1000
    assert is_deletion(raw, at)
    assert not is_deletion(raw, at - 1)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a=1", "a"),
        (b" \ta \t=1", "a"),
        (b"a=b=c", "a"),
        (b"a; b=1", ""),
        (b"=1", ""),
        (b"", ""),
        (b"a", ""),
        (b"\xa0a=1", "\xa0a"),
        (b"\xc2\xa0__Host-consent=1", "\xc2\xa0__Host-consent"),
        (b"\x0bad_uid=1", "\x0bad_uid"),
        (b"\x85ad_uid=1", "\x85ad_uid"),
    ],
)
def test_T17_only_space_and_tab_are_trimmed_from_a_name(raw: bytes, name: str) -> None:
    """What else surrounds a name makes it another one, so no look-alike passes for a declared cookie."""
    assert cookie_name(raw) == name


def test_T17_a_look_alike_of_a_declared_name_is_undeclared() -> None:
    """A name with a no-break space before it gets no service's permission."""
    assert kept("\xa0ad_uid=1", allowed=("adnet",), undeclared="block") == []


@given(st.binary(max_size=80))
def test_any_bytes_have_a_name_and_are_a_deletion_or_not(raw: bytes) -> None:
    """No `Set-Cookie` value makes the parser fail."""
    assert isinstance(cookie_name(raw), str)
    assert is_deletion(raw, START) in (True, False)
    filter_set_cookies([(b"Set-Cookie", raw)], lambda _: False, POLICY, START)


@given(
    st.lists(
        st.sampled_from(
            [b"Max-Age", b"expires", b"=", b";", b"-0", b"1970", b"Jan", b":", b"01", b" ", b"\x00"]
        )
    )
)
def test_any_attributes_are_a_deletion_or_not(parts: list[bytes]) -> None:
    """Attributes put together at random do not make the parser fail either."""
    assert is_deletion(b"a=1;" + b"".join(parts), START) in (True, False)


def test_a_cookie_is_written_with_all_its_attributes() -> None:
    """Name, value and what was asked for, once each."""
    raw = format_set_cookie(
        "a", "b", secure=True, http_only=True, max_age=60, domain="example.com", path="/x", partitioned=True
    )
    assert raw == b"a=b; Path=/x; SameSite=Lax; Domain=example.com; Max-Age=60; Secure; HttpOnly; Partitioned"


def test_T18_a_deletion_repeats_the_attributes_and_says_it_twice() -> None:
    """Path, Domain, Secure and Partitioned as it was set; Max-Age and Expires both."""
    raw = format_set_cookie(
        "a", "", secure=True, http_only=False, max_age=0, partitioned=True, same_site="None"
    )
    assert is_deletion(raw, START)
    assert {b" Path=/", b" Secure", b" Partitioned", b" Max-Age=0"} <= set(raw.split(b";"))
    assert is_deletion(raw.replace(b"; Max-Age=0", b""), START)


GOOD = {"secure": True, "http_only": False, "max_age": None}


@pytest.mark.parametrize(
    ("name", "value", "more", "why"),
    [
        ("", "x", {}, "no cookie name"),
        ("a b", "x", {}, "no cookie name"),
        ("a\r\nb", "x", {}, "no cookie name"),
        ("\xa0a", "x", {}, "no cookie name"),
        ("a", "x\r\nset-cookie: b=1", {}, "cannot"),
        ("a", "x;y", {}, "cannot"),
        ("a", "x,y", {}, "cannot"),
        ("a", "é", {}, "cannot"),
        ("a", "x" * 4096, {}, "4097"),
        ("__Host-a", "x", {"secure": False}, "Secure"),
        ("__Host-a", "x", {"domain": "example.com"}, "no domain"),
        ("__Host-a", "x", {"path": "/x"}, "no domain"),
        ("__host-a", "x", {"path": "/x"}, "no domain"),
        ("__Secure-a", "x", {"secure": False}, "Secure"),
        ("__SECURE-a", "x", {"secure": False}, "Secure"),
        ("a", "x", {"same_site": "None", "secure": False}, "Secure"),
        ("a", "x", {"partitioned": True, "secure": False}, "Secure"),
        ("a", "x", {"same_site": "lax"}, "Strict, Lax or None"),
        ("a", "x", {"domain": "example.com; Path=/"}, "no domain"),
        ("a", "x", {"domain": ""}, "no domain"),
        ("a", "x", {"path": "x"}, "no path"),
        ("a", "x", {"path": "/x;y"}, "no path"),
        ("a", "x", {"path": "/x\n"}, "no path"),
    ],
)
def test_T17_T18_T19_T22_what_a_browser_would_refuse_is_not_written(
    name: str, value: str, more: dict[str, object], why: str
) -> None:
    """Prefix rules, SameSite and Partitioned, size, and every character that would end a field."""
    with pytest.raises(ValueError, match=re.escape(why)):
        format_set_cookie(name, value, **{**GOOD, **more})  # type: ignore[arg-type]


@given(
    st.from_regex(r"[A-Za-z0-9_.~-]{1,40}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_.~-]{0,400}", fullmatch=True),
)
def test_what_is_written_is_read_back(name: str, value: str) -> None:
    """Name and value survive, and the result is one line of printable ASCII."""
    raw = format_set_cookie(name, value, secure=True, http_only=False, max_age=5) if name[:2] != "__" else b""
    if raw:
        assert cookie_name(raw) == name
        assert raw.partition(b";")[0] == f"{name}={value}".encode()
        assert raw.decode("ascii").isprintable()


def test_the_date_of_a_deletion_is_one_that_others_read() -> None:
    """The standard library's parser agrees that it is the epoch."""
    raw = format_set_cookie("a", "", secure=False, http_only=False, max_age=0).decode()
    assert http.cookiejar.http2time(raw.partition("Expires=")[2].partition(";")[0]) == 0
