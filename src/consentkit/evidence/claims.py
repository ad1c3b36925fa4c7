"""What a record may say: the rules of `schemas/record.schema.json`, fast enough for every record there is.

A general validator takes longer over one record than its signature does. The tests hold the two to the same
verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, Final

from consentkit.errors import InvalidRecord
from consentkit.evidence._encoding import MAX_INT, parse_time

__all__ = ["BASES", "EVENTS", "MODELS", "check_claims", "is_extra", "is_history", "is_record_id"]

EVENTS: Final = frozenset(
    {"given", "refused", "changed", "withdrawn", "objected", "acknowledged", "signal", "linked"}
)
BASES: Final = frozenset({"express", "acknowledged", "signal"})
MODELS: Final = frozenset({"opt-in", "opt-out", "implied", "notice"})

_MAX_MEMBERS: Final = 256
_MAX_EXTRA: Final = 2048

_Rule = Callable[[Any], bool]


def _text(pattern: str) -> _Rule:
    match = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: isinstance(value, str) and match(value) is not None


_name = _text(r"[a-z][a-z0-9_-]{0,63}")
_field = _text(r"[A-Za-z0-9._:/+=-]{1,256}")
_sha256 = _text(r"[0-9a-f]{64}")
_language = _text(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,8}")
is_history: _Rule = _text(r"[A-Za-z0-9_-]{21}[AQgw]")
is_record_id: _Rule = _text(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_region = _text(r"[A-Z][A-Z0-9-]{1,31}")
_site = _text(r"https?://(?:[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
_log_name = _text(r"[A-Za-z0-9][A-Za-z0-9._:/=-]{0,255}")
_digest64 = _text(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_extra_name = _text(r"[a-z][a-z0-9_]{0,63}")


def _time(value: Any) -> bool:
    try:
        return isinstance(value, str) and parse_time(value) >= 0
    except ValueError:
        return False


def _choices(value: Any) -> bool:
    # Written out: this is where a check of the claims spends its time.
    if not isinstance(value, dict) or len(value) > _MAX_MEMBERS:
        return False
    for name, choice in value.items():
        if not _name(name) or not isinstance(choice, dict) or len(choice) != 2:
            return False
        granted, basis = choice.get("granted"), choice.get("basis")
        if (granted is not True and granted is not False) or not isinstance(basis, str) or basis not in BASES:
            return False
    return True


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT


def _one_of(values: Collection[str]) -> _Rule:
    return lambda value: isinstance(value, str) and value in values


def _or_null(rule: _Rule) -> _Rule:
    return lambda value: value is None or rule(value)


def _texts(**rules: _Rule) -> _Rule:
    """Rule for an object of texts; a pack repeats few policies and notices, so verdicts are kept."""

    @lru_cache(maxsize=1024)
    def good(members: tuple[tuple[str, Any], ...]) -> bool:
        told = dict(members)
        return told.keys() == rules.keys() and all(rules[name](text) for name, text in members)

    def rule(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and len(value) == len(rules)
            and all(isinstance(text, str) for text in value.values())
            and good(tuple(value.items()))
        )

    return rule


def _signals(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"gpc", "shown"}
        and _flag(value["gpc"])
        and _flag(value["shown"])
    )


def _names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_MEMBERS
        and all(map(_name, value))
        and len(set(value)) == len(value)
    )


def _flag(value: Any) -> bool:
    return value is True or value is False


def is_extra(value: Any) -> bool:
    """Say whether `value` can be a record's optional fields: texts by name."""
    return (
        isinstance(value, dict)
        and len(value) <= _MAX_MEMBERS
        and all(map(_extra_name, value))
        and all(isinstance(text, str) and len(text) <= _MAX_EXTRA for text in value.values())
    )


_RULES: Final[dict[str, _Rule]] = {
    "v": lambda value: type(value) is int and value == 1,
    "id": is_record_id,
    "time": _time,
    "site": _site,
    "log": _log_name,
    "event": _one_of(EVENTS),
    "method": _name,
    "choices": _choices,
    "services": _choices,
    "asked": _names,
    "policy": _texts(digest=_sha256, version=_field),
    "notice": _or_null(_texts(digest=_sha256, language=_language, template=_field, layout=_name)),
    "region": _or_null(_region),
    "regime": _name,
    "model": _one_of(MODELS),
    "signals": _signals,
    "expires": _or_null(_time),
    "sequence": _count,
    "previous": _or_null(_digest64),
    "_sd": lambda value: isinstance(value, list) and len(value) == 1 and _digest64(value[0]),
    "_sd_alg": lambda value: value == "sha-256",
}
_OPTIONAL: Final[dict[str, _Rule]] = {"extra": is_extra}
_ALL: Final = _RULES | _OPTIONAL
_REQUIRED: Final = _RULES.keys()


def check_claims(claims: Any) -> None:
    """Check that `claims` is what `schemas/record.schema.json` describes. Raises InvalidRecord if not."""
    if not isinstance(claims, dict):
        raise InvalidRecord("a record is a JSON object")
    if claims.keys() != _REQUIRED:
        if missing := _REQUIRED - claims.keys():
            raise InvalidRecord(f"the record has no {min(missing)}")
        if unknown := claims.keys() - _ALL.keys():
            raise InvalidRecord(f"the record says {min(unknown)[:64]!r}, which no record of version 1 does")
    for name, value in claims.items():
        if not _ALL[name](value):
            raise InvalidRecord(f"the record's {name} is not as it must be")
    if (claims["sequence"] == 0) != (claims["previous"] is None):
        raise InvalidRecord("a record names the previous one of its history, unless it is number 0")
