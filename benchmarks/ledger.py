"""What it costs to make a decision durable: in batches, and one at a time."""

import hashlib
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from benchmarks.core import Outcome, benchmark, race_once
from benchmarks.site import CATEGORIES, LOG_NAME, POLICY, folder
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.record import Choice, RecordDraft, build_record, uuid7
from consentkit.keys import Ed25519Signer, Keys

NOW = 1_793_620_800_000
BATCH = 1000
NOTICE = b"<!doctype html><title>A notice</title>"


def draft() -> RecordDraft:
    """Return what a new visitor's acceptance leaves to record."""
    return RecordDraft(
        event="given",
        method="banner",
        site="https://blog.example",
        choices={category: Choice(True, "express") for category in CATEGORIES},
        asked=tuple(CATEGORIES),
        policy=(POLICY.digest, POLICY.version),
        notice=(hashlib.sha256(NOTICE).hexdigest(), "en", "consentkit/1", "bar"),
        region="FR",
        regime="europe",
        model="opt-in",
        signals={"gpc": False, "shown": False},
        expires=NOW + 15_778_800_000,
        history=secrets.token_urlsafe(16),
    )


@contextmanager
def ledger() -> Iterator[tuple[Ledger, Path]]:
    """An open ledger on SQLite and the folder that it lies in."""
    with folder() as path:
        keys = Keys.load(path / "keys")
        with Ledger.open(f"sqlite:///{path}/consent.db", keys=keys, clock=lambda: NOW) as opened:
            opened.publish_policy(POLICY)
            opened.publish_notice(NOTICE)
            yield opened, path


def signing_alone(signer: Ed25519Signer) -> Callable[[], None]:
    """Return a call that builds and signs ``BATCH`` records and keeps none."""

    def sign() -> None:
        for _ in range(BATCH):
            build_record(
                draft(), id=uuid7(NOW, os.urandom(10)), time=NOW, log_name=LOG_NAME, sequence=0,
                previous=None, signer=signer, salt=os.urandom(16),
            )  # fmt: skip

    return sign


def append_batch(opened: Ledger) -> Callable[[], None]:
    """Return a call that hands in ``BATCH`` decisions and waits until the last is durable."""

    def append() -> None:
        for future in [opened.submit(draft()) for _ in range(BATCH)]:
            future.result()

    return append


def least(bare: int) -> Callable[[], None]:
    """Return a call that does what no durable append can do without, in the file ``bare``."""
    signer = Ed25519Signer.generate()

    def do() -> None:
        signer.sign(b"a record")
        signer.sign(b"a checkpoint")
        os.write(bare, bytes(4096))
        os.fdatasync(bare)

    return do


@benchmark(
    "append, batch of 1000", budget=">= 70 % of the reference's rate", reference="building and signing alone"
)
def batched() -> Outcome:
    """Hand in a thousand decisions and wait until the last is durable."""
    with ledger() as (opened, _):
        ours, reference = (
            sample.over(BATCH)
            for sample in race_once(append_batch(opened), signing_alone(Ed25519Signer.generate()))
        )
    return Outcome(ours, reference, limit=reference.best / 0.7, note=f"{1 / ours.best:,.0f} decisions/s")


@benchmark("append, one, p50", budget="<= 2 x the reference", reference="fdatasync + two signatures")
def single() -> Outcome:
    """Append one decision and wait; beside it, what no implementation can do without."""
    with ledger() as (opened, path), (path / "bare").open("ab", buffering=0) as bare:
        ours, reference = race_once(lambda: opened.append(draft()), least(bare.fileno()), rounds=400)
    return Outcome(ours, reference, limit=2 * reference.median, judge_median=True)


class _Distant:
    """A log key in a key service: each signature takes so long to come back."""

    def __init__(self, signer: Ed25519Signer, seconds: float) -> None:
        self._signer, self._seconds = signer, seconds
        self.key_id, self.public_key = signer.key_id, signer.public_key

    def sign(self, data: bytes) -> bytes:
        """Sign, after a while."""
        time.sleep(self._seconds)
        return self._signer.sign(data)


@benchmark(
    "append, log key 20 ms away", budget=">= 80 % of the reference's rate", reference="the log key at hand"
)
def distant() -> Outcome:
    """Keep 4000 decisions waiting, so that batches grow while the head is signed."""

    def flooded(opened: Ledger) -> Callable[[], None]:
        def append() -> None:
            waiting = deque(opened.submit(draft()) for _ in range(3000))
            for _ in range(3000):
                waiting.popleft().result()
                waiting.append(opened.submit(draft()))
            for future in waiting:
                future.result()

        return append

    with folder() as path:
        keys = Keys.load(path / "keys")
        far = attrs.evolve(keys, log=_Distant(Ed25519Signer.generate(), 0.02))
        with (
            Ledger.open(f"sqlite:///{path}/near.db", keys=keys, clock=lambda: NOW) as near,
            Ledger.open(f"sqlite:///{path}/far.db", keys=far, clock=lambda: NOW) as distant_one,
        ):
            ours, reference = race_once(flooded(distant_one), flooded(near), rounds=3)
    ours, reference = ours.over(6000), reference.over(6000)
    return Outcome(ours, reference, limit=reference.best / 0.8, note=f"{1 / ours.best:,.0f} decisions/s")
