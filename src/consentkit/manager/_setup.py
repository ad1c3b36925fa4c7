"""What `ConsentManager.open` was given, checked and made into what the manager works with."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from inspect import iscoroutinefunction
from os import PathLike
from typing import Any, Final

import attrs

from consentkit.banner import check
from consentkit.errors import InvalidOption, PolicyError
from consentkit.evidence import Ledger
from consentkit.keys import Keys
from consentkit.policy import Policy
from consentkit.web.protocol import Options

__all__ = ["check_callables", "check_served", "earlier_policies", "load_policy", "open_ledger", "options_of"]

_log = logging.getLogger("consentkit.manager")

_OWN_OPTIONS: Final = (
    "ledger", "keys", "region", "language", "clock", "on_event", "witnesses", "high_water", "spool", "publish",
    "subject_keys", "admit", "rate", "burst",
)  # fmt: skip
_CALLABLES: Final = {
    "region": 'consentkit.web.region.cloudflare(), or lambda request: "FR"',
    "language": 'lambda request: "en"',
    "clock": "consentkit.evidence.ledger.system_clock",
    "on_event": "lambda event, **data: print(event, data)",
    "admit": "lambda proposal: proposal.waiting < 1000",
}


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
    """Make the web's options out of what the manager has no parameter for. Raises InvalidOption for anything else."""
    known = sorted({*(field.name for field in attrs.fields(Options)), *_OWN_OPTIONS})
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InvalidOption(
                f"there is no option {name!r}", remedy=f"{hint}options are: {', '.join(known)}"
            )
    return Options(**given)


def check_callables(**options: object) -> None:
    """Refuse what is to be called and cannot be. Raises InvalidOption."""
    for name, option in options.items():
        if option is not None and not callable(option):
            raise InvalidOption(
                f"{name}={option!r} cannot be called",
                remedy=f"give a function, such as {name}={_CALLABLES[name]}",
            )
        if iscoroutinefunction(option):
            raise InvalidOption(
                f"{name} is a coroutine function, and nobody would wait for it",
                remedy=f"give a plain one (def, not async def), such as {name}={_CALLABLES[name]}",
            )


def check_served(policy: Policy) -> None:
    """Raise PolicyError for a policy that may not be served, with all that `banner.check` finds."""
    if problems := check(policy):
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
