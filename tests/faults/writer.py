"""A process that writes to a ledger and tells what it was answered, a line of JSON each: who it tells has to judge.

`python -m tests.faults.writer URL NAME BURSTS [MODE]`; BURSTS 0 means until killed. MODE `lax` takes away what
makes a commit durable, to show that the checker notices; `hasty` gives up soon on a ledger that does not open;
`idle` opens it and writes nothing more; `spooling` has the store away for some refusals, which go to the spool;
`refusing` refuses only, and spools what cannot be recorded.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterable
from itertools import count

from consentkit.errors import LedgerError, OutcomeUnknown
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.record import RecordDraft
from tests.evidence.samples import KEYS, history
from tests.evidence.test_draining import away
from tests.faults.history import NOTICE, POLICY, Ack, decision, digest, policy

_BURST = 12
_OPEN_SECONDS, _HASTY_SECONDS = 20.0, 0.2
_IDLE_SECONDS = 60.0
UNOPENED = 3  # exit code


def tell(*words: object) -> None:
    """Print the time and what there is to tell."""
    line = json.dumps((time.monotonic_ns(), *words)) + "\n"
    while line:
        line = line[os.write(1, line.encode()) :]


def make_lax() -> None:
    """Have commits acknowledged before they are on disk, in both stores, in this process."""
    from consentkit.evidence import _sqlite_schema, postgres

    full = "PRAGMA synchronous = FULL"
    pragmas = _having(_sqlite_schema.PRAGMAS, full)
    _sqlite_schema.PRAGMAS = tuple("PRAGMA synchronous = NORMAL" if one == full else one for one in pragmas)
    on = "ELSE 'on' END"
    postgres._WRITE = "".join(_having([postgres._WRITE], on)).replace(on, "ELSE 'off' END")


def _having(parts: Iterable[str], needed: str) -> Iterable[str]:
    parts = list(parts)
    if not any(needed in part for part in parts):
        raise LookupError(f"there is no {needed!r} any more that could be changed")
    return parts


def opened(url: str, seconds: float) -> Ledger:
    """Open the ledger, and try again for a while: whatever fails may be over soon."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Ledger.open(url, keys=KEYS)
        except LedgerError as error:
            tell("failed", f"opening: {error.message}")
            if time.monotonic() > deadline:
                sys.exit(UNOPENED)
            time.sleep(0.02)


class Writer:
    """Writes bursts of decisions, of new visitors and of a few who come back."""

    def __init__(self, ledger: Ledger, name: str, mode: str) -> None:
        self.ledger, self.name, self.mode = ledger, name, mode
        self.chance = random.Random(name)
        self.visitors = [history() for _ in range(5)]
        self.number = 0

    def burst(self) -> None:
        """Hand over some decisions at once, and tell what became of each."""
        waiting = []
        for _ in range(self.chance.randint(1, _BURST)):
            self.number += 1
            marker = f"{self.name} {self.number}"
            visitor = self.chance.choice([*self.visitors, history()])
            event = "refused" if self.mode == "refusing" else "given"
            draft, begun = decision(marker, history=visitor, event=event), time.monotonic_ns()
            waiting.append((marker, begun, draft, self.ledger.submit(draft)))
        for marker, begun, draft, future in waiting:
            try:
                appended = future.result()
            except LedgerError as error:
                self.failed(marker, draft, error)
            else:
                ack = Ack.of(marker, appended, begun, time.monotonic_ns())
                tell("ack", ack.marker, ack.index, ack.record, ack.time, ack.begun, ack.told)

    def failed(self, marker: str, draft: RecordDraft, error: LedgerError) -> None:
        """Tell that a decision could not be recorded, or keep it if it is a refusal."""
        unknown = error if isinstance(error, OutcomeUnknown) else None
        if draft.event == "refused":
            self.ledger.spool(draft, None, unknown and unknown.attempted)
            tell("spooled", marker)
        elif unknown:
            tell("unsure")
        else:
            tell("denied", marker)
        tell("failed", error.message)

    def spool(self) -> None:
        """Keep a few refusals in the spool while the store is away, and tell of each that was kept."""
        with away(self.ledger):
            for _ in range(self.chance.randint(1, 4)):
                self.number += 1
                marker = f"{self.name} {self.number}"
                self.ledger.spool(decision(marker, event="refused", history=history()))
                tell("spooled", marker)

    def look_around(self) -> None:
        """Tell the head, a receipt, and now and then of something published."""
        tell("head", self.ledger.checkpoint().decode())
        if receipt := self.ledger.receipt(self.chance.randrange(self.ledger.size)):
            tell("receipt", receipt.encode().decode())
        if self.chance.random() < 0.2:
            new = policy(f"{self.name}-{self.number}".replace(" ", "-"))
            self.ledger.publish_policy(new)
            tell("published", "policy", new.digest)

    def publish(self) -> None:
        """Publish what the decisions refer to."""
        self.ledger.publish_policy(POLICY)
        self.ledger.publish_notice(NOTICE)
        tell("published", "policy", POLICY.digest)
        tell("published", "notice", digest(NOTICE))

    def run(self, bursts: int) -> None:
        """Write so many bursts, or go on until killed."""
        ready = False
        for _ in range(bursts) if bursts else count():
            try:
                if not ready:
                    self.publish()
                    ready = True
                if self.mode == "spooling":
                    self.spool()
                self.burst()
                self.look_around()
            except LedgerError as error:
                tell("failed", error.message)
                time.sleep(0.01)


def main() -> None:
    """Write until done or killed."""
    url, name, bursts, *mode = sys.argv[1:]
    if mode == ["lax"]:
        make_lax()
    with opened(url, _HASTY_SECONDS if mode == ["hasty"] else _OPEN_SECONDS) as ledger:
        writer = Writer(ledger, name, "".join(mode))
        if mode == ["idle"]:
            writer.look_around()
            time.sleep(_IDLE_SECONDS)
        else:
            writer.run(int(bursts))


if __name__ == "__main__":
    main()
