"""Merging a cookie and an account, and what the browser says by itself."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from consentkit.consent import Basis, Decisions, Signals, Story, merge, parse_gpc, resolve
from tests.consent.worlds import HISTORY, NOW, POLICY, decided, regions, signals

GRANT = Story(granted=True, basis=Basis.EXPRESS, time=NOW - 1_000_000, policy=POLICY.digest)
REFUSAL = evolve(GRANT, granted=False)


def later(story: Story, milliseconds: int) -> Story:
    return evolve(story, time=story.time + milliseconds)


@given(decided(), decided(), regions, signals)
def test_merging_is_symmetric(cookie, account, region, signal):
    """It does not matter which side is called the cookie."""
    one = resolve(HISTORY, region, merge(HISTORY, cookie, account), signal, NOW)
    other = resolve(HISTORY, region, merge(HISTORY, account, cookie), signal, NOW)
    assert [one.allows(name) for name in sorted(POLICY.names)] == [
        other.allows(name) for name in sorted(POLICY.names)
    ]


@given(decided(), regions, signals)
def test_merging_with_oneself_changes_nothing(decisions, region, signal):
    """The same decisions on both sides are those decisions."""
    alone = resolve(HISTORY, region, decisions, signal, NOW)
    merged = resolve(HISTORY, region, merge(HISTORY, decisions, decisions), signal, NOW)
    assert [alone.allows(name) for name in sorted(POLICY.names)] == [
        merged.allows(name) for name in sorted(POLICY.names)
    ]


@pytest.mark.parametrize(
    ("lead", "granted"), [(-300_001, False), (-300_000, False), (0, False), (300_000, False), (300_001, True)]
)
def test_the_newer_decision_wins_and_a_refusal_wins_ties(lead, granted):
    """A grant must be more than 300 s newer than the other side's refusal."""
    sides = Decisions({"analytics": later(GRANT, lead)}), Decisions({"analytics": REFUSAL})
    assert merge(HISTORY, *sides).categories["analytics"].granted is granted
    against_all = Decisions({"analytics": later(GRANT, lead)}), Decisions(blanket=REFUSAL)
    merged = resolve(HISTORY, "FR", merge(HISTORY, *against_all), Signals(), NOW)
    assert merged.allows("analytics") is granted


@pytest.mark.parametrize(("lead", "granted"), [(300_000, False), (300_001, True)])
def test_a_services_grant_does_not_survive_the_other_sides_refusal(lead, granted):
    """The tie rule holds between a service on one side and its category on the other."""
    service = Decisions({}, {"clicks": later(GRANT, lead)})
    for other in (Decisions({"analytics": REFUSAL}), Decisions(blanket=REFUSAL)):
        merged = merge(HISTORY, service, other)
        assert resolve(HISTORY, "FR", merged, Signals(), NOW).allows("clicks") is granted


@pytest.mark.parametrize("lead", [0, 1, 300_000])
def test_a_services_grant_survives_its_own_sides_earlier_refusal(lead):
    """Where cookie and account carry the same history, what came later in it stands, however soon it came."""
    one = Decisions({"analytics": REFUSAL}, {"clicks": later(GRANT, lead)})
    merged = merge(HISTORY, one, one)
    assert resolve(HISTORY, "FR", merged, Signals(), NOW).allows("clicks")


@given(decided(), decided())
def test_what_is_unreadable_on_one_side_stays_so(one, other):
    """An account that cannot be read denies what the cookie would grant."""
    merged = merge(HISTORY, evolve(one, unreadable=True), other)
    assert resolve(HISTORY, "US-CA", merged, Signals(), NOW).granted == {"necessary"}


@pytest.mark.parametrize(
    ("values", "on"),
    [
        ([b"1"], True),
        ([b" 1\t"], True),
        ([b"0", b"1"], True),
        ([], False),
        ([b"0"], False),
        ([b"1, 1"], False),
        ([b"true"], False),
        ([b"11"], False),
        ([b""], False),
        ([b"\xc2\xa01"], False),
    ],
)
def test_gpc_is_on_for_exactly_1(values, on):
    """Any other value is ignored, and one header that is exactly `1` is enough."""
    assert parse_gpc(values) is on


@given(st.lists(st.binary()))
def test_gpc_takes_any_bytes(values):
    """Parsing never raises."""
    assert parse_gpc(values) in (True, False)
