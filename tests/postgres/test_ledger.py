"""A ledger on PostgreSQL orders, chains, publishes, shares and refuses as one in a file does."""

from tests.evidence import test_ledger
from tests.postgres.reuse import reused

globals().update(reused(test_ledger))
