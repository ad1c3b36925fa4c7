"""What a change of policy brings besides what services do: other rules, another controller, other languages."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consentkit.policy import COUNTRIES, GROUPS, Lifetime, Policy, RuleChange, diff, rule_changes
from tests.policy.documents import Edit, both, policy, put

REST = COUNTRIES - GROUPS["EEA"] - {"GB", "US"}
US, EUROPE = "/regimes/us", "/regimes/europe"
SECOND = {
    "regions": ["CH", "US-CA"],
    "model": "notice",
    "consent_lifetime": "1 year",
    "refusal_lifetime": "1 year",
}


def changes(edit: Edit, before: Edit | None = None) -> list[RuleChange]:
    """Return what differs from the small policy (changed by `before`) after `edit`."""
    old = policy(before)
    return list(rule_changes(old, policy(both(before, edit) if before else edit)))


# edit, section, name, kind, words of the sentence
SINGLE: list[tuple[Edit, str, str | None, str, str]] = [
    (put("/controller/name", "Other"), "controller", None, "name-changed", "Other instead of Example Press"),
    (put("/controller/country", "FR"), "controller", None, "country-changed", "FR instead of IE"),
    (put("/controller/contact", "x@example.com"), "controller", None, "contact-changed", "x@example.com instead of"),
    (put("/controller/address", "Cork"), "controller", None, "address-changed", "Cork instead of none"),
    (put("/controller/privacy_policy", "/p"), "controller", None, "privacy-policy-changed", "/p instead of"),
    (put("/languages", ["fr", "en"]), "languages", None, "default-changed", "fr instead of en"),
    (put("/categories/analytics/title", "Counting"), "categories", "analytics", "details-changed", "title"),
    (put("/services/counter/title", "C"), "services", "counter", "details-changed", "title"),
    (put("/services/counter/hosts", []), "services", "counter", "details-changed", "hosts"),
    (put("/services/counter/legal_basis", "legitimate_interest"), "services", "counter", "details-changed", "basis"),
    (put("/services/counter/purposes/audience", "X"), "services", "counter", "details-changed", "purpose audience"),
    (put("/services/counter/cookies/0/path", "/a"), "services", "counter", "details-changed", "cookie _ct_id"),
    (put("/services/counter/mappings", {"dpv": ["Marketing"]}), "services", "counter", "details-changed", "mappings"),
    (put(f"{EUROPE}/consent_lifetime", "1 week"), "regimes", "europe", "consent-lifetime-changed", "1 week instead of 6 months"),
    (put(f"{US}/refusal_lifetime", "30 months"), "regimes", "us", "refusal-lifetime-changed", "30 months instead of 2 years"),
    (put(f"{US}/reprompt_interval", "90 days"), "regimes", "us", "reprompt-interval-changed", "90 days instead of 3 years"),
    (put(f"{US}/signals/gpc", []), "regimes", "us", "signal-removed", "no longer switches off marketing"),
    (put(f"{US}/signals/gpc", ["analytics", "marketing"]), "regimes", "us", "signal-added", "switches off analytics"),
    (put(f"{US}/models", {}), "regimes", "us", "category-model-changed", "analytics: opt-out instead of implied"),
    (put(f"{US}/exempt", {}), "regimes", "us", "exemption-removed", "analytics is no longer exempt"),
    (put(f"{US}/exempt/analytics", "other"), "regimes", "us", "exemption-added", "analytics is exempt as other"),
    (put(f"{US}/model", "notice"), "regimes", "us", "model-changed", "notice instead of opt-out"),
    (put("/fallback/allow_weaker", True), "fallback", None, "weaker-allowed-changed", "may be weaker"),
    (put("/notice", {"layout": "dialog"}), "notice", None, "details-changed", "layout"),
    (put("/notice", {"order": ["marketing", "analytics"]}), "notice", None, "details-changed", "order"),
    (put("/notice", {"texts": {"fr": {"title": "Choix"}}}), "notice", None, "details-changed", "texts in fr"),
    (put("/records/retention", "6 years"), "records", None, "retention-changed", "6 years instead of 5 years"),
    (put("/enforcement", {"undeclared": "block"}), "enforcement", None, "undeclared-changed", "block instead of report"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "section", "name", "kind", "words"), SINGLE, ids=[f"{row[2]}-{row[3]}" for row in SINGLE]
)
def test_a_change_is_told_once_in_its_section(
    edit: Edit, section: str, name: str | None, kind: str, words: str
) -> None:
    """With what was and what is, and with nothing else."""
    (change,) = changes(edit)
    assert (change.section, change.name, change.kind) == (section, name, kind)
    assert words in change.detail
    assert change.asks == ()


def test_languages_come_and_go() -> None:
    """A language more changes no text; with one less, what is left stays as it is."""
    fewer = both(put("/languages", ["en"]), put("/services/counter/title", {"en": "Counter"}))
    fewer = both(fewer, put("/services/counter/purposes/audience", {"en": "Count visits"}))
    (change,) = changes(fewer)
    assert (change.name, change.kind) == ("fr", "language-removed")
    (change,) = rule_changes(policy(fewer), policy())
    assert (change.name, change.kind) == ("fr", "language-added")


def test_a_rule_that_becomes_opt_in_asks_whoever_never_agreed_expressly() -> None:
    """Of the categories that needed no yes there, exempt ones left out."""
    model, effect = changes(put(f"{US}/model", "opt-in"))
    assert (model.kind, effect.kind) == ("model-changed", "opt-in-now")
    assert (effect.asks, effect.regions) == (("marketing",), ("US-GPC", "US"))
    lost = changes(both(put(f"{US}/exempt", {}), put(f"{US}/models", {"analytics": "opt-in"})))
    assert [change.asks for change in lost if change.kind == "opt-in-now"] == [("analytics",)]


def test_a_rule_that_is_opt_in_no_more_says_what_it_allows() -> None:
    """Where it is the fallback as well, there too."""
    found = changes(both(put(f"{EUROPE}/model", "notice"), put("/fallback/allow_weaker", True)))
    free = [change for change in found if change.kind == "allowed-now"]
    assert [change.section for change in free] == ["regimes", "fallback"]
    assert free[0].regions == ("EEA", "GB")
    assert all("analytics, marketing" in change.detail for change in free)


def test_regions_that_move_are_told_together_with_their_rules() -> None:
    """From one regime to another, from and to the fallback; whole groups by name."""
    found = changes(
        both(put(f"{EUROPE}/regions", ["EU", "GB"]), put(f"{US}/regions", ["US-GPC", "JP", "NO"]))
    )
    moves = {change.regions: change.detail for change in found if change.kind == "regions-moved"}
    assert moves == {
        ("IS", "LI"): "IS, LI: moved from europe (opt-in) to the fallback europe (opt-in)",
        ("NO",): "NO: moved from europe (opt-in) to us (opt-out)",
        ("JP",): "JP: moved from the fallback europe (opt-in) to us (opt-out)",
        ("US",): "US: moved from us (opt-out) to the fallback europe (opt-in)",
    }
    assert {change.regions: change.asks for change in found if change.asks} == {
        ("US",): ("analytics", "marketing")
    }


def test_a_group_that_is_spelled_out_is_no_move() -> None:
    """What holds where counts, not how it is written."""
    members = [f"US-{state}" for state in "CA CO CT DE MD MN MT NE NH NJ OR TX".split()]
    assert changes(put(f"{US}/regions", ["US", *members])) == []


def test_a_rule_that_is_added_takes_regions_from_others() -> None:
    """A subdivision leaves its country's rule."""
    found = changes(put("/regimes/second", SECOND))
    assert [(change.kind, change.regions) for change in found if change.kind.startswith("reg")] == [
        ("regime-added", ()), ("regions-moved", ("CH",)), ("regions-moved", ("US-CA",)),
    ]  # fmt: skip
    gone = rule_changes(policy(put("/regimes/second", SECOND)), policy())
    assert [change.kind for change in gone if change.kind.startswith("reg")] == [
        "regime-removed", "regions-moved", "regions-moved",
    ]  # fmt: skip


