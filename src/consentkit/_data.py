"""Where the files that ship with the package are found, in a wheel and in a source checkout alike."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["example_policy", "schema_names", "schema_text"]

_SUFFIX = ".schema.json"


def _shipped(folder: str) -> Traversable:
    """Return a folder inside the wheel's ``consentkit``, or the one beside ``src`` that it is built from."""
    packaged = files("consentkit") / folder
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / folder


def schema_names() -> tuple[str, ...]:
    """Return the short names of the JSON Schemas that ship, sorted."""
    found = (entry.name for entry in _shipped("schemas").iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


@cache
def schema_text(name: str) -> str:
    """Return the text of the JSON Schema called ``name``: ``schema_text("policy")`` is ``policy.schema.json``.

    Raises ``LookupError`` with the names that exist when there is none.
    """
    if name not in (known := schema_names()):
        raise LookupError(f"no schema is called {name!r}; there are: {', '.join(known) or 'none'}")
    return (_shipped("schemas") / f"{name}{_SUFFIX}").read_text(encoding="utf-8")


def example_policy(name: str) -> bytes:
    """Return one of the policies to start from: ``example_policy("news-site")`` is ``news-site.json``."""
    return (_shipped("examples/policies") / f"{name}.json").read_bytes()
