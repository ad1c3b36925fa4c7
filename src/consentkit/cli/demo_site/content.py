"""What the newspaper prints: articles, its own words, pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from attrs import frozen

from consentkit.banner.markup import Markup

__all__ = ["Article", "articles", "asset", "picture", "words"]

_HERE = files("consentkit.cli.demo_site")
_ASSETS = {
    "courier.css": "text/css; charset=utf-8",
    "panel.css": "text/css; charset=utf-8",
    "panel.js": "text/javascript; charset=utf-8",
}


@frozen
class Article:
    """One article in one language. `clip` names a film at Clipview, or is empty."""

    slug: str
    art: str
    clip: str
    section: str
    title: str
    lead: str
    author: str
    minutes: int
    body: tuple[str, ...]


@cache
def articles(language: str) -> tuple[Article, ...]:
    """Return all articles in a language, the one that leads the front page first."""
    return tuple(
        Article(
            slug=one["slug"],
            art=one["art"],
            clip=one.get("clip", ""),
            section=one["section"][language],
            title=one["title"][language],
            lead=one["lead"][language],
            author=one["author"],
            minutes=one["minutes"],
            body=tuple(one["body"][language]),
        )
        for one in json.loads(_read("articles.json"))
    )


@cache
def words(language: str) -> Mapping[str, str]:
    """Return the newspaper's own words in a language."""
    found: Mapping[str, str] = json.loads(_read("words.json"))[language]
    return found


@cache
def picture(name: str) -> Markup:
    """Return a picture as inline SVG."""
    return Markup(_read(f"art/{name}.svg").strip())


def asset(name: str) -> tuple[str, bytes] | None:
    """Return media type and content of a stylesheet or script, None for any other name."""
    kind = _ASSETS.get(name)
    return None if kind is None else (kind, _read(name).encode())


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
