"""A process that appends and says what was acknowledged: `python -m tests.evidence.writer URL COUNT`."""

import sys

from consentkit.errors import LedgerError
from consentkit.evidence.ledger import Ledger
from tests.evidence.samples import KEYS, draft, history


def main() -> None:
    """Append until killed, or `COUNT` times; one history in two is a returning visitor's."""
    url, count = sys.argv[1], int(sys.argv[2])
    names = [history() for _ in range(5)]
    with Ledger.open(url, keys=KEYS) as ledger:
        for number in range(count or 10**9):
            try:
                futures = [ledger.submit(draft(history=names[number % 5])), ledger.submit(draft())]
                for future in futures:
                    appended = future.result()
                    print(appended.index, appended.record.jwt, flush=True)
            except LedgerError as error:
                print("failed", type(error).__name__, flush=True)


if __name__ == "__main__":
    main()
