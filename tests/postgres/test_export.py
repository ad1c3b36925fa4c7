"""A pack of a ledger on PostgreSQL is what it would be of one in a file."""

from tests.evidence import test_export
from tests.postgres.reuse import reused

globals().update(
    reused(
        test_export,
        without={
            "test_a_pack_that_is_ahead_of_its_ledger_is_left_alone",  # restores a copy of the file
            "test_a_ledger_whose_tree_is_damaged_is_not_exported",  # writes into the file
            "test_a_url_that_names_no_ledger_is_explained",
            "test_what_is_not_there_is_not_created",
            "test_openings_are_numbered_as_tiles_are",
        },
    )
)
