"""Policies for tests: one small document that is right, and ways to change it."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from consentkit.errors import PolicyError, Problem
from consentkit.policy import Policy

BASE: dict[str, Any] = {
    "schema": "consentkit-policy/1",
    "version": "1",
    "controller": {
        "name": "Example Press",
        "country": "IE",
        "contact": "privacy@example.com",
        "privacy_policy": "https://example.com/privacy",
    },
    "languages": ["en", "fr"],
    "categories": {"analytics": {}, "marketing": {}},
    "services": {
        "login": {
            "category": "necessary",
            "provider": {"name": "Example Press", "country": "IE"},
            "purposes": {"sign-in": "Sign in"},
            "cookies": [{"name": "sid", "lifetime": "session"}],
        },
        "counter": {
            "title": {"en": "Counter", "fr": "Compteur"},
            "category": "analytics",
            "provider": {"name": "Counter Coop", "country": "DE"},
            "purposes": {"audience": {"en": "Count visits", "fr": "Compter les visites"}},
            "recipients": {"lab": {"name": "Lab", "country": "NL"}},
            "cookies": [{"name": "_ct_id", "lifetime": "6 months"}, {"name": "_ct_*", "lifetime": "1 day"}],
            "storage": [{"kind": "local", "key": "ct.*", "lifetime": "1 month"}],
            "hosts": ["counter.example.org"],
        },
        "adnet": {
            "category": "marketing",
            "provider": {"name": "Adnet", "country": "US"},
            "purposes": {"ads": "Choose advertisements"},
            "cookies": [{"name": "uid", "lifetime": "1 year", "party": "third", "domain": "ads.example.net"}],
        },
    },
    "regimes": {
        "europe": {
            "regions": ["EEA", "GB"],
            "model": "opt-in",
            "consent_lifetime": "6 months",
            "refusal_lifetime": "7 months",
        },
        "us": {
            "regions": ["US-GPC", "US"],
            "model": "opt-out",
            "consent_lifetime": "1 year",
            "refusal_lifetime": "2 years",
            "reprompt_interval": "3 years",
            "signals": {"gpc": ["marketing"]},
            "models": {"analytics": "implied"},
            "exempt": {"analytics": "statistics"},
        },
    },
    "fallback": {"regime": "europe"},
    "records": {"retention": "5 years"},
}

Edit = Callable[[dict[str, Any]], Any]


def document(edit: Edit | None = None) -> dict[str, Any]:
    """Return the small document, changed in place by `edit`."""
    result = copy.deepcopy(BASE)
    if edit is not None:
        edit(result)
    return result


def policy(edit: Edit | None = None) -> Policy:
    """Return the small policy, its document changed by `edit` first."""
    return Policy.from_dict(document(edit))


def problems(found: object) -> list[Problem]:
    """Return what is wrong with a document, text or octets, which must be refused."""
    read: Callable[[Any], Policy] = Policy.from_bytes if isinstance(found, bytes) else Policy.from_dict
    with pytest.raises(PolicyError) as refusal:
        read(found)
    return list(refusal.value.problems)


def problem(edit: Edit) -> Problem:
    """Return the one thing that is wrong after `edit`."""
    found = problems(document(edit))
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def put(pointer: str, value: Any) -> Edit:
    """Return an edit that puts `value` at `pointer`; `...` removes what is there, a list takes "-" to append."""

    def edit(target: dict[str, Any]) -> None:
        *path, last = pointer.split("/")[1:]
        place: Any = target
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        fresh = copy.deepcopy(value)  # or edits of one test would change the next one's
        if value is ...:
            del place[int(last) if isinstance(place, list) else last]
        elif isinstance(place, list) and last == "-":
            place.append(fresh)
        else:
            place[int(last) if isinstance(place, list) else last] = fresh

    return edit


def both(*edits: Edit) -> Edit:
    """Return an edit that makes all of `edits`."""

    def edit(target: dict[str, Any]) -> None:
        for one in edits:
            one(target)

    return edit


def dump(found: object) -> bytes:
    """Return `found` as JSON text."""
    return json.dumps(found).encode()
