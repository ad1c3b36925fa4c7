"""Key entries: from where to where in the log a key's signature counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.evidence.entry import Entry, KeyEntry, KeyRevocation, NoticeEntry
from consentkit.evidence.keyring import KeyRing
from tests.evidence.samples import signer

KEY, OTHER = signer("one"), signer("two")


def add(key: object = KEY, action: str = "add", purpose: str = "record") -> KeyEntry:
    assert isinstance(key, type(KEY))
    return KeyEntry(action, purpose, key.key_id, key.public_key)


def ring(*entries: tuple[int, Entry]) -> KeyRing:
    return KeyRing.of(entries)


def signs(keys: KeyRing, index: int) -> bool:
    key = keys.find("record", KEY.key_id)
    return key is not None and key.signs(index)


def test_a_key_signs_after_it_was_introduced() -> None:
    """Not before, and not its own introduction."""
    keys = ring((4, add()))
    assert [signs(keys, index) for index in (3, 4, 5, 1000)] == [False, False, True, True]


def test_a_key_that_was_never_introduced_signs_nothing() -> None:
    """Neither another key nor the same key for another purpose."""
    assert not signs(ring((0, add(OTHER)), (1, add(purpose="log"))), 5)


def test_a_retired_key_keeps_what_it_signed() -> None:
    """From its retirement on it signs no more."""
    keys = ring((0, add()), (10, add(action="retire")))
    assert [signs(keys, index) for index in (9, 10, 11)] == [True, False, False]
    assert not keys.keys["record", KEY.key_id].active


def test_a_revoked_key_loses_what_it_signed_from_a_point_on() -> None:
    """The point may lie before the revocation: that is what it is for."""
    keys = ring((0, add()), (10, KeyRevocation("record", KEY.key_id, 6)))
    assert [signs(keys, index) for index in (5, 6, 9, 11)] == [True, False, False, False]


def test_introducing_a_retired_key_again_changes_nothing() -> None:
    """Whoever stole it could do so as well."""
    keys = ring((0, add()), (5, add(action="retire")), (6, add()))
    assert not signs(keys, 7)
    assert keys.keys["record", KEY.key_id].added == 0


@pytest.mark.parametrize("entry", [add(action="retire"), KeyRevocation("record", KEY.key_id, 0)])
def test_ending_a_key_that_never_began_says_nothing(entry: Entry) -> None:
    """And does not hinder its introduction later."""
    assert signs(ring((0, entry), (1, add())), 2)


ends = st.lists(
    st.just(add(action="retire"))
    | st.builds(KeyRevocation, st.just("record"), st.just(KEY.key_id), st.integers(0, 40)),
    max_size=5,
)


@given(ends, st.integers(0, 50))
def test_nothing_that_follows_gives_a_key_more_power(entries: list[Entry], index: int) -> None:
    """Every later entry can only take away."""
    log: list[tuple[int, Entry]] = [(2, add()), (3, NoticeEntry("ab" * 32))]
    before = signs(ring(*log), index)
    for place, entry in enumerate(entries, 10):
        log.append((place, entry))
        after = signs(ring(*log), index)
        assert before or not after
        before = after