def test_many_regions_are_cut_short_in_the_sentence_and_listed_beside_it() -> None:
    """The sentence is for people."""
    (move, *_) = [c for c in changes(put(f"{US}/regions", ["US-GPC", "US", *sorted(REST)])) if c.regions]
    assert move.regions == tuple(sorted(REST))
    assert f" and {len(REST) - 12} more: moved" in move.detail


def test_another_fallback_says_what_follows_for_unknown_regions() -> None:
    """They are in no list, so none is given."""
    found = changes(put("/fallback", {"regime": "us", "allow_weaker": True}))
    assert [change.kind for change in found] == ["fallback-changed", "weaker-allowed-changed", "allowed-now"]
    back = rule_changes(policy(put("/fallback", {"regime": "us", "allow_weaker": True})), policy())
    assert [(c.section, c.asks) for c in back if c.asks] == [("fallback", ("analytics", "marketing"))]


def test_optional_fields_of_records_come_and_go() -> None:
    """With the reason that is given for them."""
    fields = {"optional_fields": {"user_agent": "Disputes"}, "retention": "5 years"}
    (added,) = changes(put("/records", fields))
    assert (added.kind, added.name) == ("optional-field-added", "user_agent")
    assert "Disputes" in added.detail
    (removed,) = rule_changes(policy(put("/records", fields)), policy())
    assert (removed.kind, removed.name) == ("optional-field-removed", "user_agent")


