"""Which cookies hold a visitor's consent on a host, and how they are written and dropped."""

import pytest

from consentkit.web.jar import Jar
from consentkit.web.protocol import Options
from consentkit.web.set_cookie import is_deletion
from tests.support import START
from tests.web.sites import request


def jar(host: str = "www.example.com", scheme: str = "https", **options: object) -> Jar:
    """The jar of a host."""
    return Jar.of(request(host=host, scheme=scheme), Options(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "scheme", "options", "name", "scope"),
    [
        ("www.example.com", "https", {}, "__Host-consent", "host:www.example.com"),
        ("localhost:8000", "http", {}, "consent", "host:localhost"),
        ("shop.test", "http", {"insecure_hosts": {"shop.test"}}, "consent", "host:shop.test"),
        (
            "www.example.com",
            "https",
            {"shared_domain": "example.com"},
            "__Secure-consent",
            "domain:example.com",
        ),
        ("example.com", "https", {"shared_domain": "example.com"}, "__Secure-consent", "domain:example.com"),
        (
            "badexample.com",
            "https",
            {"shared_domain": "example.com"},
            "__Host-consent",
            "host:badexample.com",
        ),
        ("localhost", "http", {"shared_domain": "example.com"}, "consent", "host:localhost"),
    ],
)
def test_T17_the_name_in_use_follows_the_host(
    host: str, scheme: str, options: dict[str, object], name: str, scope: str
) -> None:
    """A prefix wherever a browser takes one; the shared name only below the shared domain."""
    found = jar(host, scheme, **options)
    assert (found.name, found.scope) == (name, scope)


def test_T18_cookies_are_written_with_the_attributes_of_their_name() -> None:
    """Lax, for 400 days, secure; only the id cookie is hidden from scripts."""
    assert jar().set("x") == b"__Host-consent=x; Path=/; SameSite=Lax; Max-Age=34560000; Secure"
    assert (
        jar().set_id("x") == b"__Host-consent-id=x; Path=/; SameSite=Lax; Max-Age=34560000; Secure; HttpOnly"
    )
    shared = jar(shared_domain="example.com").set("x")
    assert shared == b"__Secure-consent=x; Path=/; SameSite=Lax; Domain=example.com; Max-Age=34560000; Secure"
    assert jar("localhost", "http").set("x") == b"consent=x; Path=/; SameSite=Lax; Max-Age=34560000"


def test_T18_dropping_the_id_repeats_its_attributes() -> None:
    """Or a browser would keep it."""
    dropped = jar(shared_domain="example.com").drop_id()
    assert is_deletion(dropped, START)
    assert {b" Domain=example.com", b" Secure", b" HttpOnly"} <= set(dropped.split(b";"))


def test_other_names_are_dropped_wherever_they_may_live() -> None:
    """Each that came, for each domain it can have; the names in use stay."""
    present = frozenset({"__Host-consent", "__Secure-consent", "consent-id"})
    dropped = jar().drop_others(present)
    assert all(is_deletion(value, START) for value in dropped)
    assert [value.partition(b"=")[0] for value in dropped] == [b"__Secure-consent"] * 3 + [b"consent-id"] * 3
    domains = [value.partition(b"Domain=")[2].partition(b";")[0] for value in dropped[:3]]
    assert domains == [b"", b"www.example.com", b"example.com"]


@pytest.mark.parametrize("host", ["192.0.2.1", "[::1]", "intranet"])
def test_a_host_without_parents_has_one_place(host: str) -> None:
    """An address or a single label takes no Domain."""
    assert len(jar(host).drop_others(frozenset({"consent"}))) == 1


def test_a_host_cookie_has_one_place() -> None:
    """Its prefix allows no Domain."""
    assert len(jar("localhost", "http").drop_others(frozenset({"__Host-consent"}))) == 1
