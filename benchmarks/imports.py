"""What ``import consentkit`` costs a program that has not asked for anything yet."""

import subprocess
import sys
from collections.abc import Callable

from benchmarks.core import Outcome, benchmark, race_once, seconds


def interpreter(statement: str) -> Callable[[], object]:
    """Return a call that runs ``statement`` in a new interpreter."""
    return lambda: subprocess.run([sys.executable, "-c", statement], check=True)


@benchmark("import consentkit", budget="<= 30 ms over bare Python", reference="import attrs")
def import_consentkit() -> Outcome:
    """Import the package and, beside it, two libraries that it uses but does not load."""
    statements = ("pass", "import consentkit", "import attrs", "import jsonschema")
    bare, ours, attrs, jsonschema = race_once(*map(interpreter, statements))
    heavy = seconds(jsonschema.minus(bare).best)
    note = f"over a bare interpreter ({seconds(bare.best)}); import jsonschema {heavy}"
    return Outcome(ours.minus(bare), attrs.minus(bare), limit=0.030, note=note)
