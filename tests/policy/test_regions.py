"""Which regime applies where: the closest declaration wins, and everybody gets one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.policy import COUNTRIES, GROUPS, Policy
from consentkit.policy.regions import (
    canonical_region,
    describe_region_error,
    find_region,
    level_of,
    region_table,
)
from tests.policy.documents import document, policy

RULE = {"model": "opt-in", "consent_lifetime": "1 month", "refusal_lifetime": "1 month"}
REGIONS = ["FR", "NO", "US", "US-CA", "US-VA", "CA", "CA-QC", "FR-75", "JP", *GROUPS]


def declare(*regions: str) -> Policy:
    """Return a policy with one regime for each of `regions`, named after it, and a fallback."""
    found = document()
    rules = {f"r-{region.lower()}": RULE | {"regions": [region]} for region in regions}
    return Policy.from_dict(
        found | {"regimes": rules | {"last": RULE | {"regions": []}}, "fallback": {"regime": "last"}}
    )


@pytest.mark.parametrize(
    ("declared", "visitor", "applies"),
    [
        (["US-CA", "US-GPC", "US"], "US-CA", "r-us-ca"),
        (["US-GPC", "US"], "US-CA", "r-us-gpc"),
        (["US-GPC", "US"], "US-VA", "r-us"),
        (["US-GPC", "US"], "US", "r-us"),
        (["US-GPC"], "US", "last"),
        (["FR", "EEA"], "FR", "r-fr"),
        (["FR-75", "FR", "EEA"], "FR-75", "r-fr-75"),
        (["FR", "EEA"], "FR-75", "r-fr"),
        (["EEA"], "FR-75", "r-eea"),
        (["EEA"], "NO", "r-eea"),
        (["EU"], "NO", "last"),
        (["EEA"], "CH", "last"),
        (["EEA"], "RE", "r-eea"),
        (["CA-QC", "CA"], "CA-QC", "r-ca-qc"),
        (["CA-QC", "CA"], "CA-ON", "r-ca"),
    ],
)
def test_the_closest_declaration_wins(declared: list[str], visitor: str, applies: str) -> None:
    """Subdivision, group of subdivisions, country, group of countries, fallback: whatever their order."""
    assert declare(*declared).regime_for(visitor).id == applies
    assert declare(*reversed(declared)).regime_for(visitor).id == applies


@pytest.mark.parametrize("region", [None, "", "T1", "XX", "ZZ-", "-", "EUROPE", "日本", "US GPC"])
def test_an_unknown_region_gets_the_fallback(region: str | None) -> None:
    """Location databases answer all sorts of things."""
    assert policy().regime_for(region).id == "europe"
    assert declare("US", "EEA").regime_for(region).id == "last"


@pytest.mark.parametrize(
    ("region", "spelt"),
    [("fr", "FR"), (" us-ca\n", "US-CA"), ("UK", "GB"), ("uk-eng", "GB-ENG"), ("el", "GR")],
)
def test_a_region_is_understood_in_other_spellings(region: str, spelt: str) -> None:
    """A visitor from Britain is no stranger because a database says UK."""
    assert canonical_region(region) == spelt
    assert declare("FR", "US-CA", "GB", "GR").regime_for(region).id != "last"


def test_a_group_can_be_asked_for_by_name_where_it_is_declared() -> None:
    """The linter judges whole groups."""
    assert policy().regime_for("US-GPC").id == "us"
    assert policy().regime_for("EEA").id == "europe"


@given(
    st.lists(st.sampled_from(REGIONS), unique=True),
    st.sampled_from([*sorted(COUNTRIES), *REGIONS]) | st.text(),
)
def test_precedence_is_total_and_does_not_depend_on_order(declared: list[str], visitor: str) -> None:
    """Each visitor gets one rule, and the one that aims closest."""
    rule = find_region(region_table((name, name) for name in declared), visitor, "fallback")
    again = find_region(region_table((name, name) for name in reversed(declared)), visitor, "fallback")
    place = canonical_region(visitor)
    reached = [
        name for name in declared if name == place or {place, place[:2]} & {name, *GROUPS.get(name, ())}
    ]
    assert rule == again
    if declared.count("EU") and declared.count("EEA"):
        return  # both hold the same countries, which a policy may not say
    if place[2:3] in ("", "-") and place not in GROUPS:
        assert rule == min(reached, key=level_of, default="fallback")


def test_groups_hold_only_places_that_exist() -> None:
    """A slip of the pen in a group would leave somebody out."""
    for members in GROUPS.values():
        assert [member for member in members if describe_region_error(member) is not None] == []


def test_groups_have_their_members() -> None:
    """27 members of the Union with 7 territories that have their own codes, 30 states in the EEA, 12 with GPC."""
    assert len(GROUPS["EU"]) == 27 + 7
    assert GROUPS["EEA"] - GROUPS["EU"] == {"IS", "LI", "NO"}
    assert GROUPS["US-GPC"] == {f"US-{state}" for state in "CA CO CT DE MD MN MT NE NH NJ OR TX".split()}


def test_the_table_of_countries_is_complete() -> None:
    """249 codes of ISO 3166-1 and XK; UK, EU and EL are none."""
    assert len(COUNTRIES) == 250
    assert not {"UK", "EU", "EL", "AN", "CS"} & COUNTRIES
