"""A pack of a ledger on PostgreSQL is what it would be of one in a file."""

from tests.evidence import test_export
from tests.postgres.reuse import reused

globals().update(reused(test_export))
