"""Requests that are made again make one record on PostgreSQL, too."""

from tests.evidence import test_idempotency
from tests.postgres.reuse import reused

globals().update(reused(test_idempotency))
