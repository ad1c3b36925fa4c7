"""What `ConsentManager.open` was given, checked and made into what the manager works with."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import attrs

from consentkit.banner import check
from consentkit.errors import InvalidOption, PolicyError
from consentkit.evidence import Ledger
from consentkit.keys import Keys
from consentkit.policy import Model, Policy
from consentkit.web.protocol import Options

__all__ = ["check_served", "earlier_policies", "load_policy", "open_ledger", "options_of"]

_log = logging.getLogger("consentkit.manager")


def load_policy(policy: Policy | Mapping[str, Any] | str | PathLike[str]) -> Policy:
    if isinstance(policy, Policy):
        return policy
    return Policy.from_dict(policy) if isinstance(policy, Mapping) else Policy.load(policy)


def open_ledger(ledger: Ledger | str, keys: Keys, outside: Mapping[str, Any], **options: Any) -> Ledger:
    if isinstance(ledger, str):
        return Ledger.open(ledger, keys=keys, **outside, **options)
    if any(option not in (None, ()) for option in outside.values()):
        raise InvalidOption(
            f"{', '.join(outside)} are options of the ledger, and it is open already",
            remedy="give them to Ledger.open, or give the ledger's URL here",
        )
    return ledger


def options_of(given: Mapping[str, Any]) -> Options:
    known = {field.name for field in attrs.fields(Options)}
    for name in given:
        if name not in known:
            raise InvalidOption(
                f"there is no option {name!r}", remedy=f"options are: {', '.join(sorted(known))}"
            )
    return Options(**given)


def check_served(policy: Policy) -> None:
    """Refuse what may not be served: a fallback weaker than opt-in unasked, texts or languages that lack."""
    models = {policy.fallback.model, *policy.fallback.models.values()}
    if models != {Model.OPT_IN} and not policy.weaker_fallback_allowed:
        raise InvalidOption(
            f"the fallback regime {policy.fallback.id!r} is weaker than opt-in, for visitors of unknown region",
            remedy='name an opt-in regime, or say "allow_weaker": true under /fallback if you mean it',
        )
    problems = check(policy)
    if problems:
        raise PolicyError(problems)


def earlier_policies(policy: Policy, canonical_forms: Iterable[bytes]) -> tuple[Policy, ...]:
    """The policies that were in force before; consent under one that cannot be read any more is asked again."""
    found = []
    for canonical in canonical_forms:
        try:
            found.append(Policy.from_canonical(canonical))
        except PolicyError as error:
            _log.warning("an earlier policy cannot be read any more: %s", error)
    return tuple(earlier for earlier in found if earlier.digest != policy.digest)
