"""What changed between two policies about the rules themselves: who is responsible, and what holds where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from consentkit.policy.model import Policy

__all__ = ["RuleChange", "rule_changes"]

_PARTS: Final = ("consent_lifetime", "refusal_lifetime", "reprompt_interval")


@attrs.frozen
class RuleChange:
    """One difference: what it is about (`controller`, `languages`, `fallback`, `regime NAME`), and what it is."""

    about: str
    detail: str

    def __str__(self) -> str:
        return f"{self.about}: {self.detail}"


def rule_changes(old: Policy, new: Policy) -> tuple[RuleChange, ...]:
    """Compare controller, languages, fallback and regimes. No such change asks anybody again by itself."""
    before, after = old.document, new.document
    return (
        *(RuleChange("controller", text) for text in _members(before["controller"], after["controller"])),
        *(RuleChange("languages", text) for text in _sets(before["languages"], after["languages"])),
        *(RuleChange("fallback", text) for text in _members(before["fallback"], after["fallback"])),
        *_regimes(before["regimes"], after["regimes"]),
    )


def _regimes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[RuleChange]:
    for name in sorted({*before, *after}):
        about = f"regime {name}"
        if name not in after:
            yield RuleChange(about, "is gone")
        elif name not in before:
            regions = ", ".join(after[name]["regions"]) or "no region"
            yield RuleChange(about, f"is new: {after[name]['model']}, for {regions}")
        else:
            for text in _regime(before[name], after[name]):
                yield RuleChange(about, text)


def _regime(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    yield from _members(_some(was, "model", *_PARTS), _some(now, "model", *_PARTS))
    yield from _sets(was["regions"], now["regions"])
    for part in ("models", "exempt"):
        yield from _members(was.get(part, {}), now.get(part, {}))
    old, new = was.get("signals", {}), now.get("signals", {})
    for signal in sorted({*old, *new}):
        yield from (f"{signal} is {text} honoured for {names}" for text, names in _honoured(old, new, signal))


def _honoured(old: Mapping[str, Any], new: Mapping[str, Any], signal: str) -> Iterator[tuple[str, str]]:
    before, after = set(old.get(signal, ())), set(new.get(signal, ()))
    if added := sorted(after - before):
        yield "now", ", ".join(added)
    if gone := sorted(before - after):
        yield "no longer", ", ".join(gone)


def _some(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}


def _members(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*was, *now}):
        if name not in now:
            yield f"{name} is no longer {_told(was[name])}"
        elif name not in was:
            yield f"{name} is now {_told(now[name])}"
        elif was[name] != now[name]:
            yield f"{name} is now {_told(now[name])} instead of {_told(was[name])}"


def _sets(was: list[str], now: list[str]) -> Iterator[str]:
    if added := [name for name in now if name not in was]:
        yield f"now {', '.join(added)}"
    if gone := [name for name in was if name not in now]:
        yield f"no longer {', '.join(gone)}"


def _told(value: object) -> str:
    return value if isinstance(value, str) else str(value).lower()
