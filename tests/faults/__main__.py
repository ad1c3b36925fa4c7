"""`python -m tests.faults [WORD]...` lets every fault strike, and prints a table of what came of it.

With words, only faults whose name has one of them. Exits 1 if a row is no success. Faults that cannot be tried on
this machine are listed with the reason.
"""

import sys
import time

from tests.faults.scenarios import SCENARIOS
from tests.faults.table import as_text


def main() -> int:
    """Play all scenarios at length."""
    words = sys.argv[1:]
    rows, skipped, trouble = [], [], []
    for scenario in SCENARIOS:
        if words and not any(word in scenario.fault for word in words):
            continue
        if (why := scenario.impossible()) is not None:
            skipped.append(f"not tried: {scenario.fault}: {why}")
            continue
        begun = time.monotonic()
        row = scenario.play(scenario.slow)
        print(f"{row.fault}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
        rows.append(row.cells())
        if row.trouble is not None:
            trouble.append(f"{row.fault}: {row.trouble}")
    print("\n".join([as_text(rows), *skipped, *trouble]))
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
