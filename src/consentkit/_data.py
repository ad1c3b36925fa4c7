"""Where the files that ship with the package are found, in a wheel and in a source checkout alike."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["schema_names", "schema_text"]

_SUFFIX = ".schema.json"


def _schema_folder() -> Traversable:
    """Return the wheel's ``consentkit/schemas``, or the ``schemas`` beside ``src`` that it is built from."""
    packaged = files("consentkit") / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas"


def schema_names() -> tuple[str, ...]:
    """Return the short names of the JSON Schemas that ship, sorted."""
    found = (entry.name for entry in _schema_folder().iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


@cache
def schema_text(name: str) -> str:
    """Return the text of the JSON Schema called ``name``: ``schema_text("policy")`` is ``policy.schema.json``.

    Raises ``LookupError`` with the names that exist when there is none.
    """
    if name not in (known := schema_names()):
        raise LookupError(f"no schema is called {name!r}; there are: {', '.join(known) or 'none'}")
    return (_schema_folder() / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
