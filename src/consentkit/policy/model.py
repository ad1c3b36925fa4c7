"""The policy: what a site declares, as one immutable value with its look-ups computed when it is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from os import PathLike
from typing import Any, Self

import attrs

from consentkit.errors import PolicyError, Problem, UnknownName
from consentkit.policy import build
from consentkit.policy.canonical import canonical_form, digest_of
from consentkit.policy.check import check
from consentkit.policy.load import check_values, parse, read
from consentkit.policy.patterns import compile_pattern, pattern_source, specificity
from consentkit.policy.regions import find_region, region_table
from consentkit.policy.values import (
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
    localized,
)

__all__ = [
    "NECESSARY",
    "Category",
    "Controller",
    "CookieDeclaration",
    "Lifetime",
    "Model",
    "Policy",
    "Provider",
    "Recipient",
    "Regime",
    "Service",
    "StorageDeclaration",
    "Text",
    "localized",
]


@attrs.frozen(eq=False, kw_only=True)
class Policy:
    """A site's declaration, valid by construction: controller, categories, services, regimes, texts.

    Two policies are equal when their `digest` is: lower-case hex of SHA-256 over `canonical`, the document's
    RFC 8785 form. Everything else follows from those bytes, the order of categories and services included.
    """

    canonical: bytes = attrs.field(repr=False)
    digest: str
    version: str
    controller: Controller = attrs.field(repr=False)
    languages: tuple[str, ...] = attrs.field(repr=False)
    categories: tuple[Category, ...] = attrs.field(repr=False)
    services: tuple[Service, ...] = attrs.field(repr=False)
    regimes: tuple[Regime, ...] = attrs.field(repr=False)
    fallback: Regime = attrs.field(repr=False)
    weaker_fallback_allowed: bool = attrs.field(repr=False)
    layout: str = attrs.field(repr=False)
    texts: Mapping[str, Text] = attrs.field(repr=False)
    retention: timedelta = attrs.field(repr=False)
    optional_fields: Mapping[str, str] = attrs.field(repr=False)
    undeclared: str = attrs.field(repr=False)
    csp: str = attrs.field(repr=False)

    category_ids: tuple[str, ...] = attrs.field(init=False, repr=False)
    """The categories that can be refused, sorted: all but `necessary`."""
    service_ids: tuple[str, ...] = attrs.field(init=False, repr=False)
    """All services, sorted, those in `necessary` included."""
    names: frozenset[str] = attrs.field(init=False, repr=False)
    """Every name that may be asked about: categories and services."""
    _categories: dict[str, Category] = attrs.field(init=False, repr=False)
    _services: dict[str, Service] = attrs.field(init=False, repr=False)
    _members: dict[str, tuple[Service, ...]] = attrs.field(init=False, repr=False)
    _regions: dict[str, Regime] = attrs.field(init=False, repr=False)
    _cookies: _CookieIndex = attrs.field(init=False, repr=False)

    @category_ids.default
    def _sorted_categories(self) -> tuple[str, ...]:
        return tuple(sorted(category.id for category in self.categories if category.id != NECESSARY))

    @service_ids.default
    def _sorted_services(self) -> tuple[str, ...]:
        return tuple(sorted(service.id for service in self.services))

    @names.default
    def _all_names(self) -> frozenset[str]:
        return frozenset([NECESSARY, *self.category_ids, *self.service_ids])

    @_categories.default
    def _by_category(self) -> dict[str, Category]:
        return {category.id: category for category in self.categories}

    @_services.default
    def _by_service(self) -> dict[str, Service]:
        return {service.id: service for service in self.services}

    @_members.default
    def _by_membership(self) -> dict[str, tuple[Service, ...]]:
        return {
            category.id: tuple(service for service in self.services if service.category == category.id)
            for category in self.categories
        }

    @_regions.default
    def _by_region(self) -> dict[str, Regime]:
        return region_table((region, regime) for regime in self.regimes for region in regime.regions)

    @_cookies.default
    def _by_cookie(self) -> _CookieIndex:
        return _CookieIndex.of(self.services)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read the policy in the file `path`. Raises PolicyError with everything that is wrong with it."""
        return cls.from_bytes(read(path))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a policy from JSON text in UTF-8. Raises PolicyError with everything that is wrong with it."""
        return cls.from_dict(parse(data))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read a policy from a parsed JSON document, which is copied.

        Raises PolicyError with everything that is wrong with it, and nothing else.
        """
        canonical = canonical_form(check(document))
        return cls._from_checked(parse(canonical), canonical)

    @classmethod
    def from_canonical(cls, canonical: bytes) -> Self:
        """Take up again a policy that was in force, from its canonical form as the ledger keeps it.

        It was checked when it was published, perhaps by rules that have changed since, so it is not checked
        anew, which is also several times quicker. Raises PolicyError if this is no policy in canonical form.
        """
        document = parse(canonical)
        check_values(document)
        if canonical_form(document) != canonical:
            raise PolicyError([Problem("", None, "this is not the canonical form of a policy", "RFC 8785")])
        try:
            return cls._from_checked(document, canonical)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            message = f"this was never a policy: {type(error).__name__} {error}"
            raise PolicyError([Problem("", None, message, "a policy as it was published")]) from error

    @classmethod
    def _from_checked(cls, document: Mapping[str, Any], canonical: bytes) -> Self:
        regimes = build.regimes(document)
        fallback, notice = document["fallback"], document.get("notice", {})
        records, enforcement = document["records"], document.get("enforcement", {})
        return cls(
            canonical=canonical,
            digest=digest_of(canonical),
            version=document["version"],
            controller=build.controller(document),
            languages=tuple(document["languages"]),
            categories=build.categories(document),
            services=build.services(document),
            regimes=regimes,
            fallback={regime.id: regime for regime in regimes}[fallback["regime"]],
            weaker_fallback_allowed=fallback.get("allow_weaker", False),
            layout=notice.get("layout", "bar"),
            texts=build.notice_texts(document),
            retention=build.duration(records["retention"]),
            optional_fields=build.frozen(build.entries(records.get("optional_fields", {}))),
            undeclared=enforcement.get("undeclared", "report"),
            csp=enforcement.get("csp", "off"),
        )

    @property
    def document(self) -> dict[str, Any]:
        """A fresh copy of the JSON document."""
        return parse(self.canonical)

    def category(self, name: str) -> Category:
        """Return the category called `name`. Raises UnknownName."""
        try:
            return self._categories[name]
        except KeyError:
            raise UnknownName(name, self._categories, kind="category") from None

    def service(self, name: str) -> Service:
        """Return the service called `name`. Raises UnknownName."""
        try:
            return self._services[name]
        except KeyError:
            raise UnknownName(name, self._services, kind="service") from None

    def services_in(self, category: str) -> tuple[Service, ...]:
        """Return the services in `category`, in order of their ids. Raises UnknownName."""
        try:
            return self._members[category]
        except KeyError:
            raise UnknownName(category, self._categories, kind="category") from None

    def regime_for(self, region: str | None) -> Regime:
        """Return the rule for a visitor in `region`, such as "FR" or "US-CA"; None and unknown ones: `fallback`.

        The closest declaration wins: the subdivision, a group that lists it, the country, a group that holds it.
        """
        return find_region(self._regions, region, self.fallback)

    def service_for_cookie(self, name: str) -> Service | None:
        """Return the service that declares the cookie `name`, or None.

        A full name wins over a pattern, of patterns the one with the longest literal beginning; declarations of
        third-party cookies come after all first-party ones, since they live in another site's jar.
        """
        return self._cookies.find(name)

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Policy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return type(self).from_canonical, (self.canonical,)


