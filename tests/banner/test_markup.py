"""HTML is built so that text cannot become markup."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consentkit.banner.markup import Markup, element, encode, join, link
from tests.banner.dom import read

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def as_read(text: str) -> str:
    """Give the text as a browser shows it: what HTML cannot hold replaced, line ends as line feeds."""
    return "".join(
        "\n" if c == "\r" else "\ufffd" if (c < " " and c not in "\t\n") or "\x7f" <= c <= "\x9f" else c
        for c in text
    )


@given(text=ANY_TEXT, value=ANY_TEXT)
def test_any_text_is_read_back_as_it_was(text: str, value: str) -> None:
    """What is put in as text or as an attribute's value comes out as such, and nothing else with it."""
    (node,) = read(encode(element("p", text, title=value))).children
    assert node.attributes == {"title": as_read(value)}
    assert node.children == ([as_read(text)] if text else [])


@given(ANY_TEXT)
def test_the_output_is_ascii(text: str) -> None:
    """A page of any charset that extends ASCII can hold it."""
    encode(element("p", text, title=text)).decode("ascii")


def test_markup_is_kept_and_text_is_escaped() -> None:
    """Only what was built as markup passes as markup."""
    assert join(element("b", "x"), "<b>y</b>") == "<b>x</b>&lt;b&gt;y&lt;/b&gt;"
    assert element("p", Markup("<i>z</i>"), None, "") == "<p><i>z</i></p>"


def test_attributes_are_named_as_in_python_and_may_be_bare_or_absent() -> None:
    """Underscores turn into hyphens, True has no value, False and None are left out."""
    built = element("input", class_="a", aria_label='"', hidden=True, checked=False, value=None)
    assert built == '<input class="a" aria-label="&quot;" hidden>'


def test_links_of_other_schemes_are_shown_as_text() -> None:
    """An address that could run a script is no link, whatever its case."""
    assert link("https://a.example/?x&y", "A") == '<a href="https://a.example/?x&amp;y">A</a>'
    for url in ("javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", " https://a.example", "x"):
        assert link(url, "A") == "A"
