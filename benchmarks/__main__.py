"""Run the benchmarks and print one table; exit 1 if a budget is missed: `python -m benchmarks [PART]...`."""

import argparse
import platform
import sys

from benchmarks import audits, banner, consents, http, imports, large, ledger, middleware, postgres  # noqa: F401  each registers some
from benchmarks.core import REGISTRY, row, table


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks whose names contain one of ``arguments``, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="*", help="run only the benchmarks whose name contains one of these")
    wanted = parser.parse_args(arguments).part
    rows, notes, holds = [], [], True
    for bench in REGISTRY:
        if wanted and not any(part in bench.name for part in wanted):
            continue
        print(f"measuring: {bench.name}", file=sys.stderr, flush=True)
        outcome = bench.run()
        rows.append(row(bench, outcome))
        holds &= outcome.holds
        if outcome.note:
            notes.append(f"{bench.name}: {outcome.note}")
    print(f"Python {platform.python_version()}, {platform.machine()}\n", table(rows), *notes, sep="\n")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
