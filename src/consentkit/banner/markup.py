"""HTML as a value that cannot be mixed up with text: what is not `Markup` is escaped, always."""

from __future__ import annotations

from html import escape

__all__ = ["Markup", "element", "encode", "join", "link"]

_VOID = frozenset({"input", "link", "meta"})
# What HTML cannot hold or reads as something else: controls (the C1 ones would turn into Windows-1252 letters),
# and a carriage return, which is a line feed to every parser.
_CONTROLS = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"} | {
    13: "\n"
}
_SCHEMES = ("https://", "http://", "mailto:", "/", "#", "?")


class Markup(str):
    """A piece of HTML, well-formed and free of any text that was not escaped."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: str | bool | None) -> Markup:
    """Build an element. Children that are plain text are escaped, None is left out.

    An attribute's name gives up its last underscore and turns the others into hyphens (`class_`, `aria_label`);
    True stands for an attribute without a value, False and None for none.
    """
    start = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(start if name in _VOID else f"{start}{join(*children)}</{name}>")


def join(*parts: str | None) -> Markup:
    """Put parts one after the other, escaping those that are plain text."""
    return Markup("".join(part if isinstance(part, Markup) else _escaped(part) for part in parts if part))


def link(url: str, text: str, **attributes: str | bool | None) -> Markup:
    """Build a link, or the text alone where `url` has a scheme that a notice has no use for, `javascript:` say."""
    safe = url.lower().startswith(_SCHEMES)
    return element("a", text, href=url, **attributes) if safe else join(text)


def encode(markup: Markup) -> bytes:
    """Return HTML in ASCII, all other characters as numeric references, so that any page's charset may hold it."""
    return markup.encode("ascii", "xmlcharrefreplace")


def _escaped(text: str) -> str:
    return escape(text.translate(_CONTROLS))


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return (
        f" {name}"
        if value is True
        else f' {name}="{value if isinstance(value, Markup) else _escaped(value)}"'
    )
