"""An independent C2SP witness cosigns our checkpoints as they come, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import frozen

from consentkit.audit import audit
from consentkit.errors import LedgerRolledBack
from consentkit.evidence import verify_receipt
from consentkit.evidence._http import fetch
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.witness import Witness, cosign
from consentkit.tlog import (
    Checkpoint,
    TrustPolicy,
    VerifierKey,
    add_checkpoint_body,
    check_consistency,
    open_note,
    sign_note,
)
from tests.evidence.samples import KEYS, LOG, draft
from tests.interop.conftest import SIGNER, SIZES, Logs, grow
from tests.interop.tools import Venv, outcome, run
from tests.support import Server, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@frozen
class Running:
    """aics-witness on loopback."""

    program: str
    config: Path
    url: str
    key: VerifierKey

    def witness(self, **options: float) -> Witness:
        """What a ledger is told of it."""
        return Witness(self.url, self.key, **options)

    @property
    def trust(self) -> TrustPolicy:
        """A trust file that demands it."""
        return TrustPolicy.parse(f"log {SIGNER.verifier}\nwitness W {self.key} {self.url}\nquorum W\n")

    def add(self, old: int, checkpoint: bytes) -> tuple[int, bytes]:
        """Send it a checkpoint without a proof."""
        return fetch(f"{self.url}/add-checkpoint", add_checkpoint_body(old, (), checkpoint), timeout=10)


@contextmanager
def witnessing(c2sp: Venv, folder: Path, log: VerifierKey) -> Iterator[Running]:
    """Run a witness that has not seen anything yet, and knows this log."""
    config, port = folder / "witness/witness.json", free_port()
    config.parent.mkdir()
    program = c2sp.program("aics-witness")
    place = "--config", config
    listen = "--listen", f"127.0.0.1:{port}", "--prefix", "/w"
    vkey = run(program, "init", *place, "--name", "witness.example/w", *listen).strip().splitlines()[0]
    run(program, "add-log", *place, "--origin", log.name, "--vkey", log)
    server = Server([program, "serve", *map(str, place)], port, folder / "witness.log", {})
    try:
        server.wait_ready()
        yield Running(program, config, f"{server.url}/w", VerifierKey.parse(vkey))
    finally:
        server.stop()


@pytest.fixture
def running(c2sp: Venv, tmp_path: Path) -> Iterator[Running]:
    """A witness of the log of these tests."""
    with witnessing(c2sp, tmp_path, SIGNER.verifier) as made:
        yield made


def opened(note: bytes, running: Running) -> Checkpoint:
    """Verify a checkpoint under both keys."""
    both = open_note(note, [SIGNER.verifier, running.key])
    assert both.signed_by(SIGNER.verifier)
    assert both.signed_by(running.key)
    return Checkpoint.parse(both.text)


def test_it_cosigns_a_ledger_as_it_grows(running: Running, tmp_path: Path) -> None:
    """From the first entries over the borders of tiles and bundles, in the background; the auditor's quorum holds."""
    url = f"sqlite:///{tmp_path}/consent.db"
    with Ledger.open(url, keys=KEYS, witnesses=[running.witness(interval=0.001)]) as ledger:
        for size in (2, 3, 255, 256, 257, 700):
            grow(ledger, size)
            assert opened(ledger.cosign(), running).size == size
        index = ledger.append(draft()).index
    with Ledger.open(url, keys=KEYS, witnesses=[running.witness()]) as ledger:
        assert opened(ledger.cosign(), running).size == index + 1
        receipt = ledger.receipt(index)
        sizes = [opened(note, running).size for note in ledger.cosigned()]
        assert {2, 3, 255, 256, 257, 700, index + 1} <= set(sizes)
        ledger.export(tmp_path / "pack")
    assert receipt is not None
    assert verify_receipt(receipt.encode(), running.trust).cosigned == ("W",)
    report = audit(tmp_path / "pack", running.trust)
    assert [one.id for one in report.findings if one.id in ("quorum-missing", "checkpoint-invalid")] == []
    assert next(check for check in report.checks if check.id == "witnesses").outcome == "passed"


