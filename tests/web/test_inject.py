"""The banner goes behind `<body ...>`, where that is safe, as the page streams by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.web.inject import LIMIT, Injector, obstacle
from tests.web.sites import request

SNIPPET = b"<<<banner>>>"
PAGE = b'<!doctype html><html><head><title>News</title></head><body class="a">text</body></html>'


def injected(page: bytes, *sizes: int, limit: int | None = None) -> bytes:
    """The page after injection, fed in pieces of these sizes and then the rest."""
    injector, out, at = Injector(lambda: SNIPPET, limit), b"", 0
    for size in sizes:
        out += injector.feed(page[at : at + size])
        at += size
    return out + injector.feed(page[at:], last=True)


def rows(**fields: str) -> list[tuple[bytes, bytes]]:
    """Header fields of an HTML response, with changes."""
    merged = {"content_type": "text/html; charset=utf-8", **fields}
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in merged.items()]


def test_the_snippet_follows_the_body_tag() -> None:
    """Nothing else of the page changes."""
    assert injected(PAGE) == PAGE.replace(b'class="a">', b'class="a">' + SNIPPET)


@pytest.mark.parametrize(
    "tag",
    [
        b"<body>",
        b"<BODY>",
        b"<body\n\tclass=a>",
        b'<body onload="if (a > b) go()">',
        b"<body data-x='>' data-y=\">\">",
        b"<body/>",
        b"<body class=x />",
    ],
)
def test_T11_a_greater_than_sign_in_an_attribute_does_not_end_the_tag(tag: bytes) -> None:
    """Whatever the tag looks like, the snippet comes right behind it."""
    assert injected(b"<html>" + tag + b"text") == b"<html>" + tag + SNIPPET + b"text"


@pytest.mark.parametrize(
    "decoy",
    [
        b"<!-- <body> -->",
        b"<!--[if IE]><body class=ie><![endif]-->",
        b"<script>document.write('<body>')</script>",
        b"<SCRIPT type=x>'<body>'</SCRIPT >",
        b"<style>/* <body> */</style>",
        b"<title>The <body> tag</title>",
        b"<template><body></template>",
        b"<!--><!-- <body> --!>",
    ],
)
def test_T11_a_tag_in_a_comment_or_in_text_is_not_the_pages(decoy: bytes) -> None:
    """Only the tag that a browser sees counts, however the page is cut in two."""
    page = b"<html><head>" + decoy + b"</head><body>text"
    for cut in range(len(page)):
        assert injected(page, cut) == b"<html><head>" + decoy + b"</head><body>" + SNIPPET + b"text"


@pytest.mark.parametrize(
    "page", [b"", b"<p>fragment</p>", b"<bodyguard>", b"<html><head>", b"<body class=", b"plain <"]
)
def test_T11_a_fragment_without_a_body_stays_as_it_is(page: bytes) -> None:
    """No tag, no snippet, and nothing lost."""
    assert injected(page) == page


@pytest.mark.parametrize("comment", [b"<!-->", b"<!--->", b"<!-- x --!>", b"<!---->"])
def test_T11_a_comment_ends_where_a_browser_ends_it(comment: bytes) -> None:
    """Abruptly, or in the wrong way: what follows is the page again."""
    assert injected(comment + b"<body>text") == comment + b"<body>" + SNIPPET + b"text"


def test_the_snippet_is_asked_for_once_and_only_if_needed() -> None:
    """A page without a body never has a banner rendered."""
    asked: list[int] = []

    def snippet() -> bytes:
        asked.append(1)
        return SNIPPET

    Injector(snippet).feed(b"<p>x</p>", last=True)
    assert asked == []
    injector = Injector(snippet)
    injector.feed(PAGE)
    injector.feed(PAGE, last=True)
    assert asked == [1]
    assert (injector.settled, injector.added) == (True, len(SNIPPET))


@given(st.lists(st.integers(1, 40), max_size=12))
def test_T1_however_a_page_is_cut_the_result_is_the_same(sizes: list[int]) -> None:
    """Chunk borders do not matter."""
    assert injected(PAGE, *sizes) == injected(PAGE)


@given(
    st.lists(
        st.sampled_from(
            [b"<body>", b"<body ", b">", b'"', b"<!--", b"-->", b"<script>", b"</script>", b"<", b"x" * 50]
        )
    ),
    st.lists(st.integers(0, 60)),
)
def test_any_page_keeps_all_its_bytes(parts: list[bytes], sizes: list[int]) -> None:
    """Whatever the page, it comes out whole, with at most one snippet, and cuts do not matter."""
    page = b"".join(parts)
    result = injected(page, *sizes)
    assert result.replace(SNIPPET, b"", 1) == page
    assert result == injected(page)


def test_T1_only_what_may_be_the_tag_is_held_back() -> None:
    """The head of a page leaves at once: browsers start to load what it names."""
    injector = Injector(lambda: SNIPPET)
    assert injector.feed(b"<html><head><link href=a>") == b"<html><head><link href=a>"
    assert injector.feed(b"<script>let a = 1;") == b"<script>"
    assert injector.feed(b"</script></head><bo") == b"let a = 1;</script></head>"
    assert injector.feed(b"dy id=x") == b""
    assert injector.feed(b">text") == b"<body id=x>" + SNIPPET + b"text"


def test_T1_a_tag_that_never_ends_is_given_up_after_64_KiB() -> None:
    """What is held back has a bound, and is passed on when it is reached."""
    injector = Injector(lambda: SNIPPET)
    assert injector.feed(b"<body " + b"x" * (LIMIT - 6)) == b""
    assert injector.feed(b"xx") == b"<body " + b"x" * (LIMIT - 4)
    assert injector.settled
    assert injector.feed(b">", last=True) == b">"


def test_T1_a_search_with_a_limit_ends_there() -> None:
    """Where the headers wait for the tag, they do not wait longer than the limit."""
    head = b"<html>" + b"x" * 90
    assert injected(head + b"<body>", 50, limit=60) == head + b"<body>" + SNIPPET
    assert injected(head + b"<body>", 70, limit=60) == head + b"<body>"


def test_a_hostile_page_takes_linear_time() -> None:
    """Half a million beginnings of a tag are looked at once each."""
    page = b"<body " * 500_000
    assert injected(page) == page
    page = b"<!--" * 500_000
    assert injected(page) == page


def test_a_plain_page_can_be_injected() -> None:
    """Nothing stands against a 200 in HTML."""
    assert obstacle(request("GET"), 200, rows()) is None
    assert obstacle(request("POST"), 200, rows(content_type="Text/HTML")) is None


@pytest.mark.parametrize("status", [100, 201, 204, 206, 301, 304, 404, 500])
def test_T6_only_a_plain_200_is_injected(status: int) -> None:
    """A part of a page, no page at all, or an error stays as it is."""
    assert obstacle(request("GET"), status, rows()) == "status"


@pytest.mark.parametrize(
    "kind", ["text/event-stream", "application/json", "text/htmlx", "application/xhtml+xml", "", "text/plain"]
)
def test_T7_only_html_is_injected(kind: str) -> None:
    """Event streams and all that is no HTML are never touched."""
    assert obstacle(request("GET"), 200, rows(content_type=kind)) == "type"


def test_a_response_without_a_type_is_not_injected() -> None:
    """What does not say that it is HTML is not taken for it."""
    assert obstacle(request("GET"), 200, []) == "type"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "identity", "", "x"])
def test_T4_an_encoded_page_is_not_injected(coding: str) -> None:
    """Compressed bytes cannot be changed; and a site that says `identity` asks for hands off."""
    assert obstacle(request("GET"), 200, rows(content_encoding=coding)) == "encoded"


@pytest.mark.parametrize(
    "charset",
    [
        "utf-8",
        '"UTF-8"',
        "iso-8859-1",
        "ISO-8859-15",
        "windows-1252",
        "us-ascii",
        "shift_jis",
        "gb18030",
        "koi8-r",
        "Big5",
        "euc-kr",
    ],
)
def test_T10_any_superset_of_ascii_is_injected(charset: str) -> None:
    """The snippet is pure ASCII, so the page's charset does not matter."""
    assert obstacle(request("GET"), 200, rows(content_type=f"text/html ; Charset={charset}; x=y")) is None


