"""The banner's own texts: one JSON file per language in `locales/`, found by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import attrs

from consentkit.errors import UnknownLanguage
from consentkit.policy import Lifetime

__all__ = ["Catalogue", "catalogue", "catalogue_languages"]

_LOCALES = files("consentkit.banner") / "locales"
_CONDITION = re.compile(r"n(?: % (\d+))? (!?)= ([\d.,]+)")


@attrs.frozen(eq=False)
class Catalogue:
    """All texts in one language: `tag` is its BCP 47 tag, `direction` "ltr" or "rtl"."""

    tag: str
    direction: str
    texts: Mapping[str, str] = attrs.field(repr=False)
    countries: Mapping[str, str] = attrs.field(repr=False)
    plurals: Mapping[str, str] = attrs.field(repr=False)
    durations: Mapping[str, Mapping[str, str]] = attrs.field(repr=False)

    def text(self, key: str, **values: str) -> str:
        """Return the text called `key`, its placeholders filled in. Raises KeyError for a text that is not there."""
        return self.texts[key].format_map(values)

    def country(self, code: str) -> str:
        """Return the name of a country by its ISO 3166-1 alpha-2 code, or the code of one unknown here."""
        return self.countries.get(code, code)

    def place(self, name: str, country: str) -> str:
        """Return someone's name with where they are."""
        return self.text("place", name=name, country=self.country(country))

    def duration(self, lifetime: Lifetime) -> str:
        """Return how long something is kept, in words."""
        forms = self.durations[lifetime.unit]
        return forms.get(self.plural(lifetime.count), forms["other"]).format(n=lifetime.count)

    def plural(self, n: int) -> str:
        """Return the plural category of a whole number, by the rules in the file (CLDR's notation, `n` alone)."""
        return next((name for name, rule in self.plurals.items() if _holds(rule, n)), "other")


@cache
def catalogue_languages() -> tuple[str, ...]:
    """Return the tags of the languages that have a catalogue, sorted."""
    names = (entry.name for entry in _LOCALES.iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


@cache
def catalogue(language: str) -> Catalogue:
    """Return the texts for a language tag, those of its primary language if it has none of its own.

    Raises UnknownLanguage.
    """
    known = catalogue_languages()
    tag = next((tag for tag in (language, language.partition("-")[0]) if tag in known), None)
    if tag is None:
        raise UnknownLanguage(language, known)
    found: dict[str, Any] = json.loads((_LOCALES / f"{tag}.json").read_text(encoding="utf-8"))
    return Catalogue(
        language, found["direction"], found["texts"], found["countries"], found["plurals"], found["durations"]
    )


def _holds(rule: str, n: int) -> bool:
    """Evaluate a plural rule such as `n % 10 = 2..4 and n % 100 != 12..14 or n = 0`."""
    return any(all(_condition(part, n) for part in choice.split(" and ")) for choice in rule.split(" or "))


def _condition(text: str, n: int) -> bool:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ValueError(f"no plural rule: {text!r}")
    modulus, negated, ranges = found.groups()
    value = n % int(modulus) if modulus else n
    bounds = (part.split("..") for part in ranges.split(","))
    return any(int(low[0]) <= value <= int(low[-1]) for low in bounds) is not bool(negated)
