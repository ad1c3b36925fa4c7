"""A process that appends and publishes until it is killed: `python -m tests.evidence.publisher LEDGER PLACE`.

It prints `begin` before it publishes and `end SIZE` after that.
"""

import sys

from consentkit.errors import LedgerUnavailable
from consentkit.evidence.bucket import open_bucket
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.publication import publish
from tests.evidence.samples import KEYS, draft


def main() -> None:
    """Append some, publish, and again."""
    url, place = sys.argv[1:]
    bucket = open_bucket(place)
    with Ledger.open(url, keys=KEYS) as ledger:
        while True:
            for future in [ledger.submit(draft()) for _ in range(40)]:
                future.result()
            print("begin", flush=True)
            try:
                print("end", publish(url, bucket), flush=True)
            except LedgerUnavailable as error:
                print("end", error.message, flush=True)


if __name__ == "__main__":
    main()
