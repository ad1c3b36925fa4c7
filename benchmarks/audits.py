"""What an audit costs, beside verifying as many signatures and doing nothing else."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.core import Outcome, benchmark, race_once
from benchmarks.ledger import draft, ledger
from consentkit.audit import audit
from consentkit.evidence import Ledger
from consentkit.keys import Ed25519Signer, verify_ed25519
from consentkit.tlog import TrustPolicy

RECORDS = 4000
CHUNK = 256


def fill(opened: Ledger) -> None:
    """Record ``RECORDS`` decisions."""
    for future in [opened.submit(draft()) for _ in range(RECORDS)]:
        future.result()


def verify_all(public_key: bytes, signed: Sequence[tuple[bytes, bytes]]) -> int:
    """Return how many of the signatures are good."""
    return sum(verify_ed25519(public_key, message, signature) for message, signature in signed)


@benchmark(
    "audit, signatures included", budget=">= 60 % of the reference's rate", reference="verifying alone"
)
def audited() -> Outcome:
    """Audit a pack; beside it, verify as many signatures on all processors."""
    signer = Ed25519Signer.generate()
    signed = [
        (message, signer.sign(message)) for message in (number.to_bytes(600) for number in range(RECORDS))
    ]
    chunks = [signed[start : start + CHUNK] for start in range(0, RECORDS, CHUNK)]
    with ledger() as (opened, path), ThreadPoolExecutor(os.cpu_count()) as pool:
        fill(opened)
        opened.export(path / "pack")
        trust = TrustPolicy.parse((path / "keys" / "trust.txt").read_bytes())

        def ours() -> None:
            if (report := audit(path / "pack", trust, executor=pool)).exit_code:
                raise RuntimeError(report.verdict)

        def alone() -> None:
            if sum(pool.map(lambda chunk: verify_all(signer.public_key, chunk), chunks)) != RECORDS:
                raise RuntimeError("a good signature did not verify")

        mine, reference = (sample.over(RECORDS) for sample in race_once(ours, alone, rounds=5))
    return Outcome(mine, reference, limit=reference.best / 0.6, note=f"{1 / mine.best:,.0f} records/s")
