"""What else changed between two policies: the rules of regions, and what the site says of itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

import attrs

from consentkit.policy.model import Policy
from consentkit.policy.regions import COUNTRIES, GROUPS, find_region, region_table
from consentkit.policy.values import Category, Lifetime, Model, Regime, Service, Text

__all__ = ["RuleChange", "rule_changes"]


@attrs.frozen
class RuleChange:
    """One difference that says nothing of what services do, as a person would tell it with `str()`.

    `section` is the member of the document that it is in; `name` is the entry there (a regime, a category, a service,
    a language), None for the section itself. `kind` is one of: in `regimes`, `regime-added`, `regime-removed`,
    `model-changed`, `category-model-changed`, `exemption-added`, `exemption-removed`, `signal-added`,
    `signal-removed`, `consent-lifetime-changed`, `refusal-lifetime-changed`, `reprompt-interval-changed`,
    `regions-moved`; there and in `fallback`, `opt-in-now` and `allowed-now`; in `fallback`, `fallback-changed` and
    `weaker-allowed-changed`; in `controller`, `name-changed`, `country-changed`, `contact-changed`,
    `privacy-policy-changed`, `address-changed`; in `languages`, `language-added`, `language-removed`,
    `default-changed`; in `records`, `retention-changed`, `optional-field-added`, `optional-field-removed`; in
    `enforcement`, `undeclared-changed`, `csp-changed`; in `categories`, `services` and `notice`, `details-changed`.

    `regions` are those that it is about, whole groups by their names. `asks` are the categories that need a yes there
    now and did not before: whoever has not agreed expressly is asked.
    """

    section: str
    name: str | None
    kind: str
    detail: str
    regions: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = self.section if self.name is None else f"{self.section}: {self.name}"
        return f"{place}: {self.detail}"


def rule_changes(old: Policy, new: Policy) -> tuple[RuleChange, ...]:
    """Return what differs beyond what `diff` tells, section by section; remarks (`x-`) and the version left out.

    Grants of the old policy hold all the same, as far as `diff` says so.
    """
    return (
        *_values("controller", None, old.controller, new.controller, _CONTROLLER),
        *_languages(old, new),
        *_altered(old, new),
        *_regimes(old, new),
        *_where(old, new),
        *_records(old, new),
        *_values("enforcement", None, old, new, _ENFORCEMENT),
    )


_CONTROLLER = {
    "name": "responsible",
    "country": "country",
    "contact": "contact",
    "privacy_policy": "privacy policy",
    "address": "address",
}
_ENFORCEMENT = {"undeclared": "undeclared cookies", "csp": "CSP"}
_REGIME = {
    "model": "model",
    "consent_lifetime": "a yes holds for",
    "refusal_lifetime": "a no is not asked about for",
    "reprompt_interval": "asked again unprompted after",
}

Details = Mapping[str, object]
"""What an entry says, by its name for people."""


def _values(
    section: str, name: str | None, was: object, now: object, words: Mapping[str, str]
) -> Iterator[RuleChange]:
    """Yield the attributes that differ, each with its old and its new value."""
    for attribute, word in words.items():
        before, after = getattr(was, attribute), getattr(now, attribute)
        if before != after:
            detail = f"{word} {_told(after)} instead of {_told(before)}"
            yield RuleChange(section, name, f"{attribute.replace('_', '-')}-changed", detail)


def _told(value: object) -> str:
    return str(Lifetime.of(value)) if isinstance(value, timedelta) else str(value or "none")


def _languages(old: Policy, new: Policy) -> Iterator[RuleChange]:
    for tag in new.languages:
        if tag not in old.languages:
            yield RuleChange("languages", tag, "language-added", "new language")
    for tag in old.languages:
        if tag not in new.languages:
            yield RuleChange("languages", tag, "language-removed", "no longer offered")
    if old.languages[0] != new.languages[0]:
        detail = f"the default is {new.languages[0]} instead of {old.languages[0]}"
        yield RuleChange("languages", None, "default-changed", detail)


def _altered(old: Policy, new: Policy) -> Iterator[RuleChange]:
    """Yield the entries that both policies have and that say something else, where it is too long to be repeated."""
    languages = [tag for tag in new.languages if tag in old.languages]
    shared = frozenset(old.category_ids) & frozenset(new.category_ids)

    def compare(section: str, name: str | None, was: Details, now: Details) -> Iterator[RuleChange]:
        if words := [word for word in now if word in was and was[word] != now[word]]:
            yield RuleChange(section, name, "details-changed", f"not as before: {', '.join(words)}")

    categories = {one.id: one for one in old.categories}
    for category in new.categories:
        if was := categories.get(category.id):
            yield from compare(
                "categories", was.id, _category(was, languages), _category(category, languages)
            )
    services = {one.id: one for one in old.services}
    for service in new.services:
        if before := services.get(service.id):
            yield from compare(
                "services", before.id, _service(before, languages), _service(service, languages)
            )
    yield from compare("notice", None, _notice(old, languages, shared), _notice(new, languages, shared))


def _in(languages: Iterable[str], text: Text | None) -> Details:
    """Return a text in the languages that both policies offer: a new language is no other text."""
    return {tag: (text or {}).get(tag) for tag in languages}


def _category(one: Category, languages: list[str]) -> Details:
    return {"title": _in(languages, one.title), "description": _in(languages, one.description)}


def _service(one: Service, languages: list[str]) -> Details:
    purposes = {
        f"text of the purpose {purpose}": _in(languages, text) for purpose, text in one.purposes.items()
    }
    cookies = {
        f"cookie {cookie.name}": (
            cookie.domain, cookie.path, cookie.partitioned, _in(languages, cookie.purpose)
        )
        for cookie in one.cookies
    }  # fmt: skip
    return {
        "title": _in(languages, one.title),
        "provider's privacy policy": one.provider.privacy_policy,
        "legal basis": (one.legal_basis, one.exemption),
        "hosts": one.hosts,
        "mappings": one.mappings,
        **purposes,
        **cookies,
    }


def _notice(policy: Policy, languages: list[str], shared: frozenset[str]) -> Details:
    texts = {f"texts in {tag}": policy.texts.get(tag) for tag in languages}
    order = [category.id for category in policy.categories if category.id in shared]
    return {"layout": policy.layout, "order of the categories": order, **texts}


def _records(old: Policy, new: Policy) -> Iterator[RuleChange]:
    yield from _values("records", None, old, new, {"retention": "records kept for"})
    for name, reason in new.optional_fields.items():
        if name not in old.optional_fields:
            yield RuleChange("records", name, "optional-field-added", f"recorded from now on: {reason}")
    for name in old.optional_fields.keys() - new.optional_fields.keys():
        yield RuleChange("records", name, "optional-field-removed", "no longer recorded")


# Where which rule holds


def _regimes(old: Policy, new: Policy) -> Iterator[RuleChange]:
    before, after = ({regime.id: regime for regime in policy.regimes} for policy in (old, new))
    for name in sorted(after.keys() - before.keys()):
        yield RuleChange("regimes", name, "regime-added", f"new rule, {after[name].model}")
    for name in sorted(before.keys() - after.keys()):
        yield RuleChange("regimes", name, "regime-removed", "the rule is gone")
    for name in sorted(before.keys() & after.keys()):
        yield from _values("regimes", name, before[name], after[name], _REGIME)
        yield from _by_category(before[name], after[name])


def _by_category(was: Regime, now: Regime) -> Iterator[RuleChange]:
    """Yield what one regime says differently of single categories."""
    for name in sorted(was.models.keys() | now.models.keys()):
        if was.models.get(name) != now.models.get(name):
            detail = f"{name}: {now.model_for(name)} instead of {was.model_for(name)}"
            yield RuleChange("regimes", now.id, "category-model-changed", detail)
    for name in sorted(was.exempt.keys() | now.exempt.keys()):
        if (code := now.exempt.get(name)) is None:
            yield RuleChange("regimes", now.id, "exemption-removed", f"{name} is no longer exempt")
        elif was.exempt.get(name) != code:
            yield RuleChange("regimes", now.id, "exemption-added", f"{name} is exempt as {code}")
    for name in sorted(now.gpc - was.gpc):
        yield RuleChange("regimes", now.id, "signal-added", f"GPC switches off {name}")
    for name in sorted(was.gpc - now.gpc):
        yield RuleChange("regimes", now.id, "signal-removed", f"GPC no longer switches off {name}")


def _where(old: Policy, new: Policy) -> Iterator[RuleChange]:
    """Yield what the regions notice: those of one move, from one rule to another, together."""
    moves: defaultdict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    tables = [_table(policy) for policy in (old, new)]
    for region in sorted({*COUNTRIES, *tables[0], *tables[1]} - GROUPS.keys()):
        before, after = (find_region(table, region, None) for table in tables)
        moves[before, after].append(region)
    categories = [name for name in new.category_ids if name in old.category_ids]
    for (before, after), found in moves.items():
        regions, was, now = _grouped(found), _regime(old, before), _regime(new, after)
        if before != after:
            detail = f"{_shortened(regions)}: moved from {_named(before, was)} to {_named(after, now)}"
            yield RuleChange("regimes", now.id, "regions-moved", detail, regions)
        if before or after:
            yield from _effect(was, now, categories, section="regimes", name=now.id, regions=regions)
    yield from _fallback(old, new)
    yield from _effect(old.fallback, new.fallback, categories, section="fallback", name=None, regions=())


def _table(policy: Policy) -> dict[str, str | None]:
    return region_table((region, regime.id) for regime in policy.regimes for region in regime.regions)


def _regime(policy: Policy, name: str | None) -> Regime:
    return next((regime for regime in policy.regimes if regime.id == name), policy.fallback)


def _named(name: str | None, regime: Regime) -> str:
    return f"{'' if name else 'the fallback '}{regime.id} ({regime.model})"


def _effect(
    was: Regime,
    now: Regime,
    categories: Iterable[str],
    *,
    section: str,
    name: str | None,
    regions: tuple[str, ...],
) -> Iterator[RuleChange]:
    """Yield what visitors notice when one rule follows another: what needs a yes from now on, and what no longer."""
    where = f"{_shortened(regions)}: " if regions else ""
    needed, needs = ({one for one in categories if _needs_yes(regime, one)} for regime in (was, now))
    if asks := tuple(sorted(needs - needed)):
        detail = f"{where}whoever has not agreed expressly is asked now: {', '.join(asks)}"
        yield RuleChange(section, name, "opt-in-now", detail, regions, asks)
    if free := sorted(needed - needs):
        detail = f"{where}allowed without a yes now, unless refused: {', '.join(free)}"
        yield RuleChange(section, name, "allowed-now", detail, regions)


def _needs_yes(regime: Regime, category: str) -> bool:
    return regime.model_for(category) is Model.OPT_IN and category not in regime.exempt


def _grouped(regions: Iterable[str]) -> tuple[str, ...]:
    """Return regions with whole groups by their names, the largest first."""
    rest, groups = set(regions), []
    for name, members in sorted(GROUPS.items(), key=lambda group: -len(group[1])):
        if members <= rest:
            groups.append(name)
            rest -= members
    return (*groups, *sorted(rest))


def _shortened(regions: tuple[str, ...], limit: int = 12) -> str:
    more = f" and {len(regions) - limit} more" if len(regions) > limit else ""
    return f"{', '.join(regions[:limit])}{more}"


def _fallback(old: Policy, new: Policy) -> Iterator[RuleChange]:
    was, now = old.fallback, new.fallback
    if was.id != now.id:
        detail = f"where no rule is named, and in unknown regions: {now.id} ({now.model}), not {was.id} ({was.model})"
        yield RuleChange("fallback", None, "fallback-changed", detail)
    if old.weaker_fallback_allowed != new.weaker_fallback_allowed:
        may = "may" if new.weaker_fallback_allowed else "may no longer"
        yield RuleChange("fallback", None, "weaker-allowed-changed", f"{may} be weaker than opt-in")
