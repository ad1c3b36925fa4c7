"""Every policy once in force is found by its digest, and what it still covers is known."""

import base64

import attrs
import pytest

from consentkit.policy import PolicyHistory, diff, history, short_digest
from tests.policy.documents import both, policy, put

FIRST = policy(put("/version", "1"))
SECOND = policy(both(put("/version", "2"), put("/services/counter/purposes/more", "More")))
THIRD = policy(both(put("/version", "3"), put("/services/counter/purposes/more", "More")))
HISTORY = PolicyHistory(THIRD, (FIRST, SECOND))


@pytest.mark.parametrize("found", [FIRST, SECOND, THIRD])
def test_a_policy_is_found_by_both_forms_of_its_digest(found: object) -> None:
    """The long one in records, the short one in cookies."""
    digest = found.digest  # type: ignore[attr-defined]
    assert HISTORY.find(digest) is found
    assert HISTORY.find(short_digest(digest)) is found


@pytest.mark.parametrize("digest", ["", "AAAAAAAA", "0" * 64, FIRST.digest[:8], FIRST.digest.upper()])
def test_a_policy_that_was_never_in_force_is_not_found(digest: str) -> None:
    """Nothing is guessed from part of a digest."""
    assert HISTORY.find(digest) is None
    assert not HISTORY.covers(digest, "marketing")


def test_a_short_digest_is_the_beginning_of_the_long_one_in_base64url() -> None:
    """As anybody can compute it."""
    octets = bytes.fromhex(FIRST.digest)
    assert short_digest(FIRST.digest) == base64.urlsafe_b64encode(octets).decode()[:8]


def test_the_current_policy_covers_itself() -> None:
    """Categories and services, all of them, and no other name."""
    assert all(HISTORY.covers(THIRD.digest, name) for name in THIRD.names)
    assert not HISTORY.covers(THIRD.digest, "comments")


def test_an_earlier_policy_covers_what_was_not_widened_since() -> None:
    """Each against the current one, whatever was in between."""
    lost = {digest: {name for name in THIRD.names if not HISTORY.covers(digest, name)} for digest in
            (FIRST.digest, SECOND.digest)}  # fmt: skip
    assert lost == {FIRST.digest: {"analytics", "counter"}, SECOND.digest: set()}
    assert all(HISTORY.covers(FIRST.digest, name) == diff(FIRST, THIRD).covers(name) for name in THIRD.names)


def test_the_current_policy_may_be_listed_as_an_earlier_one() -> None:
    """A site that returns to an old policy finds it in the ledger."""
    again = PolicyHistory(FIRST, (FIRST, SECOND))
    assert again.find(short_digest(FIRST.digest)) is FIRST
    assert again.covers(FIRST.digest, "analytics")
    assert again.covers(SECOND.digest, "analytics")


def test_a_short_digest_that_two_policies_share_finds_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one a visitor agreed to would be a guess."""
    monkeypatch.setattr(history, "short_digest", lambda digest: "same" if digest != THIRD.digest else "other")
    shared = PolicyHistory(THIRD, (FIRST, SECOND))
    assert shared.find("same") is None
    assert shared.find("other") is THIRD
    assert shared.find(FIRST.digest) is FIRST


def test_a_history_cannot_be_changed() -> None:
    """A policy that comes later makes a new one."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        HISTORY.current = FIRST  # type: ignore[misc]
    assert PolicyHistory(THIRD, (FIRST, SECOND)) == HISTORY != PolicyHistory(THIRD)
