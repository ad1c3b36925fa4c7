"""A response that depends on its visitor says so to every cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.web.caching import merge_vary, no_store, personal, rewritten


def made_personal(*headers: tuple[str, str]) -> dict[str, str]:
    """The header fields after `personal`, by lower-case name; none may come twice."""
    sent = personal([(name.encode(), value.encode()) for name, value in headers])
    found = {name.decode().lower(): value.decode() for name, value in sent}
    assert len(found) == len(sent)
    return found


def test_a_plain_response_becomes_private_and_varies() -> None:
    """Two fields, and nothing else."""
    assert made_personal() == {"cache-control": "private", "vary": "Cookie, Sec-GPC"}


@pytest.mark.parametrize(
    ("have", "sent"),
    [
        ("Accept-Encoding", "Accept-Encoding, Cookie, Sec-GPC"),
        ("cookie", "cookie, Sec-GPC"),
        ("SEC-GPC , Cookie", "SEC-GPC, Cookie"),
        ("*", "*"),
        ("Accept, *", "*"),
        ("", "Cookie, Sec-GPC"),
        (",, Accept ,", "Accept, Cookie, Sec-GPC"),
    ],
)
def test_T13_vary_is_merged_without_regard_to_case(have: str, sent: str) -> None:
    """Order is kept, no name comes twice, and `*` stays."""
    assert made_personal(("Vary", have))["vary"] == sent


def test_T13_several_vary_fields_become_one() -> None:
    """Names are gathered over all of them."""
    assert made_personal(("vary", "A"), ("Vary", "B"))["vary"] == "A, B, Cookie, Sec-GPC"


@pytest.mark.parametrize(
    ("have", "sent"),
    [
        ("max-age=60", "max-age=60, private"),
        ("public, max-age=60", "max-age=60, private"),
        ("Public, S-MaxAge=60, max-age=5", "max-age=5, private"),
        ("private", "private"),
        ("PRIVATE, max-age=5", "PRIVATE, max-age=5"),
        ("no-store", "no-store"),
        ("no-store, public", "no-store"),
        ('private="set-cookie", max-age=5', "max-age=5, private"),
        ('no-cache="a, public"', 'no-cache="a, public", private'),
        ("", "private"),
        ("s-maxage = 5", "private"),
    ],
)
def test_T13_cache_control_becomes_private_unless_it_is_strict_already(have: str, sent: str) -> None:
    """What invites shared caches goes, what the application said otherwise stays."""
    assert made_personal(("Cache-Control", have))["cache-control"] == sent


def test_T13_several_cache_control_fields_become_one() -> None:
    """One that is strict makes the whole strict."""
    fields = [("cache-control", "no-store"), ("Cache-Control", "public")]
    assert made_personal(*fields)["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "name",
    [
        "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Vercel-CDN-Cache-Control", "Surrogate-Control",
        "X-Accel-Expires", "Edge-Control",
    ],
)  # fmt: skip
def test_T13_fields_that_override_a_cdn_go(name: str) -> None:
    """A CDN that reads them would keep one visitor's page for all."""
    assert name.lower() not in made_personal((name, "max-age=600"))


def test_other_fields_stay_in_order() -> None:
    """Nothing else is touched."""
    have = [(b"ETag", b'"x"'), (b"X-B", b"2"), (b"x-a", b"1")]
    assert personal(have)[:3] == have


def test_T13_a_response_with_our_cookie_is_stored_by_nobody() -> None:
    """Not even by the browser: `no-store` replaces whatever was said."""
    sent = no_store(
        [(b"Cache-Control", b"max-age=60"), (b"Expires", b"x"), (b"Pragma", b"y"), (b"vary", b"A")]
    )
    assert sent == [(b"vary", b"A"), (b"cache-control", b"private, no-store")]


def test_T6_validators_go_with_the_body_they_were_made_for() -> None:
    """ETag and its kin describe bytes that are no longer sent."""
    names = [
        "ETag",
        "Last-Modified",
        "Accept-Ranges",
        "Content-MD5",
        "Digest",
        "Content-Digest",
        "Repr-Digest",
    ]
    have = [(name.encode(), b"x") for name in [*names, "X-Other"]]
    assert rewritten(have, None) == [(b"X-Other", b"x")]


def test_T3_the_length_is_that_of_the_new_body() -> None:
    """Replaced when it is known, left out when it is not."""
    have = [(b"Content-Length", b"3")]
    assert rewritten(have, 10) == [(b"content-length", b"10")]
    assert rewritten(have, None) == []


@given(st.lists(st.binary(max_size=30), max_size=4), st.lists(st.binary(max_size=30), max_size=3))
def test_any_values_give_a_private_response(varies: list[bytes], control: list[bytes]) -> None:
    """Whatever an application sends, the result varies by cookie and is kept from shared caches."""
    sent = dict(personal([*((b"vary", v) for v in varies), *((b"cache-control", c) for c in control)]))
    names = {name.strip().lower() for name in sent[b"vary"].split(b",")}
    assert names & {b"cookie", b"*"}
    directives = {part.strip().lower() for part in sent[b"cache-control"].split(b",")}
    assert directives & {b"private", b"no-store"}
    assert b"public" not in directives
    assert merge_vary((sent[b"vary"],), (b"Cookie",)) == sent[b"vary"]
