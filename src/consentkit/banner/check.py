"""Whether a policy may be served: the banner has all its texts, and nobody gets a weaker rule by oversight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from unicodedata import category

from consentkit.banner.catalogue import catalogue, catalogue_languages
from consentkit.errors import Problem, UnknownLanguage
from consentkit.policy import Model, Policy
from consentkit.policy.load import child

__all__ = ["check"]

_SHOWN = frozenset({"title", "description", "purposes", "purpose", "texts", "name"})


def check(policy: Policy) -> list[Problem]:
    """Return what keeps a valid policy from being served; nothing: all is well.

    A fallback that is weaker than opt-in without saying so, a language that the banner has no texts in, a text that
    nobody can see. `ConsentManager.open` refuses the same.
    """
    return [*_languages(policy), *_fallback(policy), *_invisible("", policy.document)]


def _fallback(policy: Policy) -> Iterator[Problem]:
    """Yield a fallback that allows something before a yes, unless the policy says that this is meant."""
    regime = policy.fallback
    weaker = sorted({regime.model, *regime.models.values()} - {Model.OPT_IN})
    if weaker and not policy.weaker_fallback_allowed:
        yield Problem(
            "/fallback/regime",
            regime.id,
            f"visitors of unknown region would get a rule that is weaker than opt-in: {', '.join(weaker)}",
            'an opt-in regime; or say "allow_weaker": true beside it, if you mean it',
        )


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


def _invisible(pointer: str, value: object, *, shown: bool = False) -> Iterator[Problem]:
    """Yield texts made of nothing that can be seen: a purpose or a heading must not vanish from a notice."""
    if isinstance(value, str) and shown and not any(category(letter)[0] not in "CZ" for letter in value):
        yield Problem(pointer, value, "the visitor would see no text here", "a text in plain words")
    elif isinstance(value, Mapping):
        for name, found in value.items():
            if not name.startswith("x-"):
                yield from _invisible(child(pointer, name), found, shown=shown or name in _SHOWN)
    elif isinstance(value, list):
        for index, found in enumerate(value):
            yield from _invisible(child(pointer, index), found)
