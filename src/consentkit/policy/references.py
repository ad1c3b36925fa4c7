"""What a schema cannot say of a policy: that its parts agree with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from consentkit.errors import Problem
from consentkit.policy.build import duration, entries
from consentkit.policy.load import child
from consentkit.policy.patterns import overlap
from consentkit.policy.regions import (
    COUNTRIES,
    GROUPS,
    describe_country_error,
    describe_region_error,
    level_of,
)
from consentkit.policy.values import BUILT_IN_CATEGORIES, NECESSARY
from consentkit.policy.wording import choice, nearest, quoted

__all__ = ["MAX_COOKIES", "reference_problems"]

MAX_COOKIES = 2_000
"""Cookies of one policy, all services together."""

Object = Mapping[str, Any]


def reference_problems(document: Object) -> Iterator[Problem]:
    """Yield every disagreement between the parts of `document`.

    The document's parts are well-formed, or None where they were not (and are reported by the schema): a name
    that stands for such a part is still known, and nothing is said twice.
    """
    for check in _CHECKS:
        yield from check(document)


def _objects(document: Object, name: str) -> Iterator[tuple[str, Object]]:
    """Yield the well-formed objects in the member `name`: pointer and object, in the document's order."""
    for key, found in (document.get(name) or {}).items():
        if isinstance(found, dict) and not key.startswith("x-"):
            yield key, found


def _items(found: Object, name: str) -> Iterator[tuple[int, Any]]:
    """Yield the well-formed entries of the list `name` with their places."""
    return ((index, item) for index, item in enumerate(found.get(name) or ()) if item is not None)


def _known_categories(document: Object) -> list[str]:
    return list(dict.fromkeys([NECESSARY, *(name for name, _ in entries(document.get("categories") or {}))]))


def _optional_categories(document: Object) -> list[str]:
    return [name for name in _known_categories(document) if name != NECESSARY]


def _countries(document: Object) -> Iterator[Problem]:
    places = [("/controller", document.get("controller"))]
    for name, service in _objects(document, "services"):
        here = child("/services", name)
        places.append((f"{here}/provider", service.get("provider")))
        places += [(child(f"{here}/recipients", key), who) for key, who in _objects(service, "recipients")]
    for pointer, party in places:
        country = (party or {}).get("country")
        if country is not None and country not in COUNTRIES:
            yield Problem(
                f"{pointer}/country", country, "no country has this code", describe_country_error(country)
            )


def _languages(document: Object) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for index, tag in _items(document, "languages"):
        first = seen.setdefault(tag.lower(), tag)
        if first != tag:
            yield Problem(
                f"/languages/{index}", tag, f'this is the same language as "{first}"', "each language once"
            )


def _categories(document: Object) -> Iterator[Problem]:
    for name, category in _objects(document, "categories"):
        if name not in BUILT_IN_CATEGORIES:
            for member in ("title", "description"):
                if member not in category:
                    pointer = child(child("/categories", name), member)
                    near = nearest(name, BUILT_IN_CATEGORIES)
                    hint = f', or "{near}" as the category\'s id' if near else ""
                    yield Problem(
                        pointer, None, "this is missing: the banner has no text for it", f"a text{hint}"
                    )


def _services(document: Object) -> Iterator[Problem]:
    known = _known_categories(document)
    for name, service in _objects(document, "services"):
        pointer = child("/services", name)
        category = service.get("category")
        if category is not None and category not in known:
            declare = f'; or declare "{category}" in /categories' if category in BUILT_IN_CATEGORIES else ""
            expected = choice(category, known) + declare
            yield Problem(f"{pointer}/category", category, "there is no such category", expected)
        if name in known:
            yield Problem(
                pointer, name, "a category has this name too", "another id, for instance that of the tool"
            )


def _texts(document: Object) -> Iterator[Problem]:
    offered = [tag for _, tag in _items(document, "languages")]
    for pointer, text in _all_texts(document):
        missing = [tag for tag in offered if isinstance(text, dict) and tag not in text]
        if missing:
            message = f"there is no text in {quoted(missing)}"
            yield Problem(pointer, None, message, "a text in each of the languages offered, or one for all")


def _all_texts(document: Object) -> Iterator[tuple[str, Any]]:
    for name, category in _objects(document, "categories"):
        for member in ("title", "description"):
            yield child(child("/categories", name), member), category.get(member)
    for name, service in _objects(document, "services"):
        pointer = child("/services", name)
        yield f"{pointer}/title", service.get("title")
        for purpose, text in (service.get("purposes") or {}).items():
            if not purpose.startswith("x-"):
                yield child(f"{pointer}/purposes", purpose), text
        for index, cookie in _items(service, "cookies"):
            yield f"{pointer}/cookies/{index}/purpose", cookie.get("purpose")


