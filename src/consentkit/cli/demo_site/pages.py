"""The newspaper's pages. Whatever is not `Markup` is escaped on its way in."""

from __future__ import annotations

from attrs import frozen

from consentkit.banner.markup import Markup, element, join
from consentkit.cli.demo_site.content import Article, articles, picture, words

__all__ = ["EMBED", "HOOD", "STRIP", "View", "article_page", "front_page", "missing_page"]

HOOD = b"<!--hood-->"
"""Where the bench puts its panel."""

STRIP = b"<!--strip-->"
"""Where the bench puts the way to it."""

_DOCTYPE = Markup("<!doctype html>")
EMBED = "https://widgets.example.net/clip.js"
"""The third party's script: a host that the policy names for Clipview, and that does not exist."""


@frozen
class View:
    """What a page is rendered for. `reader` is the advertising network's name for the reader, if it may have one."""

    language: str
    path: str
    embeds: bool
    reader: str
    large: bool
    choices: str

    def word(self, key: str, **values: str) -> str:
        """Return the newspaper's word for something in the page's language."""
        return words(self.language)[key].format(**values)


def front_page(view: View) -> bytes:
    """Return the front page: one story large, the others below it."""
    lead, *others = articles(view.language)
    main = join(
        element("h1", "The Quayside Courier", class_="sr"),
        element("article", _teaser(view, lead, "h2"), class_="lead"),
        _advert(view),
        element("div", *(element("article", _teaser(view, one, "h2")) for one in others), class_="grid"),
    )
    return _document(view, "The Quayside Courier", main)


def article_page(view: View, article: Article) -> bytes:
    """Return an article, with its film if it has one."""
    others = [one for one in articles(view.language) if one.slug != article.slug][:3]
    main = join(
        element(
            "article",
            element("p", article.section, class_="kicker"),
            element("h1", article.title),
            element("p", article.lead, class_="standfirst"),
            _byline(view, article),
            element("div", picture(article.art), class_="plate"),
            element("div", *(element("p", text) for text in article.body), class_="prose"),
            _film(view, article) if article.clip else None,
            class_="story",
        ),
        _advert(view),
        element(
            "section",
            element("h2", view.word("more"), id="more"),
            element("div", *(element("article", _teaser(view, one, "h3")) for one in others), class_="grid"),
            aria_labelledby="more",
            class_="more",
        ),
    )
    return _document(view, f"{article.title} - The Quayside Courier", main)


def missing_page(view: View) -> bytes:
    """Return what is shown where there is no page."""
    main = join(
        element("h1", view.word("missing")), element("p", view.word("missing.lead"), class_="standfirst")
    )
    return _document(view, view.word("missing"), element("div", main, class_="story"))


def _teaser(view: View, article: Article, heading: str) -> Markup:
    title = element(heading, element("a", article.title, href=f"/news/{article.slug}"))
    return join(
        element("div", picture(article.art), class_="plate"),
        element(
            "div",
            element("p", article.section, class_="kicker"),
            title,
            element("p", article.lead),
            _byline(view, article),
        ),
    )


def _byline(view: View, article: Article) -> Markup:
    film = f"{view.word('video')}, " if article.clip else ""
    minutes = view.word("minutes", minutes=str(article.minutes))
    return element("p", view.word("by", author=article.author), " · ", film, minutes, class_="byline")


def _film(view: View, article: Article) -> Markup:
    """Embed the third party's player, if the reader allows it; nothing that it does could be undone afterwards."""
    if not view.embeds:
        ask = element("a", view.word("video.ask"), href=view.choices, class_="ask ck-open")
        return element("figure", element("figcaption", view.word("video.held"), " ", ask), class_="film held")
    script = element("script", src=EMBED, data_clip=article.clip, async_=True)
    return element(
        "figure",
        element("div", id=f"clip-{article.clip}", class_="screen"),
        script,
        element("figcaption", view.word("video.on")),
        class_="film",
    )


def _advert(view: View) -> Markup:
    text = view.word("advert.profile", reader=view.reader[:8]) if view.reader else view.word("advert.context")
    label = view.word("advert")
    return element(
        "aside", element("p", label, class_="kicker"), element("p", text), aria_label=label, class_="advert"
    )


def _document(view: View, title: str, main: Markup) -> bytes:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width"),
        element("title", title),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("link", rel="stylesheet", href="/courier.css"),
    )
    paper = element(
        "div",
        _masthead(view),
        element("main", main, id="news"),
        element("footer", element("p", view.word("colophon"))),
        class_="paper",
    )
    strip, hood = Markup(STRIP.decode()), Markup(HOOD.decode())
    body = element("body", strip, paper, hood, class_="large" if view.large else None)
    return (_DOCTYPE + element("html", head, body, lang=view.language)).encode()


def _masthead(view: View) -> Markup:
    size = "normal" if view.large else "large"
    comfort = element(
        "form",
        element("button", view.word(f"comfort.{size}"), name="size", value=size),
        method="post",
        action="/reader",
        class_="comfort",
    )
    return element(
        "header",
        element("a", view.word("skip"), href="#news", class_="skip"),
        element("p", view.word("edition"), class_="edition"),
        element(
            "p", element("a", "The Quayside Courier", href="/"), class_="name", lang="en", translate="no"
        ),
        element("p", view.word("motto"), class_="motto"),
        element(
            "nav", element("a", view.word("home"), href="/"), *_sections(view), aria_label="Quayside Courier"
        ),
        comfort,
    )


def _sections(view: View) -> list[Markup]:
    return [element("a", one.section, href=f"/news/{one.slug}") for one in articles(view.language)]
