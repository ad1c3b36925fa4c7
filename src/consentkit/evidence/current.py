"""What the records of one history come to: what an application asks before it acts for somebody who is not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from attrs import frozen

from consentkit.errors import PolicyError
from consentkit.evidence._encoding import parse_time
from consentkit.evidence.batch import Appended
from consentkit.evidence.opening import Opening
from consentkit.evidence.record import Choice, parse_record
from consentkit.evidence.removal import recorded_at
from consentkit.evidence.sealed import reading
from consentkit.evidence.spool import Spool, Spooled, default_spool
from consentkit.evidence.store import View
from consentkit.policy import Policy

__all__ = ["Current", "Standing", "current", "read_history", "records"]


@frozen
class Standing:
    """The latest choice about a category or service: what was chosen, on which basis, when, and in which entry.

    `index` is None for a refusal that waits in the spool and has no entry yet.
    `time` and `expires` are UTC milliseconds; `expires` is when the last of the grants of that record lapses, None
    when it grants nothing. `policy` is the digest of the policy that was told of.
    """

    granted: bool
    basis: str
    time: int
    index: int | None
    policy: str
    expires: int | None


@frozen
class Current:
    """The latest choices of a history, by category, and by service where one differs from its category.

    Both are empty when nothing is known of it. What was chosen is not yet what is allowed: whether a grant has
    expired, and whether the policy in force is still covered by it, is not said here.
    """

    choices: Mapping[str, Standing]
    services: Mapping[str, Standing]


def read_history(
    url: str, history: str, *, subject_keys: str | None = None
) -> tuple[tuple[Appended, ...], Current]:
    """Return the records of a history and what they come to, without keys; raises as opening a ledger does.

    `subject_keys` is the URL of the keys under which the ledger's openings are sealed, if they are.
    """
    folder = default_spool(url)
    waiting = [] if folder is None else [one for one in Spool(folder).read() if one.draft.history == history]
    with reading(url, subject_keys) as view:
        return records(view, history), current(view, history, waiting)


def records(view: View, history: str) -> tuple[Appended, ...]:
    """Return the records that there are of a history, oldest first."""
    return tuple([Appended(opening, recorded_at(opening)) for opening in view.history(history)])


def current(view: View, history: str, waiting: Iterable[Spooled] = ()) -> Current:
    """Work out the latest choices of a history; `waiting` are its refusals that are not in the log yet."""
    openings, later = list(view.history(history)), list(waiting)
    bodies = dict(view.published("policy")) if openings or later else {}
    return fold(openings, bodies, later)


def fold(
    openings: Iterable[Opening], policies: Mapping[str, bytes], waiting: Iterable[Spooled] = ()
) -> Current:
    """Lay records over each other in their order, what waits last; `policies` are canonical forms by digest."""
    choices: dict[str, Standing] = {}
    services: dict[str, Standing] = {}
    for said in chain(map(_recorded, openings), map(_spooled, waiting)):
        own = _services_of(policies.get(said.policy, b""))
        # A category that is chosen anew takes its services along; those that differ are told beside it.
        renewed = {service for category in said.choices for service in own.get(category, ())}
        services = {name: standing for name, standing in services.items() if name not in renewed}
        choices |= said.choices
        services |= said.services
    return Current(MappingProxyType(choices), MappingProxyType(services))


class _Said(NamedTuple):
    """What one decision says, under which policy."""

    policy: str
    choices: dict[str, Standing]
    services: dict[str, Standing]


def _recorded(opening: Opening) -> _Said:
    claims = parse_record(opening.record).claims
    time, policy = parse_time(claims["time"]), claims["policy"]["digest"]
    expires = parse_time(claims["expires"]) if claims["expires"] else None

    def told(member: str) -> dict[str, Standing]:
        return {
            name: Standing(choice["granted"], choice["basis"], time, opening.index, policy, expires)
            for name, choice in claims[member].items()
        }

    return _Said(policy, told("choices"), told("services"))


def _spooled(one: Spooled) -> _Said:
    policy = one.draft.policy[0]

    def told(choices: Mapping[str, Choice]) -> dict[str, Standing]:
        return {
            name: Standing(choice.granted, choice.basis, one.time, None, policy, one.draft.expires)
            for name, choice in choices.items()
        }

    return _Said(policy, told(one.draft.choices), told(one.draft.services))


@lru_cache(maxsize=64)
def _services_of(canonical: bytes) -> Mapping[str, tuple[str, ...]]:
    """Return which services each category of a policy has; nothing for one that cannot be read any more."""
    try:
        policy = Policy.from_canonical(canonical)
    except PolicyError:
        return {}
    return {c: tuple(service.id for service in policy.services_in(c)) for c in policy.category_ids}
