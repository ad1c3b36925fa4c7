"""A visitor's language is the best of those that the policy offers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.web.language import language_of, negotiate
from tests.web.sites import request

OFFERED = ("en", "fr", "pt-BR", "zh-Hant")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr", "fr"),
        ("FR", "fr"),
        ("fr-CA", "fr"),
        ("fr-CA, en;q=0.8", "fr"),
        ("de, fr;q=0.5, en;q=0.9", "en"),
        ("en;q=0.1, fr;q=0.2", "fr"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("zh-Hant-TW", "zh-Hant"),
        ("de", "en"),
        ("*", "en"),
        ("de, *;q=0.5", "en"),
        ("en;q=0, *", "fr"),
        ("fr;q=0", "en"),
        ("en;q=0,fr;q=0,pt-BR;q=0,zh-Hant;q=0,*", "en"),
        ("", "en"),
        ("fr;q=nonsense, pt", "pt-BR"),
        ("fr ; q = 0.5 , pt ; q=0.4", "fr"),
        ("en-US,en;q=0.5", "en"),
        ("f\xe9, fr", "fr"),
    ],
)
def test_the_heaviest_range_that_is_offered_wins(header: str, language: str) -> None:
    """By weight, then order; a prefix is enough either way; malformed parts do not count."""
    assert language_of(request(headers=[("accept-language", header)]), OFFERED) == language


def test_without_one_clear_header_the_default_is_used() -> None:
    """None, or two."""
    assert language_of(request(), OFFERED) == "en"
    assert (
        language_of(request(headers=[("accept-language", "fr"), ("accept-language", "pt")]), OFFERED) == "en"
    )


@given(st.binary(max_size=100))
def test_any_header_gives_an_offered_language(header: bytes) -> None:
    """Never anything else, never an error."""
    assert negotiate(header, OFFERED) in OFFERED


def test_a_long_header_is_cut() -> None:
    """A visitor cannot make it expensive."""
    assert negotiate(b"de," * 100_000 + b"fr", OFFERED) == "en"
