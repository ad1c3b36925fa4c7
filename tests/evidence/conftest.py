"""Ledgers for tests: on disk, with a clock that stands still and randomness that repeats."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from consentkit.evidence.ledger import Ledger
from tests.evidence.samples import KEYS, countable
from tests.object_store import CREDENTIALS, ObjectStore, serving
from tests.support import Clock

OpenLedger = Callable[..., Ledger]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a ledger that is not there yet."""
    return f"sqlite:///{tmp_path}/consent.db"


@pytest.fixture
def open_ledger(url: str, clock: Clock) -> Iterator[OpenLedger]:
    """Open the ledger at `url`, as often as wanted; all are closed in the end."""
    opened: list[Ledger] = []

    def make(**options: Any) -> Ledger:
        number = len(opened)
        options = {"keys": KEYS, "clock": clock, "random": countable(f"ledger {number}")} | options
        opened.append(Ledger.open(url, **options))
        return opened[-1]

    yield make
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: OpenLedger) -> Ledger:
    """A new ledger."""
    return open_ledger()


@pytest.fixture(scope="session")
def server() -> Iterator[ObjectStore]:
    """A server that speaks S3."""
    with serving() as store:
        yield store


@pytest.fixture
def object_store(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A server that speaks S3, and credentials for it in the environment."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return server
