"""Ledgers on a real PostgreSQL: the fixtures of tests/evidence, with another URL."""

from collections.abc import Iterator

import pytest

from consentkit.evidence.postgres import PostgresStore
from tests.evidence.conftest import ledger, open_ledger
from tests.postgres_server import PostgresServer

__all__ = ["ledger", "open_ledger"]


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """The URL of a ledger that is not there yet."""
    return postgres.url()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    """A new store."""
    made = PostgresStore(url, create=True)
    yield made
    made.release()