def test_it_goes_from_each_exported_size_to_the_next(running: Running, logs: Logs) -> None:
    """Consistency proofs between all of them, as a ledger of 70,000 entries makes them."""
    from consentkit.tlog import TileReader, prove_consistency

    last = logs.checkpoint(70_000)
    reader = TileReader(lambda path: (logs.log(70_000) / path).read_bytes(), last.size, last.root)
    old = 0
    for size in (size for size in SIZES if size >= 2):
        note = (logs.log(size) / "checkpoint").read_bytes()
        body = add_checkpoint_body(old, prove_consistency(old, size, reader), note)
        status, answer = fetch(f"{running.url}/add-checkpoint", body, timeout=10)
        assert (status, answer[:3]) == (200, "\N{EM DASH}".encode()), answer
        old = size
    new = logs.checkpoint(65_537)
    check_consistency(
        new.size, last.size, new.root, last.root, prove_consistency(new.size, last.size, reader)
    )


def test_a_large_ledger_is_cosigned_by_whoever_has_its_url(running: Running, logs: Logs) -> None:
    """The head of 70,000 entries, at once; no key is needed for it."""
    assert cosign(logs.url, [running.witness()]) == {}
    with Ledger.open(logs.url, keys=KEYS) as ledger:
        assert opened(ledger.checkpoint(), running).size == 70_000


def test_a_replay_is_a_conflict(running: Running, logs: Logs) -> None:
    """It answers with the size that it has cosigned."""
    large, small = ((logs.log(size) / "checkpoint").read_bytes() for size in (70_000, 255))
    assert running.add(0, large)[0] == 200
    assert running.add(0, large) == (409, b"70000\n")
    assert running.add(0, small) == (409, b"70000\n")
    assert running.add(70_000, large)[0] == 200


def test_a_fork_is_refused_and_kept_as_evidence(running: Running, logs: Logs) -> None:
    """Two heads of one size, both signed by the log."""
    honest = (logs.log(70_000) / "checkpoint").read_bytes()
    fork = sign_note(Checkpoint(LOG, 70_000, bytes(32)).text(), SIGNER)
    assert running.add(0, honest)[0] == 200
    assert running.add(70_000, fork)[0] == 422
    told = json.loads(outcome([running.program, "evidence", "--config", running.config])[1])
    assert LOG in json.dumps(told)


def test_what_the_log_did_not_sign_is_refused(running: Running) -> None:
    """And what no known log signed."""
    forged = sign_note(Checkpoint(LOG, 1, bytes(32)).text(), type(SIGNER)(LOG, KEYS.record))
    other = type(SIGNER)("example.com/other", KEYS.log)
    assert running.add(0, forged)[0] == 403
    assert running.add(0, sign_note(Checkpoint(other.name, 1, bytes(32)).text(), other))[0] == 404


def test_a_ledger_is_told_of_its_fork(running: Running, tmp_path: Path) -> None:
    """A restored copy that goes on, refused by the witness; by then the ledger can tell at its opening, too."""
    url, path = f"sqlite:///{tmp_path}/consent.db", tmp_path / "consent.db"
    Ledger.open(url, keys=KEYS).close()
    shutil.copy(path, tmp_path / "backup.db")
    with Ledger.open(url, keys=KEYS, witnesses=[running.witness()]) as ledger:
        grow(ledger, 5)
        ledger.cosign()
    shutil.copy(tmp_path / "backup.db", path)
    with pytest.raises(LedgerRolledBack, match="has 2 entries, and had 5"):
        Ledger.open(url, keys=KEYS, high_water=running.url)
    events: list[tuple[str, object]] = []
    with Ledger.open(
        url,
        keys=KEYS,
        witnesses=[running.witness()],
        on_event=lambda event, **data: events.append((event, data["status"])),
    ) as ledger:
        ledger.cosign()
        grow(ledger, 9)
        ledger.cosign()
    assert events[:2] == [("witness.refused", 409), ("witness.refused", 422)]
