"""What it costs to make a decision durable on PostgreSQL: a server on this machine, fsync on, over its socket."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.core import Outcome, benchmark, race_once
from benchmarks.ledger import BATCH, NOTICE, NOW, append_batch, draft, least, signing_alone
from benchmarks.site import LOG_NAME, POLICY
from consentkit.evidence.ledger import Ledger
from consentkit.keys import Ed25519Signer, Keys
from tests.postgres_server import programs, running


@contextmanager
def ledger() -> Iterator[tuple[Ledger, int]]:
    """An open ledger on PostgreSQL, and a file on the same disk."""
    found = programs()
    if found is None:
        raise SystemExit("no PostgreSQL: set CONSENTKIT_PG_BIN to the folder of initdb and postgres")
    keys = Keys.generate(LOG_NAME)
    with (
        running(found) as server,
        Ledger.open(server.url(), keys=keys, clock=lambda: NOW) as opened,
        (server.folder / "bare").open("ab", buffering=0) as bare,
    ):
        opened.publish_policy(POLICY)
        opened.publish_notice(NOTICE)
        yield opened, bare.fileno()


@benchmark(
    "append to PostgreSQL, batch of 1000",
    budget=">= 60 % of the reference's rate",
    reference="building and signing alone",
)
def batched() -> Outcome:
    """Hand in a thousand decisions and wait until the last is durable."""
    with ledger() as (opened, _):
        ours, reference = (
            sample.over(BATCH)
            for sample in race_once(append_batch(opened), signing_alone(Ed25519Signer.generate()))
        )
    return Outcome(ours, reference, limit=reference.best / 0.6, note=f"{1 / ours.best:,.0f} decisions/s")


@benchmark("append to PostgreSQL, one, p50", budget="none", reference="fdatasync + two signatures")
def single() -> Outcome:
    """Append one decision and wait; beside it, what no implementation can do without."""
    with ledger() as (opened, bare):
        ours, reference = race_once(lambda: opened.append(draft()), least(bare), rounds=400)
    return Outcome(ours, reference, limit=float("inf"), judge_median=True)
