"""Tests that were written for the embedded store and hold for every store."""

from collections.abc import Collection
from types import ModuleType
from typing import Any


def reused(
    module: ModuleType, *, only: Collection[str] | None = None, without: Collection[str] = ()
) -> dict[str, Any]:
    """Return the tests of a module, to be run with the fixtures of whoever takes them; names must be right."""
    found = {name: test for name, test in vars(module).items() if name.startswith("test_")}
    if unknown := {*(only or ()), *without} - found.keys():
        raise LookupError(f"{module.__name__} has no {', '.join(sorted(unknown))}")
    return {name: found[name] for name in (only or found) if name not in without}
