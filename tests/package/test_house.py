"""The source stays readable: short functions, short modules."""

import ast
from pathlib import Path

import pytest

from tests.support import ROOT

MODULES = sorted((ROOT / "src").glob("**/*.py"))
LONGEST_FUNCTION, LONGEST_MODULE = 60, 500


def too_long(source: str) -> list[str]:
    """Return the functions in ``source`` that have more than ``LONGEST_FUNCTION`` lines."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, functions)]
    return [node.name for node in nodes if node.end_lineno - node.lineno >= LONGEST_FUNCTION]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_and_its_functions_are_short(path: Path) -> None:
    """No function is longer than 60 lines, no module longer than 500."""
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST_MODULE
    assert not too_long(source)


def test_a_long_function_would_be_seen() -> None:
    """The measure counts, so the test above can fail."""
    assert too_long("def long():\n" + "    pass\n" * LONGEST_FUNCTION) == ["long"]
    assert not too_long("def short():\n" + "    pass\n" * (LONGEST_FUNCTION - 1))