@attrs.frozen
class _CookieIndex:
    """Whose cookie is it: full names in a table, all patterns in one expression whose group says which."""

    exact: dict[str, Service]
    pattern: re.Pattern[str]
    owners: tuple[Service, ...]

    @classmethod
    def of(cls, services: tuple[Service, ...]) -> Self:
        """Index what `services` declare: first-party before third-party, the most specific pattern first."""
        claims = {
            party: [
                (cookie.name, service)
                for service in services
                for cookie in service.cookies
                if cookie.party == party
            ]
            for party in ("first", "third")
        }
        patterns = {
            party: sorted(
                (claim for claim in found if "*" in claim[0]), key=lambda claim: specificity(claim[0])
            )
            for party, found in claims.items()
        }
        ours = [compile_pattern(name) for name, _ in patterns["first"]]
        exact = {
            name: service
            for name, service in reversed(claims["third"])
            if "*" not in name and not any(pattern.fullmatch(name) for pattern in ours)
        }
        exact |= {name: service for name, service in reversed(claims["first"]) if "*" not in name}
        ordered = patterns["first"] + patterns["third"]
        sources = "|".join(f"({pattern_source(name)})" for name, _ in ordered)
        return cls(exact, re.compile(sources or "(?!)", re.DOTALL), tuple(service for _, service in ordered))

    def find(self, name: str) -> Service | None:
        found = self.exact.get(name)
        if found is not None:
            return found
        match = self.pattern.fullmatch(name)
        return self.owners[(match.lastindex or 1) - 1] if match else None
