"""Importing consentkit is cheap, and its public names come from where they live."""

import os
import subprocess
import sys

import pytest

import consentkit

HEAVY = {
    "asyncio", "attr", "attrs", "cattrs", "click", "cryptography", "django", "httpx", "http.server",
    "jsonschema", "logging", "re", "rfc8785", "rich", "sqlite3", "ssl", "starlette", "typing", "uvicorn",
}  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after ``statement`` and had not before."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    run = subprocess.run(
        [sys.executable, "-c", code], env=unmeasured, capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_import_loads_nothing_heavy() -> None:
    """A bare import brings in no dependency, framework, database or schema."""
    assert not loaded_by("import consentkit") & HEAVY


def test_import_loads_no_other_part_of_consentkit() -> None:
    """A bare import runs no module of the package but its root."""
    assert {name for name in loaded_by("import consentkit") if name.startswith("consentkit")} == {
        "consentkit"
    }


def test_the_check_would_see_a_heavy_import() -> None:
    """The probe reports what a heavy statement loads, so the two tests above can fail."""
    assert {"attrs", "sqlite3"} <= loaded_by("import consentkit, attrs, sqlite3")


def test_a_public_name_is_loaded_on_first_use() -> None:
    """Touching a public name imports its home."""
    assert "consentkit.errors" in loaded_by("import consentkit; consentkit.ConsentkitError")


@pytest.mark.parametrize("name", consentkit.__all__)
def test_every_public_name_resolves(name: str) -> None:
    """Each name in ``__all__`` is there and is the object its home defines."""
    value = getattr(consentkit, name)
    home = consentkit._HOMES.get(name)
    assert value is (getattr(sys.modules[home], name) if home else value)


def test_dir_lists_the_lazy_names() -> None:
    """Completion in a shell offers what is not loaded yet."""
    assert set(consentkit.__all__) <= set(dir(consentkit))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it would on any module."""
    with pytest.raises(AttributeError, match="no attribute 'ConsentManger'"):
        consentkit.ConsentManger  # noqa: B018
