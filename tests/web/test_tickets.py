"""Tickets to receipts: good for one entry of one log, for an hour, and for nobody who makes one up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.keys import CookieKey, CookieKeys
from consentkit.web.tickets import LIFETIME, ticket_for, ticket_in, ticket_index
from tests.support import START
from tests.web.sites import KEYS, request

LOG = "example.com/log"
OTHER = CookieKeys((CookieKey("abcd", bytes(32), "sign"),))
TICKET = ticket_for(7, KEYS, LOG, START)


@given(st.integers(0, 10**15 - 1), st.integers(0, LIFETIME - 1))
def test_a_ticket_names_its_entry_for_an_hour(index: int, later: int) -> None:
    """And not a millisecond longer."""
    ticket = ticket_for(index, KEYS, LOG, START)
    assert ticket_in(request(path=f"/consent?of={ticket}")) == ticket
    assert ticket_index(ticket, KEYS, LOG, START + later) == index
    assert ticket_index(ticket, KEYS, LOG, START + LIFETIME) is None


@given(st.integers(0, len(TICKET) - 1), st.characters(codec="ascii"))
def test_a_ticket_that_was_changed_names_nothing(place: int, letter: str) -> None:
    """Whichever of its letters it was; another key id included."""
    changed = f"{TICKET[:place]}{letter}{TICKET[place + 1 :]}"
    assert changed == TICKET or ticket_index(changed, KEYS, LOG, START) is None


def test_a_ticket_is_for_one_log_and_one_secret() -> None:
    """Sites that share keys do not share receipts."""
    assert ticket_index(TICKET, KEYS, LOG, START) == 7
    assert ticket_index(TICKET, KEYS, "example.org/log", START) is None
    assert ticket_index(TICKET, OTHER, LOG, START) is None


def test_a_ticket_outlives_the_rotation_of_its_key() -> None:
    """As cookies do."""
    new = CookieKey.generate()
    rotated = KEYS.rotate_in(new).sign_with(new.key_id)
    assert ticket_index(TICKET, rotated, LOG, START) == 7
    assert ticket_index(TICKET, rotated.without("abcd"), LOG, START) is None


@pytest.mark.parametrize(
    "query",
    [
        "",
        "of=",
        "of=x",
        f"of={TICKET}&of={TICKET}",
        f"off={TICKET}",
        f"of={TICKET}%0d",
        "of=<script>",
        "%ff",
        "&" * 9000,
    ],
)
def test_anything_else_in_a_query_is_no_ticket(query: str) -> None:
    """A page repeats nothing but what has a ticket's form."""
    assert ticket_in(request(path=f"/consent?{query}")) is None
