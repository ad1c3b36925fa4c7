"""All faults that there are, in the order of the table."""

from tests.faults import embedded, networked

SCENARIOS = (*embedded.SCENARIOS, *networked.SCENARIOS)
