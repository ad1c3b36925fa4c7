"""The store on PostgreSQL: what it keeps, what it refuses, and what it says when something fails."""

from tests.evidence import test_sqlite
from tests.postgres.reuse import reused

globals().update(
    reused(
        test_sqlite,
        only={
            "test_what_is_committed_is_read_back",
            "test_of_each_day_the_last_checkpoint_is_kept",
            "test_a_head_that_has_moved_is_not_replaced",
            "test_a_history_has_each_number_once",
            "test_cosignatures_gather_under_their_size",
        },
    )
)
