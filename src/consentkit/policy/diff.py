"""What changed for visitors between two policies, and which consents still hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import attrs

from consentkit.policy.model import Policy
from consentkit.policy.patterns import contains
from consentkit.policy.values import (
    NECESSARY,
    CookieDeclaration,
    Lifetime,
    Provider,
    Recipient,
    Service,
    StorageDeclaration,
)

__all__ = ["Change", "PolicyDiff", "diff"]


@attrs.frozen
class Change:
    """One difference, as a person would tell it with `str()`.

    `kind` is one of: `category-added`, `category-removed`; `service-added`, `service-removed`, `service-moved`;
    `provider-changed`; `purpose-added`, `purpose-removed`; `recipient-added`, `recipient-removed`;
    `cookie-added`, `cookie-removed`, `storage-added`, `storage-removed`; `lifetime-longer`,
    `lifetime-shorter`; `party-widened`, `party-narrowed`. `widening` says that consent given before does not
    reach it, so that `category` must be asked again.
    """

    category: str
    service: str | None
    kind: str
    widening: bool
    detail: str

    def __str__(self) -> str:
        place = self.category if self.service is None else f"{self.category}: {self.service}"
        return f"{place}: {self.detail}{' (asked again)' if self.widening else ''}"


@attrs.frozen
class PolicyDiff:
    """Every change from one policy to the next, in order of category and service."""

    changes: tuple[Change, ...]
    widened: frozenset[str]
    """The categories in which something was added that earlier consent does not reach."""
    covered: frozenset[str]
    """The categories and services of the new policy for which earlier consent still holds."""

    def covers(self, name: str) -> bool:
        """Say whether consent given for the category or service `name` under the old policy covers the new."""
        return name in self.covered


def diff(old: Policy, new: Policy) -> PolicyDiff:
    """Compare two policies as to what consent reaches.

    Widening: a service that is new in a category (moved in counts), a purpose, a recipient, another provider,
    a cookie or storage key that no old pattern matches, a longer lifetime, a cookie that becomes third-party.
    Names decide, not texts: a purpose whose meaning changes needs a new id. `necessary` is never asked, so
    nothing in it widens.
    """
    changes = tuple(sorted(_changes(old, new), key=lambda change: (change.category, change.service or "")))
    widened = frozenset(change.category for change in changes if change.widening)
    touched = {change.service for change in changes if change.widening}
    before = {category.id for category in old.categories}
    homes = {service.id: service.category for service in old.services}
    covered = {category.id for category in new.categories if category.id in before - widened}
    covered |= {
        service.id
        for service in new.services
        if service.category == NECESSARY
        or (homes.get(service.id) == service.category and service.id not in touched)
    }
    return PolicyDiff(changes, widened, frozenset(covered))


def _changes(old: Policy, new: Policy) -> Iterator[Change]:
    before = {service.id: service for service in old.services}
    after = {service.id: service for service in new.services}
    yield from _category_changes(old, new)
    for name in before.keys() - after.keys():
        yield Change(before[name].category, name, "service-removed", False, "the service is gone")
    for name, now in after.items():
        if name in before:
            yield from _service_changes(before[name], now)
        else:
            yield _widening(now, "service-added", f"new service by {now.provider.name}")


def _category_changes(old: Policy, new: Policy) -> Iterator[Change]:
    before, after = ({category.id for category in policy.categories} for policy in (old, new))
    for name in sorted(after - before):
        yield Change(name, None, "category-added", True, "new category")
    for name in sorted(before - after):
        yield Change(name, None, "category-removed", False, "the category is gone")


def _widening(service: Service, kind: str, detail: str) -> Change:
    return Change(service.category, service.id, kind, service.category != NECESSARY, detail)


def _narrowing(service: Service, kind: str, detail: str) -> Change:
    return Change(service.category, service.id, kind, False, detail)


def _service_changes(was: Service, now: Service) -> Iterator[Change]:
    if was.category != now.category:
        yield _widening(now, "service-moved", f"moved here from {was.category}")
    if (was.provider.name, was.provider.country) != (now.provider.name, now.provider.country):
        yield _widening(
            now, "provider-changed", f"run by {_who(now.provider)} instead of {_who(was.provider)}"
        )
    for name in sorted(now.purposes.keys() - was.purposes.keys()):
        yield _widening(now, "purpose-added", f"new purpose {name}")
    for name in sorted(was.purposes.keys() - now.purposes.keys()):
        yield _narrowing(now, "purpose-removed", f"no longer for the purpose {name}")
    for recipient in sorted(set(now.recipients) - set(was.recipients)):
        yield _widening(now, "recipient-added", f"data also goes to {_who(recipient)}")
    for recipient in sorted(set(was.recipients) - set(now.recipients)):
        yield _narrowing(now, "recipient-removed", f"data no longer goes to {_who(recipient)}")
    yield from _cookie_changes(was, now)
    yield from _storage_changes(was, now)


@attrs.frozen
class _Kept:
    """A cookie or storage entry as comparison sees it; a storage key carries its kind in front."""

    word: str
    name: str
    lifetime: timedelta
    text: Lifetime
    third_party: bool = False

    @property
    def label(self) -> str:
        return f"{self.word} {self.name}"


def _cookie(cookie: CookieDeclaration) -> _Kept:
    length = cookie.lifetime.timedelta or timedelta(0)
    return _Kept("cookie", cookie.name, length, cookie.lifetime, cookie.party == "third")


def _entry(entry: StorageDeclaration) -> _Kept:
    length = entry.lifetime.timedelta or timedelta(0)
    return _Kept("storage", f"{entry.kind}:{entry.key}", length, entry.lifetime)


def _cookie_changes(was: Service, now: Service) -> Iterator[Change]:
    yield from _kept_changes(
        now, [_cookie(one) for one in was.cookies], [_cookie(one) for one in now.cookies]
    )


def _storage_changes(was: Service, now: Service) -> Iterator[Change]:
    yield from _kept_changes(now, [_entry(one) for one in was.storage], [_entry(one) for one in now.storage])


def _kept_changes(service: Service, old: list[_Kept], new: list[_Kept]) -> Iterator[Change]:
    for kept in new:
        yield from _one_kept(service, kept, [one for one in old if contains(one.name, kept.name)])
    for one in old:
        if not any(contains(kept.name, one.name) for kept in new):
            yield _narrowing(service, f"{one.word}-removed", f"{one.label} is gone")


def _one_kept(service: Service, kept: _Kept, matches: list[_Kept]) -> Iterator[Change]:
    """Compare one cookie or entry with the old declarations that match all of its names."""
    if not matches:
        yield _widening(service, f"{kept.word}-added", f"new {kept.label}, kept for {kept.text}")
        return
    same_party = [one for one in matches if one.third_party or not kept.third_party]
    if not same_party:
        yield _widening(service, "party-widened", f"{kept.label} is now third-party")
    longest = max(same_party or matches, key=lambda one: one.lifetime)
    if kept.lifetime > longest.lifetime:
        yield _widening(
            service, "lifetime-longer", f"{kept.label} kept for {kept.text} instead of {longest.text}"
        )
    elif kept.lifetime < longest.lifetime and longest.name == kept.name:
        yield _narrowing(
            service, "lifetime-shorter", f"{kept.label} kept for {kept.text} instead of {longest.text}"
        )
    if not kept.third_party and all(one.third_party for one in matches):
        yield _narrowing(service, "party-narrowed", f"{kept.label} is no longer third-party")


def _who(party: Provider | Recipient) -> str:
    return f"{party.name} ({party.country})"
