"""What starting costs: ``import consentkit``, and a manager from nothing to its first answer."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable

from benchmarks.core import Outcome, benchmark, race_once, seconds
from benchmarks.site import DOCUMENT, folder


def interpreter(*arguments: str) -> Callable[[], object]:
    """Return a call that runs a new interpreter with these arguments."""
    return lambda: subprocess.run([sys.executable, *arguments], check=True)


@benchmark("import consentkit", budget="<= 30 ms over bare Python", reference="import attrs")
def import_consentkit() -> Outcome:
    """Import the package and, beside it, two libraries that it uses but does not load."""
    statements = ("pass", "import consentkit", "import attrs", "import jsonschema")
    bare, ours, attrs, jsonschema = race_once(*(interpreter("-c", statement) for statement in statements))
    heavy = seconds(jsonschema.minus(bare).best)
    note = f"over a bare interpreter ({seconds(bare.best)}); import jsonschema {heavy}"
    return Outcome(ours.minus(bare), attrs.minus(bare), limit=0.030, note=note)


@benchmark("open and first request, cold", budget="<= 400 ms in all", reference="bare Python")
def cold_start() -> Outcome:
    """Start an interpreter, open a manager on a new ledger, render one page with the banner."""
    with folder() as path:
        (path / "policy.json").write_text(json.dumps(DOCUMENT), encoding="utf-8")
        numbers = itertools.count()

        def start() -> None:
            interpreter("-m", "benchmarks.cold", str(path), f"{next(numbers)}.db")()

        ours, bare = race_once(start, interpreter("-c", "pass"))
    return Outcome(ours, bare, limit=0.400, note="interpreter, imports, keys, a new database, one page")
