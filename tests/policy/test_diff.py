"""Widening a policy needs new consent, for exactly what was widened; narrowing it needs none."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consentkit.errors import PolicyError
from consentkit.policy import Policy, diff
from tests.policy.documents import Edit, both, document, policy, put

COUNTER, ADNET = "/services/counter", "/services/adnet"
OWN = {"title": "T", "description": "D"}
ONE_MORE = {
    "category": "analytics",
    "provider": {"name": "More", "country": "FR"},
    "purposes": {"audience": "Count"},
}


def also(pointer: str, name: str, lifetime: str = "1 day", **more: Any) -> Edit:
    """Return an edit that declares one more cookie."""
    return put(f"{pointer}/cookies/-", {"name": name, "lifetime": lifetime, **more})


# edit, kind of the change, the category and the service of it, what is no longer covered
WIDER: list[tuple[Edit, str, str, str | None, set[str]]] = [
    (put("/services/more", ONE_MORE), "service-added", "analytics", "more", {"analytics", "more"}),
    (put(f"{ADNET}/category", "analytics"), "service-moved", "analytics", "adnet", {"analytics", "adnet"}),
    (
        put("/services/login/category", "analytics"),
        "service-moved",
        "analytics",
        "login",
        {"analytics", "login"},
    ),
    (
        put(f"{COUNTER}/purposes/ads", "Ads"),
        "purpose-added",
        "analytics",
        "counter",
        {"analytics", "counter"},
    ),
    (
        put(f"{COUNTER}/provider/name", "Other"),
        "provider-changed",
        "analytics",
        "counter",
        {"analytics", "counter"},
    ),
    (
        put(f"{ADNET}/provider/country", "CN"),
        "provider-changed",
        "marketing",
        "adnet",
        {"marketing", "adnet"},
    ),
    (
        put(f"{ADNET}/recipients", {"x": {"name": "X", "country": "FR"}}),
        "recipient-added",
        "marketing",
        "adnet",
        {"marketing", "adnet"},
    ),
    (also(COUNTER, "other"), "cookie-added", "analytics", "counter", {"analytics", "counter"}),
    (also(COUNTER, "_ct*"), "cookie-added", "analytics", "counter", {"analytics", "counter"}),
    (also(COUNTER, "_ct_x", "2 days"), "lifetime-longer", "analytics", "counter", {"analytics", "counter"}),
    (
        also(COUNTER, "_ct_t", party="third"),
        "party-widened",
        "analytics",
        "counter",
        {"analytics", "counter"},
    ),
    (
        put(f"{COUNTER}/cookies/0/lifetime", "7 months"),
        "lifetime-longer",
        "analytics",
        "counter",
        {"analytics", "counter"},
    ),
    (
        put(f"{COUNTER}/storage/-", {"kind": "session", "key": "ct.a", "lifetime": "1 day"}),
        "storage-added",
        "analytics",
        "counter",
        {"analytics", "counter"},
    ),
    (
        put(f"{COUNTER}/storage/0/lifetime", "2 months"),
        "lifetime-longer",
        "analytics",
        "counter",
        {"analytics", "counter"},
    ),
    (put("/categories/comments", OWN), "category-added", "comments", None, {"comments"}),
]

NARROWER: list[tuple[Edit, str | None]] = [
    (put(ADNET, ...), "service-removed"),
    (put("/services/login", ...), "service-removed"),
    (put(f"{COUNTER}/recipients", {}), "recipient-removed"),
    (put(f"{COUNTER}/cookies/1", ...), "cookie-removed"),
    (put(f"{COUNTER}/cookies/1/name", "_ct_a*"), "cookie-removed"),
    (put(f"{COUNTER}/cookies/0/lifetime", "session"), "lifetime-shorter"),
    (put(f"{COUNTER}/storage/0/lifetime", "1 day"), "lifetime-shorter"),
    (put(f"{COUNTER}/storage", []), "storage-removed"),
    (put(f"{ADNET}/cookies/0/party", "first"), "party-narrowed"),
    (also(COUNTER, "_ct_x"), None),
    (put(f"{COUNTER}/cookies/0/lifetime", "26 weeks"), "lifetime-shorter"),
    (put(f"{COUNTER}/storage/-", {"kind": "local", "key": "ct.a", "lifetime": "session"}), None),
    (put(f"{COUNTER}/purposes/audience", "Count each visit"), None),
    (put(f"{COUNTER}/title", "Counter 2"), None),
    (put(f"{COUNTER}/hosts/-", "new.example.org"), None),
    (put(f"{ADNET}/recipients", {}), None),
    (put("/categories/marketing", OWN), None),
    (put("/version", "2"), None),
    (put("/x-remark", 1), None),
    (put("/services/login/purposes/more", "More"), "purpose-added"),
    (also("/services/login", "csrf"), "cookie-added"),
    (put(f"{COUNTER}/category", "necessary"), "service-moved"),
]


@pytest.mark.parametrize(("edit", "kind", "category", "service", "lost"), WIDER)
def test_what_widens_is_asked_again_and_nothing_else(
    edit: Edit, kind: str, category: str, service: str | None, lost: set[str]
) -> None:
    """The category is named with the reason; all other names stay covered."""
    new = policy(edit)
    found = diff(policy(), new)
    (change,) = (change for change in found.changes if change.widening)
    assert (change.kind, change.category, change.service) == (kind, category, service)
    assert found.widened == {category}
    assert {name for name in new.names if not found.covers(name)} == lost


@pytest.mark.parametrize(("edit", "kind"), NARROWER)
def test_what_does_not_widen_is_covered(edit: Edit, kind: str | None) -> None:
    """Less of the same, other words, and whatever is strictly necessary anyway."""
    new = policy(edit)
    found = diff(policy(), new)
    assert {change.kind for change in found.changes} == ({kind} if kind else set())
    assert found.widened == frozenset()
    assert all(found.covers(name) for name in new.names)


def test_a_purpose_that_goes_is_told() -> None:
    """One of two, since there must be one."""
    two = policy(put(f"{COUNTER}/purposes/more", "More"))
    (change,) = diff(two, policy()).changes
    assert (change.kind, change.widening) == ("purpose-removed", False)


def test_a_category_that_goes_is_told() -> None:
    """Nobody is asked for it, and consent for its name covers nothing."""
    smaller = policy(
        both(put("/categories/marketing", ...), put(ADNET, ...), put("/regimes/us/signals", {"gpc": []}))
    )
    found = diff(policy(), smaller)
    assert [change.kind for change in found.changes] == ["category-removed", "service-removed"]
    assert not found.covers("marketing")
    assert not found.covers("adnet")
    assert diff(smaller, policy()).widened == {"marketing"}


def test_a_recipient_that_is_someone_else_under_the_same_id_is_new() -> None:
    """Ids of recipients are shorthand; who they are counts."""
    found = diff(policy(), policy(put(f"{COUNTER}/recipients/lab/country", "US")))
    assert [change.kind for change in found.changes] == ["recipient-added", "recipient-removed"]
    assert found.widened == {"analytics"}


def test_a_service_that_widens_leaves_its_neighbours_own_grants_alone() -> None:
    """The category is asked again; a grant of the other service alone still holds."""
    two = put("/services/more", ONE_MORE)
    found = diff(policy(two), policy(both(two, put("/services/more/purposes/x", "X"))))
    assert not found.covers("analytics")
    assert not found.covers("more")
    assert found.covers("counter")


def test_a_move_is_no_loss_for_the_category_it_leaves() -> None:
    """Less is done there."""
    found = diff(policy(), policy(put(f"{ADNET}/category", "analytics")))
    assert found.covers("marketing")


def test_the_same_duration_in_other_words_is_no_change() -> None:
    """Half a year is six months."""
    assert diff(policy(), policy(put(f"{COUNTER}/storage/0/lifetime", "1 months"))).changes == ()


def test_a_change_reads_as_a_sentence() -> None:
    """Where, what, and whether visitors are asked again."""
    edit = both(put(f"{COUNTER}/cookies/0/lifetime", "1 year"), put(f"{ADNET}/provider/country", "CN"))
    longer, moved = diff(policy(), policy(edit)).changes
    assert (
        str(longer) == "analytics: counter: cookie _ct_id kept for 1 year instead of 6 months (asked again)"
    )
    assert str(moved) == "marketing: adnet: run by Adnet (CN) instead of Adnet (US) (asked again)"
    (added,) = diff(policy(), policy(put("/categories/comments", OWN))).changes
    assert str(added) == "comments: new category (asked again)"
    (gone,) = diff(policy(), policy(put(f"{COUNTER}/storage", []))).changes
    assert str(gone) == "analytics: counter: storage local:ct.* is gone"


WIDE = st.sampled_from(WIDER)
NARROW = st.sampled_from([edit for edit, _ in NARROWER])


def edited(*edits: Edit) -> Policy | None:
    """Return the policy after all of `edits`, or None if they do not fit together."""
    target = document()
    try:
        for edit in edits:
            edit(target)
        return Policy.from_dict(target)
    except (PolicyError, LookupError):
        return None


@settings(max_examples=60)
@given(st.lists(NARROW, max_size=3))
def test_a_policy_does_not_differ_from_itself(edits: list[Edit]) -> None:
    """Whatever it is."""
    found = edited(*edits)
    if found is not None:
        assert diff(found, found).changes == ()
        assert diff(found, found).covered == found.names


@settings(max_examples=60)
@given(st.lists(NARROW, min_size=1, max_size=4))
def test_narrowing_edits_together_are_covered(edits: list[Edit]) -> None:
    """No number of them asks anybody again."""
    new = edited(*edits)
    if new is not None:
        assert diff(policy(), new).covered == new.names


@settings(max_examples=60)
@given(WIDE, st.lists(NARROW, max_size=3))
def test_a_widening_edit_among_narrowing_ones_is_not_covered(
    wider: tuple[Edit, str, str, str | None, set[str]], edits: list[Edit]
) -> None:
    """Exactly its category is asked again, as long as what it widened is still there and can be asked for."""
    edit, _, category, service, _ = wider
    new = edited(edit, *edits)
    if new is None or (service and service not in new.service_ids):
        return
    home = new.service(service).category if service else category
    found = diff(policy(), new)
    if home == category and found.widened:
        assert found.widened == {category}
        assert not found.covers(category)
        assert not service or not found.covers(service)