def test_what_is_added_or_gone_is_left_to_the_diff() -> None:
    """Services and categories that only one policy has are not told twice."""
    more: dict[str, Any] = {"title": "T", "description": "D"}
    edit = both(put("/categories/comments", more), put("/services/adnet", ...))
    assert changes(edit) == []
    assert diff(policy(), policy(edit)).changes


def test_remarks_and_the_version_change_nothing_for_visitors() -> None:
    """They are in the digest, and nobody acts on them."""
    assert changes(both(put("/x-remark", 1), put("/version", "2"))) == []


def test_a_change_reads_as_a_sentence() -> None:
    """Where, then what."""
    (name,) = changes(put("/controller/name", "Other"))
    (signal,) = changes(put(f"{US}/signals/gpc", []))
    assert str(name) == "controller: responsible Other instead of Example Press"
    assert str(signal) == "regimes: us: GPC no longer switches off marketing"


@settings(max_examples=25)
@given(st.lists(st.sampled_from([row[0] for row in SINGLE]), max_size=3))
def test_no_policy_differs_from_itself_and_every_difference_has_two_sides(edits: list[Edit]) -> None:
    """As many sections change on the way back."""
    old, new = policy(), policy(both(*edits))
    assert rule_changes(new, new) == ()
    there, back = ({(c.section, c.name) for c in rule_changes(*pair)} for pair in ((old, new), (new, old)))
    assert there == back


@given(st.integers(1, 10_000), st.sampled_from(["minute", "hour", "day", "week", "month", "year"]))
def test_a_duration_is_told_in_a_unit_that_measures_it(count: int, unit: str) -> None:
    """The same time, in the largest unit."""
    length = Lifetime(count, unit).timedelta
    assert length is not None
    told = Lifetime.of(length)
    assert told.timedelta == length
    assert told.count <= count


def asks_by_region(old: Policy, new: Policy) -> set[str]:
    return {region for change in rule_changes(old, new) for region in change.regions if change.asks}


@settings(max_examples=25)
@given(
    st.sampled_from([row[0] for row in SINGLE]), st.sampled_from(["opt-in", "opt-out", "implied", "notice"])
)
def test_whoever_is_asked_lives_where_a_yes_is_needed_now(edit: Edit, model: str) -> None:
    """And was not before, for some category of both policies."""
    old = policy(edit)
    new = policy(put(f"{US}/model", model))
    for region in asks_by_region(old, new):
        assert new.regime_for(region).model_for("marketing") == "opt-in"
        assert old.regime_for(region).model_for("marketing") != "opt-in"
