"""What is declared about a service, in the visitor's words."""

from __future__ import annotations

from collections.abc import Iterator

from consentkit.banner.catalogue import Catalogue
from consentkit.banner.markup import Markup, element, join, link
from consentkit.policy import CookieDeclaration, Policy, Service, StorageDeclaration, Text, localized

__all__ = ["service_facts", "stored_item"]


def service_facts(catalogue: Catalogue, policy: Policy, service: Service, *, full: bool = False) -> Markup:
    """Return provider, purposes, recipients and everything stored; with `full`, legal basis and servers as well."""
    rows = _rows(catalogue, policy, service, full=full)
    return element(
        "dl", *(join(element("dt", catalogue.text(f"fact.{name}")), *items) for name, items in rows)
    )


def _rows(
    catalogue: Catalogue, policy: Policy, service: Service, *, full: bool
) -> Iterator[tuple[str, list[Markup]]]:
    default = policy.languages[0]
    provider = service.provider
    who = catalogue.place(provider.name, provider.country)
    yield "provider", [element("dd", link(provider.privacy_policy, who) if provider.privacy_policy else who)]
    purposes = (localized(text, catalogue.tag, default) for text in service.purposes.values())
    yield "purposes", [element("dd", purpose) for purpose in purposes]
    if service.recipients:
        yield "recipients", [element("dd", catalogue.place(r.name, r.country)) for r in service.recipients]
    stored = [*(_cookie(catalogue, default, cookie) for cookie in service.cookies)]
    stored += [_storage(catalogue, entry) for entry in service.storage]
    yield "stored", stored or [element("dd", catalogue.text("fact.nothing"))]
    if full:
        yield "basis", [element("dd", catalogue.text(f"basis.{service.legal_basis}"))]
        if service.hosts:
            yield "hosts", [element("dd", element("code", host)) for host in service.hosts]


def _cookie(catalogue: Catalogue, default: str, cookie: CookieDeclaration) -> Markup:
    kind, kept = catalogue.text(f"kind.{cookie.party}"), catalogue.duration(cookie.lifetime)
    return stored_item(cookie.name, _stored(catalogue, kind, kept, cookie.purpose, default))


def _storage(catalogue: Catalogue, entry: StorageDeclaration) -> Markup:
    kind, kept = catalogue.text(f"kind.{entry.kind}"), catalogue.duration(entry.lifetime)
    return stored_item(entry.key, _stored(catalogue, kind, kept, None, ""))


def _stored(catalogue: Catalogue, kind: str, kept: str, purpose: Text | None, default: str) -> str:
    if purpose is None:
        return catalogue.text("stored", kind=kind, duration=kept)
    why = localized(purpose, catalogue.tag, default)
    return catalogue.text("stored.purpose", kind=kind, duration=kept, purpose=why)


def stored_item(name: str, words: str) -> Markup:
    """Return one thing that is stored: its name as the browser shows it, then what it is."""
    return element("dd", element("code", name), " ", words)
