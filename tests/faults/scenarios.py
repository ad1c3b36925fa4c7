"""All faults that there are, in the order of the table."""

from tests.faults import embedded, networked, spool

SCENARIOS = (*embedded.SCENARIOS, *networked.SCENARIOS, *spool.SCENARIOS)
