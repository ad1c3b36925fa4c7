"""Several processes on one ledger on PostgreSQL, and processes that die: as with one in a file."""

from tests.evidence import test_processes
from tests.postgres.reuse import reused

globals().update(reused(test_processes))
