"""Whether the banner can show a policy: every language offered has all its texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from consentkit.banner.catalogue import catalogue, catalogue_languages
from consentkit.errors import Problem, UnknownLanguage
from consentkit.policy import Policy
from consentkit.policy.load import child

__all__ = ["check"]


def check(policy: Policy) -> list[Problem]:
    """Return what keeps the banner from showing a policy in every language that it offers; nothing: all is well."""
    return [*_languages(policy), *_unused(policy), *_blank("", policy.document)]


def _languages(policy: Policy) -> Iterator[Problem]:
    """Yield the languages offered that the banner has no texts in."""
    for index, language in enumerate(policy.languages):
        try:
            catalogue(language)
        except UnknownLanguage:
            expected = f"one of: {', '.join(catalogue_languages())}"
            yield Problem(
                f"/languages/{index}", language, "the banner has no texts in this language", expected
            )


def _unused(policy: Policy) -> Iterator[Problem]:
    """Yield the texts for a language that is not offered: a misspelt tag, or a language forgotten in the list."""
    for language in policy.texts:
        if language not in policy.languages:
            expected = f"a language that is offered: {', '.join(policy.languages)}"
            yield Problem(child("/notice/texts", language), language, "nobody will see these texts", expected)


def _blank(pointer: str, value: object, *, seen: bool = False) -> Iterator[Problem]:
    """Yield the texts that are there and say nothing: a heading or purpose must not vanish from a notice."""
    if isinstance(value, str):
        if seen and not value.strip():
            yield Problem(pointer, value, "the visitor would see no text here", "a text in plain words")
    elif isinstance(value, Mapping):
        for name, found in value.items():
            if not name.startswith("x-"):
                yield from _blank(child(pointer, name), found, seen=seen or name in _TEXTS)
    elif isinstance(value, list):
        for index, found in enumerate(value):
            yield from _blank(child(pointer, index), found, seen=False)


_TEXTS = frozenset({"title", "description", "purposes", "purpose", "texts", "name"})