def _notice(document: Object) -> Iterator[Problem]:
    notice = document.get("notice") or {}
    offered = [tag for _, tag in _items(document, "languages")]
    for tag, _ in _objects(notice, "texts"):
        if offered and tag not in offered:
            pointer = child("/notice/texts", tag)
            yield Problem(
                pointer, tag, "this language is not offered, so nobody would see it", choice(tag, offered)
            )
    for index, name in _items(notice, "order"):
        yield from _optional_category(document, f"/notice/order/{index}", name)


def _optional_category(document: Object, pointer: str, name: str) -> Iterator[Problem]:
    """Check that `name` is a category that can be refused."""
    known = _optional_categories(document)
    if name == NECESSARY:
        yield Problem(pointer, name, "necessary is never asked for", choice(None, known))
    elif name not in known:
        yield Problem(pointer, name, "there is no such category", choice(name, known))


def _regime_references(document: Object) -> Iterator[Problem]:
    for name, regime in _objects(document, "regimes"):
        pointer = child("/regimes", name)
        for member in ("models", "exempt"):
            for category, _ in entries(regime.get(member) or {}):
                yield from _optional_category(document, child(f"{pointer}/{member}", category), category)
        for index, category in _items(regime.get("signals") or {}, "gpc"):
            yield from _optional_category(document, f"{pointer}/signals/gpc/{index}", category)


def _fallback(document: Object) -> Iterator[Problem]:
    known = [name for name, _ in entries(document.get("regimes") or {})]
    chosen = (document.get("fallback") or {}).get("regime")
    if chosen is None:
        return
    if chosen not in known:
        yield Problem("/fallback/regime", chosen, "there is no such regime", choice(chosen, known))
    for name, regime in _objects(document, "regimes"):
        if regime.get("regions") == [] and name != chosen:
            pointer = child("/regimes", name) + "/regions"
            yield Problem(pointer, [], "this regime applies nowhere", "regions, or the regime as fallback")


def _regions(document: Object) -> Iterator[Problem]:
    claimed: dict[tuple[str, int], tuple[str, str]] = {}
    for name, regime in _objects(document, "regimes"):
        for index, region in _items(regime, "regions"):
            pointer = f"{child('/regimes', name)}/regions/{index}"
            right = describe_region_error(region)
            if right is not None:
                yield Problem(pointer, region, "there is no such region", right)
                continue
            keys = [(member, level_of(region)) for member in sorted(GROUPS.get(region, [region]))]
            others = {claimed.setdefault(key, (name, region)) for key in keys}
            for other, theirs in sorted(claim for claim in others if claim[0] != name):
                same = "it" if theirs == region else f"part of it, with {theirs},"
                message = f'this region is covered twice: regime "{other}" has {same} too'
                yield Problem(pointer, region, message, "each region in one regime")


def _retention(document: Object) -> Iterator[Problem]:
    kept = (document.get("records") or {}).get("retention")
    lifetimes = [
        (regime["consent_lifetime"], name)
        for name, regime in _objects(document, "regimes")
        if regime.get("consent_lifetime")
    ]
    longest, regime = max(lifetimes, key=lambda pair: duration(pair[0]), default=("1 minute", ""))
    if kept is not None and duration(kept) < duration(longest):
        message = (
            f'records would be gone before the consents they prove: regime "{regime}" lets one hold {longest}'
        )
        yield Problem("/records/retention", kept, message, f'at least "{longest}"')


def _cookies(document: Object) -> Iterator[Problem]:
    claims = [
        (f"{child('/services', name)}/cookies/{index}", name, cookie)
        for name, service in _objects(document, "services")
        for index, cookie in _items(service, "cookies")
        if cookie.get("name") is not None
    ]
    if len(claims) > MAX_COOKIES:
        yield Problem(
            "/services", None, f"{len(claims)} cookies are declared", f"at most {MAX_COOKIES}; use patterns"
        )
        return
    for place, (pointer, name, cookie) in enumerate(claims):
        rival = next((one for one in claims[:place] if one[1] != name and _clash(one[2], cookie)), None)
        if rival is not None:
            theirs = f'service "{rival[1]}" claims it with "{rival[2]["name"]}" ({rival[0]})'
            expected = "each cookie in one service, or a domain for both where they are different cookies"
            yield Problem(
                f"{pointer}/name", cookie["name"], f"two services claim one cookie: {theirs}", expected
            )


def _clash(one: Object, other: Object) -> bool:
    """Say whether some cookie would fit both declarations: same jar, domains that can meet, names that overlap."""
    if one.get("party", "first") != other.get("party", "first"):
        return False
    if not overlap(one["name"], other["name"]):
        return False
    here, there = ((cookie.get("domain") or "").lstrip(".") for cookie in (one, other))
    return not here or not there or here == there or here.endswith(f".{there}") or there.endswith(f".{here}")


_CHECKS: tuple[Callable[[Object], Iterator[Problem]], ...] = (
    _countries,
    _languages,
    _categories,
    _services,
    _texts,
    _notice,
    _regions,
    _regime_references,
    _fallback,
    _retention,
    _cookies,
)
