"""What a visitor is told when a request is refused: one sentence for each status, in each language, as HTML."""

from __future__ import annotations

from html import escape

from consentkit.banner.urls import Urls

__all__ = ["LANGUAGES", "error_page"]

_TEXTS: dict[str, dict[int, str]] = {
    "en": {
        0: "Back to the site",
        400: "Your choice could not be read, so nothing was changed. Please go back and try again.",
        403: "Your choice seems to come from another site, so nothing was changed. Please make it on this site.",
        404: "There is nothing here.",
        405: "This address takes a choice from the form only.",
        408: "Your choice did not arrive in time, so nothing was changed. Please try again.",
        413: "What was sent is too long to be a choice, so nothing was changed.",
        415: "What was sent is no form of this site, so nothing was changed.",
    },
    "fr": {
        0: "Retour au site",
        400: "Votre choix n&rsquo;a pas pu être lu, rien n&rsquo;a donc été modifié. Revenez en arrière et réessayez.",
        403: "Votre choix semble venir d&rsquo;un autre site, rien n&rsquo;a donc été modifié. Faites-le sur ce site.",
        404: "Il n&rsquo;y a rien ici.",
        405: "Cette adresse n&rsquo;accepte que les choix faits dans le formulaire.",
        408: "Votre choix n&rsquo;est pas arrivé à temps, rien n&rsquo;a donc été modifié. Réessayez.",
        413: "L&rsquo;envoi est trop long pour être un choix, rien n&rsquo;a donc été modifié.",
        415: "L&rsquo;envoi ne vient pas d&rsquo;un formulaire de ce site, rien n&rsquo;a donc été modifié.",
    },
}

LANGUAGES = tuple(_TEXTS)
"""The languages that have these sentences, the first being used for any other."""


def error_page(status: int, language: str, urls: Urls) -> bytes:
    """Give the page for a refused request, in `language` or its primary language if there is one. ASCII only."""
    tag = next((tag for tag in (language, language.partition("-")[0]) if tag in _TEXTS), LANGUAGES[0])
    texts = _TEXTS[tag]
    sentence = texts.get(status, texts[400])
    page = (
        f'<!doctype html><html lang="{tag}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{status}</title>'
        f'<link rel="stylesheet" href="{escape(urls.style)}"></head>'
        f'<body class="ck-doc"><div id="ck"><main class="ck-page"><p>{sentence}</p>'
        f'<p><a href="{escape(urls.home)}">{texts[0]}</a></p></main></div></body></html>'
    )
    return page.encode("ascii", "xmlcharrefreplace")
