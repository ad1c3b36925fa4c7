"""A ledger on PostgreSQL erases, holds and expires as one in a file does."""

from tests.evidence import test_erasure
from tests.postgres.reuse import reused

globals().update(reused(test_erasure))
