"""What a large ledger costs beside a small one: opening, appending, proving, exporting what is new.

`CONSENTKIT_LARGE` says how many records the large one has: 200,000 unless told otherwise, and 5000000 takes some
minutes and 8 GB. Its records are alike but for their blinding values and histories; all else is as the site's.
"""

import atexit
import functools
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.core import Outcome, Sample, benchmark, race_once
from benchmarks.ledger import BATCH, NOTICE, NOW, append_batch, draft
from benchmarks.site import LOG_NAME, POLICY
from consentkit.evidence.batch import Builder, RecordWork, _Signed
from consentkit.evidence.entry import BLIND_BYTES, commitment
from consentkit.evidence.export import export
from consentkit.evidence.hashes import StoredHashes
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.store import Tail
from consentkit.keys import Keys
from consentkit.tlog import prove_inclusion

RECORDS = int(os.environ.get("CONSENTKIT_LARGE", "200000"))
SMALL = 2000
_AT_ONCE = 10_000
_KEYS = Keys.generate(LOG_NAME)


class _Alike(Builder):
    """Signs one record and lets all others be like it, blinded anew each."""

    def _sign(self, work: RecordWork, tail: Tail | None) -> _Signed:
        first = self.__dict__.get("first")
        if first is None:
            first = self.__dict__["first"] = super()._sign(work, tail)
        blind = os.urandom(BLIND_BYTES)
        return _Signed(tail, first.record, blind, Tail(0, commitment(first.record.jwt.encode(), blind)))


def opened(url: str) -> Ledger:
    """Open a ledger of this benchmark."""
    return Ledger.open(url, keys=_KEYS, clock=lambda: NOW)


@functools.cache
def ledger(size: int) -> str:
    """Make a ledger of so many records, once; returns its URL. It is removed when the benchmarks end."""
    folder = Path(tempfile.mkdtemp(prefix="consentkit-large-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    url = f"sqlite:///{folder}/consent.db"
    with opened(url) as book:
        book.publish_policy(POLICY)
        book.publish_notice(NOTICE)
        book._builder = _Alike(_KEYS, lambda: NOW, os.urandom)
        for start in range(0, size, _AT_ONCE):
            book._write([RecordWork(draft(), NOW) for _ in range(min(_AT_ONCE, size - start))])
    return url


def _open() -> Outcome:
    def using(size: int) -> None:
        opened(ledger(size)).close()

    ours, reference = race_once(lambda: using(RECORDS), lambda: using(SMALL), rounds=5)
    return Outcome(
        ours, reference, limit=1.0, judge_median=True, note=f"{RECORDS:,} records against {SMALL:,}"
    )


def _batched() -> Outcome:
    with opened(ledger(RECORDS)) as large, opened(ledger(SMALL)) as small:
        ours, reference = race_once(append_batch(large), append_batch(small), rounds=9)
    return Outcome(
        ours.over(BATCH), reference.over(BATCH), limit=1.3 * reference.median / BATCH, judge_median=True
    )


def _single() -> Outcome:
    with opened(ledger(RECORDS)) as large, opened(ledger(SMALL)) as small:
        ours, reference = race_once(lambda: large.append(draft()), lambda: small.append(draft()), rounds=100)
    return Outcome(ours, reference, limit=1.3 * reference.median, judge_median=True)


def _prove() -> Outcome:
    chance = random.Random(1)
    with opened(ledger(RECORDS)) as large, opened(ledger(SMALL)) as small:

        def proving(book: Ledger) -> None:
            with book._view() as view:
                head = view.head()
                if head is None:
                    raise LookupError("the ledger is empty")
                prove_inclusion(chance.randrange(head.size), head.size, StoredHashes(view))

        ours, reference = race_once(lambda: proving(large), lambda: proving(small), rounds=200)
    return Outcome(ours, reference, limit=0.005, judge_median=True)


def _export() -> Outcome:
    url = ledger(RECORDS)
    pack = Path(url.removeprefix("sqlite:///")).with_name("pack")
    begun = time.perf_counter()
    export(url, pack)
    whole = time.perf_counter() - begun
    rounds = []
    with opened(url) as book:
        for _ in range(3):
            append_batch(book)()
            begun = time.perf_counter()
            export(url, pack)
            rounds.append(time.perf_counter() - begun)
    shutil.rmtree(pack)
    return Outcome(Sample(tuple(rounds)), Sample((whole,)), limit=whole, judge_median=True)


benchmark("large ledger, open", budget="<= 1 s", reference="a small ledger")(_open)
benchmark("large ledger, append, batch of 1000", budget="<= 1.3 x a small one's", reference="a small ledger")(
    _batched
)
benchmark("large ledger, append, one, p50", budget="<= 1.3 x a small one's", reference="a small ledger")(
    _single
)
benchmark("large ledger, prove, p50", budget="<= 5 ms", reference="a small ledger")(_prove)
benchmark("large ledger, export of 1000 new", budget="<= all of it", reference="exporting all of it")(_export)
