"""What refused services left in the browser is expired, wherever it may live."""

import re

import pytest

from consentkit.policy import Service
from consentkit.web.expire import expirations
from tests.web import sites


def services(**cookies: dict[str, object]) -> dict[str, Service]:
    """Services that each declare one cookie, by its name."""
    base = sites.document()
    for number, (name, declaration) in enumerate(cookies.items()):
        base["services"][f"service{number}"] = {
            "category": "marketing", "provider": {"name": "A", "country": "FR"}, "purposes": {"x": "X"},
            "cookies": [{"name": name, "lifetime": "1 day", **declaration}],
        }  # fmt: skip
    policy = sites.Policy.from_dict(base)
    found = {name: policy.service_for_cookie(name) for name in cookies}
    return {name: service for name, service in found.items() if service is not None}


def variants(name: str, declared: dict[str, object], **place: object) -> list[tuple[str, ...]]:
    """Domain, path and flag of each deletion of one carried cookie."""
    where = {"host": "www.example.com", "path": "/", "secure": True, "cap": 100, **place}
    values = expirations(list(services(**{name: declared}).items()), **where)  # type: ignore[arg-type]
    found = []
    for value in values:
        assert value.startswith(f"{name}=;".encode())
        assert b"Max-Age=0" in value
        domain = re.search(rb"Domain=([^;]+)", value)
        path = re.search(rb"Path=([^;]+)", value)
        assert path is not None
        flag = ("partitioned",) if b"Partitioned" in value else ()
        found.append((domain[1].decode() if domain else "-", path[1].decode(), *flag))
    return found


def test_a_cookie_is_expired_for_the_host_and_its_parents() -> None:
    """A browser tells the name only, so each domain that it can have been set for gets a deletion."""
    assert variants("x", {}) == [("-", "/"), ("www.example.com", "/"), ("example.com", "/")]


def test_the_folders_of_the_page_come_after_the_root() -> None:
    """A cookie that a page set without a path lives in that page's folder."""
    found = variants("x", {}, host="example.com", path="/a/b/c")
    assert found == [(d, p) for p in ("/", "/a", "/a/b") for d in ("-", "example.com")]


def test_folders_have_a_bound() -> None:
    """A deep path does not multiply the deletions."""
    assert len({path for _, path in variants("x", {}, path="/a/b/c/d/e/f")}) == 4


def test_a_declaration_says_where_a_cookie_lives() -> None:
    """Then that place is all it takes."""
    declared = {"domain": "example.com", "path": "/shop"}
    assert variants("x", declared, path="/a/b") == [("example.com", "/shop")]


def test_a_third_partys_domain_cannot_be_reached() -> None:
    """What carries such a name here is ours, and is looked for here."""
    declared = {"party": "third", "domain": "ads.example.net"}
    assert variants("x", declared, host="example.com") == [("-", "/"), ("example.com", "/")]


def test_a_partitioned_cookie_is_expired_in_both_jars() -> None:
    """With the attribute and without, since older browsers ignore it."""
    found = variants("x", {"partitioned": True}, host="example.com")
    assert ("-", "/", "partitioned") in found
    assert ("-", "/") in found


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "", "localhost"])
def test_a_host_without_parents_has_one_variant(host: str) -> None:
    """An address and a single label take no Domain."""
    assert variants("x", {}, host=host) == [("-", "/")]


def test_a_prefixed_name_keeps_its_rules() -> None:
    """`__Host-` has one place only, and needs a secure host, as `__Secure-` does."""
    assert variants("__Host-x", {}, path="/a/b") == [("-", "/")]
    assert variants("__Host-x", {"path": "/a"}) == [("-", "/")]
    assert variants("__Host-x", {}, secure=False) == []
    assert variants("__Secure-x", {}, secure=False) == []


def test_a_name_that_no_field_can_carry_is_left() -> None:
    """A pattern matches names that cannot be written; they are skipped, not raised."""
    service = services(**{"x*": {}})["x*"]
    place = {"host": "example.com", "path": "/", "secure": True, "cap": 9}
    assert expirations([("x\xe9", service), ("x" * 300, service)], **place) == ()  # type: ignore[arg-type]
    assert expirations([("x1", service)], host="h", path="/a b;/c", secure=True, cap=9) == (
        b"x1=; Path=/; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure",
    )


def test_a_cap_holds_and_turns_reach_all() -> None:
    """No response expires more than the cap, and as turns go by every variant has its own."""
    carried = list(services(a={}, b={}, c={}, d={}).items())
    place = {"host": "www.example.com", "path": "/x/y", "secure": True}
    every = set(expirations(carried, **place, cap=1000))  # type: ignore[arg-type]
    seen: set[bytes] = set()
    for turn in range(5):
        values = expirations(carried, **place, cap=5, turn=turn)  # type: ignore[arg-type]
        assert len(values) <= 5
        seen |= set(values)
    assert len(every) == 24
    assert seen == every


def test_the_likeliest_places_come_first() -> None:
    """A first response with a cap reaches the root of every cookie before any folder."""
    carried = list(services(a={}, b={}).items())
    values = expirations(carried, host="example.com", path="/x/y", secure=True, cap=4)
    assert [value.partition(b";")[0] for value in values] == [b"a=", b"a=", b"b=", b"b="]
    assert all(b"Path=/;" in value for value in values)
