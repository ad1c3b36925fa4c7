"""Tests that were written for the embedded store and hold for every store."""

from collections.abc import Collection
from types import ModuleType
from typing import Any


def reused(module: ModuleType, only: Collection[str] | None = None) -> dict[str, Any]:
    """Return a module's tests, or `only` some, for the fixtures of whoever takes them; not those marked `embedded`."""
    found = {name: test for name, test in vars(module).items() if name.startswith("test_")}
    if unknown := set(only or ()) - found.keys():
        raise LookupError(f"{module.__name__} has no {', '.join(sorted(unknown))}")
    return {name: found[name] for name in (only or found) if "embedded" not in _marks(found[name])}


def _marks(test: Any) -> set[str]:
    return {mark.name for mark in getattr(test, "pytestmark", ())}
