"""Refusals while the store is away: each is kept in the spool, whoever dies meanwhile, and recorded once afterwards."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consentkit.evidence.spool import default_spool
from tests.faults.disk import ext4, unmountable
from tests.faults.embedded import fill
from tests.faults.history import Seen
from tests.faults.networked import unserved
from tests.faults.table import Row, Scenario
from tests.faults.writers import Writers, wait_until
from tests.postgres_server import programs, running

_KEPT = 5


@contextmanager
def _state() -> Iterator[None]:
    """Let the spools of ledgers on a server be in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="ckstate") as folder:
        before = os.environ.get("XDG_STATE_HOME")
        os.environ["XDG_STATE_HOME"] = folder
        try:
            yield
        finally:
            del os.environ["XDG_STATE_HOME"]
            if before is not None:
                os.environ["XDG_STATE_HOME"] = before


def _refuse_and_die(seen: Seen, url: str, away: Iterator[None], row: Row) -> None:
    """Let two writers refuse while the store goes away, and kill them once it has been away for a while."""
    with Writers(url, seen, 2, mode="refusing") as writers:
        writers.wait_for(2)
        with contextmanager(lambda: away)():
            kept = len(seen.spooled) + _KEPT
            wait_until(lambda: len(seen.spooled) >= kept, "refusal in the spool")
            row.fired += writers.kill()
    row.rounds += 1


def server_away(row: Row, rounds: int) -> None:
    """Stop the server as a crash does, kill the writers, start the server again."""
    found = programs()
    assert found is not None
    with _state(), running(found) as server:
        seen, url = Seen(), server.url("away")

        def away() -> Iterator[None]:
            server.stop(signal.SIGQUIT)
            yield
            server.start()

        for _ in range(rounds):
            _refuse_and_die(seen, url, away(), row)
        row.judge(seen, url)


def disk_full(row: Row, rounds: int) -> None:
    """Fill the disk of the ledger, whose spool is on another one, kill the writers, make room again."""
    with ext4(32) as disk, tempfile.TemporaryDirectory(prefix="ckspool") as elsewhere:
        seen, url = Seen(), f"sqlite:///{disk.folder}/consent.db"
        spool = default_spool(url)
        assert spool is not None
        spool.symlink_to(Path(elsewhere).resolve())

        def away() -> Iterator[None]:
            ballast = fill(disk.folder)
            yield
            ballast.unlink()

        for _ in range(rounds):
            _refuse_and_die(seen, url, away(), row)
        row.judge(seen, url)


SCENARIOS = (
    Scenario("store away (full disk), refusals, kill -9", disk_full, slow=8, impossible=unmountable),
    Scenario(
        "store away (PostgreSQL stops), refusals, kill -9", server_away, slow=8, quick=1, impossible=unserved
    ),
)
