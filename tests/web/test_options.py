"""Options are checked when they are given, and the error says what would be right."""

import pytest

from consentkit.errors import InvalidOption
from consentkit.web.protocol import Options


def test_the_defaults_are_strict() -> None:
    """Nothing is trusted that a developer did not name."""
    options = Options()
    assert (options.prefix, options.site_origins, options.allow_originless) == ("/consent", (), False)
    assert (options.shared_domain, options.insecure_hosts, options.max_body) == (None, frozenset(), 8192)


@pytest.mark.parametrize(
    "prefix", ["", "/", "consent", "/consent/", "/a//b", "/a?b", "/a b", "/é", "/../a", "/a;b"]
)
def test_a_prefix_is_a_path(prefix: str) -> None:
    """It starts with a slash, ends without one, and needs no escaping anywhere."""
    with pytest.raises(InvalidOption, match="prefix"):
        Options(prefix=prefix)


def test_a_prefix_may_be_deep() -> None:
    """Several segments are fine."""
    assert Options(prefix="/a/b-c.d").prefix == "/a/b-c.d"


@pytest.mark.parametrize(
    "origin",
    ["example.com", "ftp://example.com", "https://", "https://example.com/", "null", "https://é.example"],
)
def test_a_site_origin_is_a_web_origin(origin: str) -> None:
    """Scheme and host, as browsers write it."""
    with pytest.raises(InvalidOption, match="site_origins"):
        Options(site_origins=(origin,))


def test_site_origins_are_written_as_browsers_do() -> None:
    """Lower-case and without a default port, so that they compare."""
    origins = ("HTTPS://Example.com:443", "http://localhost:8000")
    assert Options(site_origins=origins).site_origins == ("https://example.com", "http://localhost:8000")


@pytest.mark.parametrize(
    "domain", ["", "com", ".example.com", "example.com.", "exa mple.com", "https://example.com", "192.0.2.1"]
)
def test_a_shared_domain_is_a_domain(domain: str) -> None:
    """Two labels or more, nothing else."""
    with pytest.raises(InvalidOption, match="shared_domain"):
        Options(shared_domain=domain)


@pytest.mark.parametrize(
    "hosts", ["dev.example.com", ["dev.example.com:8000"], ["http://dev.example.com"], ["a b"]]
)
def test_an_insecure_host_is_a_host(hosts: object) -> None:
    """Neither an origin nor one text, whose letters would be taken for hosts."""
    with pytest.raises(InvalidOption, match="insecure_hosts"):
        Options(insecure_hosts=hosts)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["max_body", "expire_cap"])
def test_caps_are_positive(name: str) -> None:
    """A cap of nothing would switch a duty off."""
    with pytest.raises(InvalidOption, match=name):
        Options(**{name: 0})  # type: ignore[arg-type]


def test_an_error_has_a_remedy() -> None:
    """It shows what a right value looks like."""
    with pytest.raises(InvalidOption, match='"/consent"'):
        Options(prefix="consent")
