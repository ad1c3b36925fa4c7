"""The parts of a policy must agree with each other."""

from typing import Any

import pytest

from consentkit.policy import Policy, references
from tests.policy.documents import Edit, both, document, policy, problem, problems, put

TWICE = "this region is covered twice: regime "
NO_CATEGORY = "there is no such category"


def cookie(name: str, **more: Any) -> dict[str, Any]:
    """Return the declaration of a cookie."""
    return {"name": name, "lifetime": "1 day", **more}


def rivals(one: dict[str, Any], other: dict[str, Any]) -> Edit:
    """Return an edit after which two services declare one cookie each."""
    return both(put("/services/counter/cookies", [one]), put("/services/adnet/cookies", [other]))


@pytest.mark.parametrize(
    ("pointer", "value", "message", "expected"),
    [
        ("/controller/country", "UK", "no country has this code", "GB"),
        (
            "/controller/country",
            "XX",
            "no country has this code",
            "two capital letters of ISO 3166-1, such as FR",
        ),
        ("/services/adnet/provider/country", "EL", "no country has this code", "GR"),
        ("/services/counter/recipients/lab/country", "EU", "no country has this code", "two capital letters"),
        (
            "/services/adnet/category",
            "marketting",
            NO_CATEGORY,
            '"marketing" (one of "necessary", "analytics"',
        ),
        ("/services/adnet/category", "preferences", NO_CATEGORY, '; or declare "preferences" in /categories'),
        (
            "/services/counter/title",
            {"en": "Counter"},
            'there is no text in "fr"',
            "a text in each of the languages",
        ),
        ("/services/adnet/purposes/ads", {"fr": "P"}, 'there is no text in "en"', "or one for all"),
        (
            "/services/counter/cookies/0/purpose",
            {"de": "Z"},
            'there is no text in "en", "fr"',
            "or one for all",
        ),
        ("/categories/marketing/title", {"en": "Ads"}, 'there is no text in "fr"', "or one for all"),
        ("/categories/marketing/description", {"en": "Ads"}, 'there is no text in "fr"', "or one for all"),
        ("/languages/-", "EN", 'this is the same language as "en"', "each language once"),
        (
            "/regimes/us/models/necessary",
            "opt-in",
            "necessary is never asked for",
            '"analytics", "marketing"',
        ),
        ("/regimes/us/models/adds", "opt-in", NO_CATEGORY, 'one of "analytics", "marketing"'),
        ("/regimes/us/exempt/necessary", "a", "necessary is never asked for", '"analytics", "marketing"'),
        ("/regimes/us/exempt/analytic", "a", NO_CATEGORY, '"analytics" (one of "analytics", "marketing")'),
        (
            "/regimes/us/signals/gpc/0",
            "necessary",
            "necessary is never asked for",
            '"analytics", "marketing"',
        ),
        ("/regimes/us/signals/gpc/0", "market", NO_CATEGORY, '"marketing" (one of "analytics", "marketing")'),
        ("/fallback/regime", "eu", "there is no such regime", 'one of "europe", "us"'),
        ("/fallback/regime", "europa", "there is no such regime", '"europe" (one of "europe", "us")'),
        ("/notice/order", ["analytics", "ads"], NO_CATEGORY, 'one of "analytics", "marketing"'),
        ("/notice/order", ["necessary"], "necessary is never asked for", '"analytics", "marketing"'),
        ("/notice/texts/de", {}, "this language is not offered, so nobody would see it", 'one of "en", "fr"'),
        ("/regimes/us/regions", [], "this regime applies nowhere", "regions, or the regime as fallback"),
    ],
)
def test_a_disagreement_is_told_with_what_would_be_right(
    pointer: str, value: Any, message: str, expected: str
) -> None:
    """The pointer leads to the end that should change."""
    found = [one for one in problems(document(put(pointer, value))) if one.message == message]
    assert len(found) == 1
    assert found[0].pointer.startswith(pointer.removesuffix("/-"))
    assert expected in found[0].expected


def test_a_language_written_twice_in_other_letters_needs_no_second_text() -> None:
    """The other complaint about it is that its texts are missing, one for each."""
    assert {one.message for one in problems(document(put("/languages/-", "EN")))} == {
        'this is the same language as "en"',
        'there is no text in "EN"',
    }


def test_text_in_a_language_that_is_not_offered_is_harmless() -> None:
    """It may wait there for its language."""
    text = {"en": "Counter", "fr": "Compteur", "de": "Zähler"}
    assert policy(put("/services/counter/title", text)).service("counter").title == text


@pytest.mark.parametrize("member", ["title", "description"])
def test_a_category_of_the_sites_own_needs_its_texts(member: str) -> None:
    """The banner knows the built-in ones only."""
    own = {"title": "Comments", "description": "The conversation"}
    assert policy(put("/categories/comments", own)).category("comments").title == {
        "en": "Comments",
        "fr": "Comments",
    }
    del own[member]
    found = problem(put("/categories/comments", own))
    assert found.pointer == f"/categories/comments/{member}"
    assert found.message == "this is missing: the banner has no text for it"


def test_a_category_named_almost_like_a_built_in_one_is_pointed_out() -> None:
    """`analytic` was probably meant to be `analytics`."""
    found = problems(document(put("/categories/analytic", {})))
    assert [one.expected for one in found] == ['a text, or "analytics" as the category\'s id'] * 2