@pytest.mark.parametrize(
    "charset", ["utf-16", "utf-16le", "utf-32", "utf-7", "iso-2022-jp", "ebcdic", "hz-gb-2312", '"', ""]
)
def test_T10_other_charsets_are_not_injected(charset: str) -> None:
    """Where ASCII bytes would mean something else, or nobody knows, nothing is put in."""
    assert obstacle(request("GET"), 200, rows(content_type=f"text/html; charset={charset}")) == "charset"


def test_a_download_is_not_injected() -> None:
    """A page that is saved to disk has no use for a banner."""
    assert (
        obstacle(request("GET"), 200, rows(content_disposition="Attachment; filename=a.html")) == "attachment"
    )
    assert obstacle(request("GET"), 200, rows(content_disposition="inline")) is None


@pytest.mark.parametrize("name", ["hx-request", "turbo-frame"])
def test_T11_a_fragment_for_htmx_or_turbo_is_not_injected(name: str) -> None:
    """The page that asks has its banner already; a boosted request replaces the page and needs one."""
    assert obstacle(request(headers=[(name, "true")]), 200, rows()) == "fragment"
    assert obstacle(request(headers=[(name, "true"), ("hx-boosted", "true")]), 200, rows()) is None


def test_T5_head_has_no_body_to_inject_into() -> None:
    """And is told apart, since its headers are those of a page that would have been."""
    assert obstacle(request("HEAD"), 200, rows()) == "head"
