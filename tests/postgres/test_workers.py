"""Servers of several processes, with threads or a loop, forked before or after the ledger was opened: on PostgreSQL."""

import pytest

from tests.adapters import test_workers
from tests.adapters.test_workers import site
from tests.postgres.reuse import reused
from tests.postgres_server import PostgresServer

__all__ = ["site"]

pytestmark = pytest.mark.slow

globals().update(reused(test_workers, only={"test_every_acknowledged_decision_is_in_one_log"}))


@pytest.fixture
def ledger_url(postgres: PostgresServer) -> str:
    """The URL of the site's ledger."""
    return postgres.url()
