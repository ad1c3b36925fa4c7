"""From an accepted document to values: nothing here checks, the schema and the cross-checks have.

The document is the one that its canonical form spells, so its names are in order and nothing else is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar

from consentkit.policy.values import (
    BUILT_IN_CATEGORIES,
    NECESSARY,
    Category,
    Controller,
    CookieDeclaration,
    Lifetime,
    Model,
    Provider,
    Recipient,
    Regime,
    Service,
    StorageDeclaration,
    Text,
)

__all__ = [
    "categories",
    "controller",
    "duration",
    "entries",
    "notice_texts",
    "regimes",
    "services",
]

V = TypeVar("V")


def entries(document: Mapping[str, V]) -> Iterator[tuple[str, V]]:
    """Yield the entries of an object as they stand, the site's own remarks (`x-`) left out."""
    return ((name, value) for name, value in document.items() if not name.startswith("x-"))


def frozen(pairs: Iterator[tuple[str, V]]) -> Mapping[str, V]:
    """Return the pairs as a mapping that cannot be changed."""
    return MappingProxyType(dict(pairs))


def duration(text: str) -> timedelta:
    """Read a duration that the schema has accepted, such as "6 months"."""
    return Lifetime.parse(text).timedelta or timedelta(0)


def controller(document: Mapping[str, Any]) -> Controller:
    """Return who is responsible for the site."""
    found = document["controller"]
    return Controller(
        found["name"], found["country"], found["contact"], found["privacy_policy"], found.get("address")
    )


def categories(document: Mapping[str, Any]) -> tuple[Category, ...]:
    """Return the categories in display order: `notice.order`, then the built-in ones, then others by name.

    `necessary` is always there and always first. The order follows from the document's content alone, since
    its digest does too: the order of names in a JSON object means nothing (RFC 8259 section 4).
    """
    declared = {NECESSARY: {}, **dict(entries(document["categories"]))}
    wanted = [NECESSARY, *document.get("notice", {}).get("order", ()), *BUILT_IN_CATEGORIES, *declared]
    languages = document["languages"]
    return tuple(
        Category(
            name,
            _text(declared[name].get("title"), languages),
            _text(declared[name].get("description"), languages),
        )
        for name in dict.fromkeys(wanted)
        if name in declared
    )


def services(document: Mapping[str, Any]) -> tuple[Service, ...]:
    """Return the services in order of their ids."""
    languages = document["languages"]
    return tuple(_service(name, found, languages) for name, found in entries(document.get("services", {})))


def regimes(document: Mapping[str, Any]) -> tuple[Regime, ...]:
    """Return the regimes in order of their ids."""
    return tuple(_regime(name, found) for name, found in entries(document["regimes"]))


def notice_texts(document: Mapping[str, Any]) -> Mapping[str, Text]:
    """Return the texts that replace the banner's own: language, then which text."""
    found = document.get("notice", {}).get("texts", {})
    return frozen((language, frozen(entries(texts))) for language, texts in entries(found))


def _text(found: str | Mapping[str, str] | None, languages: list[str]) -> Text | None:
    if found is None:
        return None
    if isinstance(found, str):
        return MappingProxyType(dict.fromkeys(languages, found))
    return frozen(entries(found))


def _required_text(found: str | Mapping[str, str], languages: list[str]) -> Text:
    return _text(found, languages) or MappingProxyType({})


def _service(name: str, found: Mapping[str, Any], languages: list[str]) -> Service:
    provider = found["provider"]
    purposes = entries(found["purposes"])
    return Service(
        id=name,
        title=_required_text(found.get("title", name), languages),
        category=found["category"],
        provider=Provider(provider["name"], provider["country"], provider.get("privacy_policy")),
        purposes=frozen((purpose, _required_text(text, languages)) for purpose, text in purposes),
        recipients=tuple(
            Recipient(key, who["name"], who["country"]) for key, who in entries(found.get("recipients", {}))
        ),
        legal_basis=found.get(
            "legal_basis", "strictly_necessary" if found["category"] == NECESSARY else "consent"
        ),
        exemption=found.get("exemption"),
        cookies=tuple(_cookie(cookie, languages) for cookie in found.get("cookies", ())),
        storage=tuple(
            StorageDeclaration(entry["kind"], entry["key"], Lifetime.parse(entry["lifetime"]))
            for entry in found.get("storage", ())
        ),
        hosts=tuple(found.get("hosts", ())),
        mappings=frozen((key, tuple(values)) for key, values in entries(found.get("mappings", {}))),
    )


def _cookie(found: Mapping[str, Any], languages: list[str]) -> CookieDeclaration:
    return CookieDeclaration(
        name=found["name"],
        lifetime=Lifetime.parse(found["lifetime"]),
        party=found.get("party", "first"),
        domain=found.get("domain"),
        path=found.get("path"),
        partitioned=found.get("partitioned", False),
        purpose=_text(found.get("purpose"), languages),
    )


def _regime(name: str, found: Mapping[str, Any]) -> Regime:
    return Regime(
        id=name,
        regions=tuple(found["regions"]),
        model=Model(found["model"]),
        consent_lifetime=duration(found["consent_lifetime"]),
        refusal_lifetime=duration(found["refusal_lifetime"]),
        reprompt_interval=duration(found.get("reprompt_interval", found["refusal_lifetime"])),
        models=frozen((category, Model(model)) for category, model in entries(found.get("models", {}))),
        gpc=frozenset(found.get("signals", {}).get("gpc", ())),
        exempt=frozen(entries(found.get("exempt", {}))),
    )
