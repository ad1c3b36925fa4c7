"""Whether a policy can be served: the banner has texts in every language, and nobody is treated more weakly unasked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from unicodedata import category

from consentkit.banner.catalogue import catalogue, catalogue_languages
from consentkit.errors import Problem, UnknownLanguage
from consentkit.policy import Model, Policy
from consentkit.policy.load import child

__all__ = ["check", "weaker_fallback"]

_SHOWN = frozenset({"title", "description", "purposes", "purpose", "texts", "name"})


def check(policy: Policy) -> list[Problem]:
    """Return what keeps the banner from showing a policy in every language that it offers; nothing: all is well."""
    return [*_languages(policy), *_invisible("", policy.document)]


def weaker_fallback(policy: Policy) -> Problem | None:
    """Return what is wrong with a fallback that is weaker than opt-in, unless the policy says that it is meant."""
    models = {policy.fallback.model, *policy.fallback.models.values()}
    if models == {Model.OPT_IN} or policy.weaker_fallback_allowed:
        return None
    return Problem(
        "/fallback/regime",
        policy.fallback.id,
        "this regime is weaker than opt-in, for visitors of unknown region",
        'an opt-in regime, or "allow_weaker": true beside it if you mean it',
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