@pytest.mark.parametrize("name", ["analytics", "necessary"])
def test_a_service_may_not_be_called_like_a_category(name: str) -> None:
    """`allows("analytics")` must mean one thing."""
    found = problem(put(f"/services/{name}", document()["services"]["login"] | {"cookies": []}))
    assert (found.pointer, found.message) == (f"/services/{name}", "a category has this name too")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (cookie("a"), cookie("a")),
        (cookie("_ga_*"), cookie("_ga_ABC")),
        (cookie("_ga_ABC"), cookie("_g*")),
        (cookie("a*z"), cookie("ab*yz")),
        (cookie("*_k"), cookie("k_*")),
        (cookie("a", domain="example.com"), cookie("a")),
        (cookie("a", domain=".example.com"), cookie("a", domain="example.com")),
        (cookie("a", domain="example.com"), cookie("a", domain="shop.example.com")),
        (cookie("a", domain="shop.example.com"), cookie("a", domain="example.com")),
        (cookie("a", path="/a"), cookie("a", path="/b")),
        (cookie("a", party="third"), cookie("a", party="third")),
    ],
)
def test_two_services_may_not_claim_one_cookie(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Whichever is refused, the other would keep it."""
    found = problem(rivals(one, other))
    assert found.pointer == "/services/adnet/cookies/0/name"
    assert found.value == other["name"]
    assert found.message == (
        f'two services claim one cookie: service "counter" claims it with "{one["name"]}" (/services/counter/cookies/0)'
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (cookie("a"), cookie("A")),
        (cookie("_ga_*"), cookie("_ga")),
        (cookie("a*"), cookie("b*")),
        (cookie("*a"), cookie("*b")),
        (cookie("a*a"), cookie("a")),
        (cookie("a", domain="a.example.com"), cookie("a", domain="b.example.com")),
        (cookie("a", domain="example.com"), cookie("a", domain="notexample.com")),
        (cookie("a", domain="notexample.com"), cookie("a", domain="example.com")),
        (cookie("a"), cookie("a", party="third")),
    ],
)
def test_cookies_that_cannot_meet_are_no_conflict(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Other names, other domains, another site's jar."""
    assert policy(rivals(one, other))


def test_one_service_may_declare_a_cookie_and_a_pattern_over_it() -> None:
    """The small policy does: the full name says more about one of them."""
    assert [one.name for one in policy().service("counter").cookies] == ["_ct_id", "_ct_*"]


def test_more_cookies_than_any_site_has_are_refused() -> None:
    """Comparing each with each has to end."""
    many = [cookie(f"c{number}") for number in range(1000)]
    edit = both(*(put(f"/services/{name}/cookies", many) for name in ("login", "counter", "adnet")))
    assert problem(edit).message == "3000 cookies are declared"
    assert references.MAX_COOKIES < 3000


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        (["GB"], TWICE + '"europe" has it too'),
        (["EEA"], TWICE + '"europe" has it too'),
        (["EU"], TWICE + '"europe" has part of it, with EEA, too'),
    ],
)
def test_no_region_may_be_covered_twice_at_one_level(regions: list[str], message: str) -> None:
    """Which of two regimes applies would depend on their order."""
    found = problem(put("/regimes/us/regions", regions))
    assert (found.pointer, found.value) == ("/regimes/us/regions/0", regions[0])
    assert (found.message, found.expected) == (message, "each region in one regime")


def test_a_region_may_be_aimed_at_more_closely_by_another_regime() -> None:
    """FR takes precedence over EEA, which is no conflict; nor are two groups in one regime."""
    assert policy(put("/regimes/us/regions", ["FR", "US-GPC", "US-CA"]))
    assert policy(put("/regimes/europe/regions", ["EU", "EEA"]))


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("UK", "GB (ISO 3166 does not use UK)"),
        ("uk", "GB (ISO 3166 does not use uk)"),
        ("USA", "US (ISO 3166 does not use USA)"),
        ("fr", "FR, in capital letters"),
        ("us-ca", "US-CA, in capital letters"),
        ("eea", "EEA, in capital letters"),
        ("US-CAL", 'a subdivision of US: "US-CA"'),
        ("US-QQ", 'a subdivision of US: one of "US-AK"'),
        ("XX", "an ISO 3166 code such as FR or US-CA, or one of the groups EEA, EU, US-GPC"),
        ("XX-A", "an ISO 3166 code such as FR or US-CA"),
        ("FR-", "an ISO 3166 code such as FR or US-CA"),
        ("FR-ABCD", "an ISO 3166 code such as FR or US-CA"),
    ],
)
def test_a_region_that_does_not_exist_is_told_what_was_meant(region: str, expected: str) -> None:
    """Common mistakes get their own answer."""
    found = problem(put("/regimes/us/regions", [region]))
    assert found.message == "there is no such region"
    assert found.expected.startswith(expected)


def test_records_must_outlive_the_consents_they_prove() -> None:
    """Evidence that is gone proves nothing; exactly as long is enough."""
    found = problem(put("/records/retention", "11 months"))
    assert found.pointer == "/records/retention"
    assert found.message == (
        'records would be gone before the consents they prove: regime "us" lets one hold 1 year'
    )
    assert found.expected == 'at least "1 year"'
    assert policy(put("/records/retention", "12 months"))


def test_a_weaker_fallback_is_a_matter_for_the_linter() -> None:
    """The form allows it; the flag is kept."""
    assert not policy(put("/fallback", {"regime": "us"})).weaker_fallback_allowed
    assert policy(put("/fallback", {"regime": "us", "allow_weaker": True})).weaker_fallback_allowed


def test_a_regime_without_regions_may_be_the_fallback() -> None:
    """One rule for everybody needs no region."""
    everywhere = document(both(put("/regimes/us", ...), put("/regimes/europe/regions", [])))
    assert Policy.from_dict(everywhere).regime_for("FR").id == "europe"
