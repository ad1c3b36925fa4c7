"""Refusals that waited enter a ledger on PostgreSQL as they enter one in a file."""

from tests.evidence import test_draining
from tests.postgres.reuse import reused

globals().update(reused(test_draining))
