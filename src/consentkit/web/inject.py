"""Putting the banner into a page: where that is safe, right after `<body ...>`, as the page streams by."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from consentkit.web.request import Headers, Request

__all__ = ["LIMIT", "Injector", "Obstacle", "obstacle"]

LIMIT = 65_536
"""Bytes of a page that are held back at most while its `<body>` is looked for."""

# Labels (WHATWG Encoding) in which the bytes of ASCII mean what they mean in ASCII, so that a snippet of pure
# ASCII is right in any of them. UTF-16, UTF-32, UTF-7, ISO-2022-* and whatever is unknown are not touched.
_ASCII_SUPERSET = re.compile(
    r"utf-?8|us-ascii|ascii|latin-?[1-9]|l[1-9]|iso-?8859-?\d{1,2}(?:-[ie])?|windows-?\d{3,4}|cp\d{3,4}|x-cp\d{4}"
    r"|koi8(?:-[ru])?|macintosh|x-mac-cyrillic|gbk?|gb2312|gb18030|big5(?:-hkscs)?|euc-?(?:jp|kr)|shift[_-]?jis|sjis|tis-620"
)
_CHARSET = re.compile(r";\s*charset\s*=\s*(\"[^\"]*\"|[^\s;]*)", re.IGNORECASE)

Obstacle = Literal["status", "type", "charset", "encoded", "attachment", "fragment", "head"]
"""Why a response is left as it is."""


def obstacle(request: Request, status: int, headers: Headers) -> Obstacle | None:
    """Tell what stands against injection into a response, or None; the first of these that applies.

    "status": not a plain 200. "type": no `text/html`. "charset": no superset of ASCII. "encoded": there is a
    `Content-Encoding`, so the bytes are not the page's or must not become so. "attachment": a download.
    "fragment": a part of a page for HTMX or Turbo. "head": a HEAD request, whose response has no body.
    """
    if status != 200:
        return "status"
    kind = disposition = b""
    encoded = False
    for name, value in headers:
        size = len(name)  # spares most names the comparison in lower case
        if size == 12 and name.lower() == b"content-type":
            kind = value
        elif size == 16 and name.lower() == b"content-encoding":
            encoded = True
        elif size == 19 and name.lower() == b"content-disposition":
            disposition = value
    found = _type_obstacle(kind)
    if found is not None:
        return found
    if encoded:
        return "encoded"
    if disposition and disposition.strip().lower().startswith(b"attachment"):
        return "attachment"
    if _wants_fragment(request):
        return "fragment"
    return "head" if request.method == "HEAD" else None


@lru_cache(maxsize=256)
def _type_obstacle(value: bytes) -> Obstacle | None:
    if value[:9].lower() != b"text/html" or value[9:].lstrip(b" \t")[:1] not in (b"", b";"):
        return "type"
    match = _CHARSET.search(value.decode("latin-1"))
    label = match[1].strip('" ').lower() if match else "utf-8"
    return None if _ASCII_SUPERSET.fullmatch(label) else "charset"


def _wants_fragment(request: Request) -> bool:
    if not request.header_values(b"hx-request") and not request.header_values(b"turbo-frame"):
        return False
    # Every HTMX request says HX-Request; one that replaces the whole page says HX-Boosted as well.
    return not request.header_values(b"hx-boosted")


# The first `<body` is the page's, unless it stands in a comment or in an element whose content is text. Such an
# element hides nothing, and is passed over, if no `<` comes before its end. Each expression starts with a
# literal, which lets the search skip from one `<` to the next.
_TEXTUAL = (b"script", b"style", b"title", b"textarea", b"template")
_MARK = re.compile(rb"<(?:!--|(?i:body|(%b)(?=[\s/>])(?![^<]*+</\1))(?=[\s/>]))" % b"|".join(_TEXTUAL))
_TAIL = re.compile(rb"<[!a-zA-Z-]{0,8}\Z")
_BODY = re.compile(rb"<(?i:body)(?:[\s/](?:[^>\"']|\"[^\"]*\"|'[^']*')*)?>")
_COMMENT_END = re.compile(rb"--!?>")
_ENDS = {name: re.compile(b"</(?i:%b)" % name) for name in _TEXTUAL}
_LONGEST_END = len(b"</textarea")


class Injector:
    """Puts a snippet behind the `<body ...>` tag of a page that comes in chunks.

    `snippet` is asked for once, when the tag has been found. Only what may be the beginning of the tag is held
    back. `settled` becomes true when the snippet is in or nothing more will be looked for; `added` is the
    number of bytes put in. With a `limit`, the search ends after that many bytes.
    """

    __slots__ = ("_carry", "_end", "_limit", "_seen", "_snippet", "added", "settled")

    def __init__(self, snippet: Callable[[], bytes], limit: int | None = None) -> None:
        self._snippet, self._limit = snippet, limit
        self._carry, self._seen = b"", 0
        self._end: re.Pattern[bytes] | None = None  # what ends the comment or element that is being skipped
        self.added: int = 0
        self.settled: bool = False

    def feed(self, chunk: bytes, *, last: bool = False) -> bytes:
        """Take a piece of the page and give back what may be sent by now."""
        if self.settled:
            return chunk
        data = self._carry + chunk if self._carry else chunk
        self._seen += len(chunk)
        free, at = self._search(data)
        if at is not None:
            snippet = self._snippet()
            self.settled, self.added, self._carry = True, len(snippet), b""
            return b"".join((data[:at], snippet, data[at:]))
        if last or len(data) - free > LIMIT or (self._limit is not None and self._seen > self._limit):
            self.settled, self._carry = True, b""
            return data
        self._carry = data[free:]
        return data[:free]

    def _search(self, data: bytes) -> tuple[int, int | None]:
        """Give how much of `data` is behind the search for good, and where the snippet belongs, if found."""
        position = 0
        while True:
            if self._end is not None:
                end = self._end.search(data, position)
                if end is None:  # or it is cut in two by the end of this chunk
                    return max(position, len(data) - _LONGEST_END), None
                position, self._end = end.end(), None
            mark = _MARK.search(data, position)
            if mark is None:
                tail = _TAIL.search(data, max(position, len(data) - _LONGEST_END))
                return (tail.start() if tail else len(data)), None
            word = mark[0][1:].lower()
            if word == b"body":
                tag = _BODY.match(data, mark.start())
                return mark.start(), tag.end() if tag else None
            self._end = _ENDS.get(word, _COMMENT_END)
            position = mark.end() - 2 * (word == b"!--")  # `<!-->` is a whole comment
