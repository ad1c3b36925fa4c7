"""What a policy is made of: small frozen values, parsed once from the document and trusted afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

import attrs

__all__ = [
    "BUILT_IN_CATEGORIES",
    "NECESSARY",
    "Category",
    "Controller",
    "CookieDeclaration",
    "Lifetime",
    "Model",
    "Provider",
    "Recipient",
    "Regime",
    "Service",
    "StorageDeclaration",
    "Text",
    "localized",
]

NECESSARY = "necessary"
BUILT_IN_CATEGORIES = (NECESSARY, "preferences", "analytics", "marketing")
"""The categories whose title and description the banner brings along, in their standard order."""

Text = Mapping[str, str]
"""One text in each language offered: language tag (BCP 47) to text."""

_SECONDS = {
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_629_800,
    "year": 31_557_600,
}


def localized(text: Text, language: str, default: str) -> str:
    """Return `text` in `language`, else in its primary language ("fr" for "fr-CA"), else in `default`.

    `default` is a language too: the policy's first. A text that lacks even that answers in any language it has.
    """
    for tag in (language, language.partition("-")[0], default):
        if tag in text:
            return text[tag]
    return next(iter(text.values()), "")


class Model(StrEnum):
    """How a region's rule treats silence: `opt-in` is a no, the others are a yes until the visitor objects.

    Under `implied` the banner says so until it is acknowledged; `notice` only informs.
    """

    OPT_IN = "opt-in"
    OPT_OUT = "opt-out"
    IMPLIED = "implied"
    NOTICE = "notice"


@attrs.frozen
class Lifetime:
    """How long something is kept: `count` times `unit` (minute to year), or `unit` "session" with count 0."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read text that the schema has accepted, such as "13 months", "1 day" or "session"."""
        if text == "session":
            return cls(0, text)
        count, unit = text.split(" ")
        return cls(int(count), unit.removesuffix("s"))

    @classmethod
    def of(cls, duration: timedelta) -> Self:
        """Return a duration of whole minutes in the largest unit that measures it: 12 months are 1 year."""
        seconds = round(duration.total_seconds())
        unit = max((one for one in _SECONDS if seconds % _SECONDS[one] == 0), key=_SECONDS.__getitem__)
        return cls(seconds // _SECONDS[unit], unit)

    @property
    def timedelta(self) -> timedelta | None:
        """The duration, a year being 365.25 days and a month a twelfth of it; None: until the browser closes."""
        return None if self.unit == "session" else timedelta(seconds=self.count * _SECONDS[self.unit])

    def __str__(self) -> str:
        if self.unit == "session":
            return self.unit
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"


@attrs.frozen
class Controller:
    """Who is responsible for the site (GDPR Art. 4(7)): `country` is ISO 3166-1 alpha-2, `contact` mail or URL."""

    name: str
    country: str
    contact: str
    privacy_policy: str
    address: str | None = None


@attrs.frozen
class Provider:
    """Who operates a service; `country` is ISO 3166-1 alpha-2."""

    name: str
    country: str
    privacy_policy: str | None = None


@attrs.frozen
class Recipient:
    """Who else receives what a service collects (GDPR Art. 13(1)(e))."""

    id: str
    name: str
    country: str


@attrs.frozen
class CookieDeclaration:
    """A cookie that a service sets; in `name`, each `*` stands for any run of characters, none included.

    `domain` and `path` None mean whatever the response says; `party` is "first" or "third".
    """

    name: str
    lifetime: Lifetime
    party: str = "first"
    domain: str | None = None
    path: str | None = None
    partitioned: bool = False
    purpose: Text | None = attrs.field(default=None, hash=False)


@attrs.frozen
class StorageDeclaration:
    """Something kept in the browser other than a cookie; `key` is a pattern as in `CookieDeclaration.name`.

    `kind` is "local", "session", "indexeddb", "cache" or "other".
    """

    kind: str
    key: str
    lifetime: Lifetime


@attrs.frozen
class Category:
    """What a visitor allows or refuses as one; built-in categories may leave their texts to the banner."""

    id: str
    title: Text | None = attrs.field(default=None, hash=False)
    description: Text | None = attrs.field(default=None, hash=False)


@attrs.frozen
class Service:
    """One tool in a category: who runs it, what for, and what it leaves in the browser."""

    id: str
    title: Text = attrs.field(hash=False)
    category: str
    provider: Provider
    purposes: Mapping[str, Text] = attrs.field(hash=False)
    recipients: tuple[Recipient, ...] = ()
    legal_basis: str = "consent"
    exemption: str | None = None
    cookies: tuple[CookieDeclaration, ...] = ()
    storage: tuple[StorageDeclaration, ...] = ()
    hosts: tuple[str, ...] = ()
    mappings: Mapping[str, tuple[Any, ...]] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Regime:
    """The rule that applies to a set of regions.

    `gpc` names the categories for which the browser's opt-out signal is honoured, `exempt` maps a category to
    the code of its exemption, `models` overrides `model` per category.
    """

    id: str
    regions: tuple[str, ...]
    model: Model
    consent_lifetime: timedelta
    refusal_lifetime: timedelta
    reprompt_interval: timedelta
    models: Mapping[str, Model] = attrs.field(factory=dict, hash=False)
    gpc: frozenset[str] = frozenset()
    exempt: Mapping[str, str] = attrs.field(factory=dict, hash=False)

    def model_for(self, category: str) -> Model:
        """Return the model under which `category` is asked for in this regime."""
        return self.models.get(category, self.model)
