"""A policy as a value: complete, immutable, quick to ask."""

import copy
import pickle
from datetime import timedelta

import attrs
import pytest

from consentkit.errors import ConsentkitError, UnknownName
from consentkit.policy import (
    Category,
    CookieDeclaration,
    Lifetime,
    Model,
    Policy,
    Provider,
    Recipient,
    Regime,
    StorageDeclaration,
    localized,
)
from tests.policy.documents import Edit, both, document, policy, put

OWN = {"title": "T", "description": "D"}
MONTH = timedelta(days=365.25) / 12


def test_a_service_is_read_in_full() -> None:
    """Every declaration arrives, texts in each language."""
    counter = policy().service("counter")
    assert counter.title == {"en": "Counter", "fr": "Compteur"}
    assert counter.category == "analytics"
    assert counter.provider == Provider("Counter Coop", "DE")
    assert counter.purposes == {"audience": {"en": "Count visits", "fr": "Compter les visites"}}
    assert counter.recipients == (Recipient("lab", "Lab", "NL"),)
    assert counter.cookies == (
        CookieDeclaration("_ct_id", Lifetime(6, "month")),
        CookieDeclaration("_ct_*", Lifetime(1, "day")),
    )
    assert counter.storage == (StorageDeclaration("local", "ct.*", Lifetime(1, "month")),)
    assert counter.hosts == ("counter.example.org",)


def test_a_cookie_is_read_in_full() -> None:
    """What is left out has the usual meaning."""
    declared = {
        "name": "c",
        "lifetime": "2 weeks",
        "party": "third",
        "domain": ".example.net",
        "path": "/x",
        "partitioned": True,
        "purpose": "P",
    }
    (cookie,) = policy(put("/services/adnet/cookies", [declared])).service("adnet").cookies
    text = {"en": "P", "fr": "P"}
    assert cookie == CookieDeclaration("c", Lifetime(2, "week"), "third", ".example.net", "/x", True, text)


def test_a_service_without_a_title_is_called_by_its_id() -> None:
    """One name is needed, and there is one."""
    assert policy().service("adnet").title == {"en": "adnet", "fr": "adnet"}


def test_a_services_legal_basis_follows_its_category_unless_given() -> None:
    """What is strictly necessary does not rest on consent."""
    edited = policy(put("/services/login/legal_basis", "contract"))
    bases = {name: policy().service(name).legal_basis for name in policy().service_ids}
    assert bases == {"adnet": "consent", "counter": "consent", "login": "strictly_necessary"}
    assert edited.service("login").legal_basis == "contract"


def test_a_regime_is_read_in_full() -> None:
    """Lifetimes become durations, categories their own models."""
    us = policy().regime_for("US-CA")
    assert us == Regime(
        id="us",
        regions=("US-GPC", "US"),
        model=Model.OPT_OUT,
        consent_lifetime=12 * MONTH,
        refusal_lifetime=24 * MONTH,
        reprompt_interval=36 * MONTH,
        models={"analytics": Model.IMPLIED},
        gpc=frozenset({"marketing"}),
        exempt={"analytics": "statistics"},
    )
    assert (us.model_for("analytics"), us.model_for("marketing")) == (Model.IMPLIED, Model.OPT_OUT)


def test_the_interval_between_questions_is_a_refusals_lifetime_unless_given() -> None:
    """Nobody is asked again while a refusal holds."""
    europe = policy().regime_for("FR")
    assert europe.reprompt_interval == europe.refusal_lifetime == 7 * MONTH


def test_what_a_policy_leaves_out_has_defaults() -> None:
    """Report what is undeclared, a bar for a notice, no texts of its own, no optional fields."""
    found = policy()
    assert (found.layout, found.undeclared, found.csp) == ("bar", "report", "off")
    assert (dict(found.texts), dict(found.optional_fields)) == ({}, {})
    assert Policy.from_dict({**document(), "services": {}}).services == ()


def test_what_a_policy_says_of_notice_records_and_enforcement_arrives() -> None:
    """Each in its place."""
    found = policy(
        both(
            put("/notice", {"layout": "box", "texts": {"fr": {"title": "Bonjour"}}}),
            put("/records/optional_fields", {"page": "To show where"}),
            put("/enforcement", {"undeclared": "block", "csp": "off"}),
        )
    )
    assert (found.layout, found.undeclared) == ("box", "block")
    assert found.texts == {"fr": {"title": "Bonjour"}}
    assert found.optional_fields == {"page": "To show where"}
    assert found.retention == 60 * MONTH


@pytest.mark.parametrize(
    ("edit", "shown"),
    [
        (put("/version", "2"), ["necessary", "analytics", "marketing"]),
        (put("/categories/preferences", {}), ["necessary", "preferences", "analytics", "marketing"]),
        (put("/categories/necessary", {}), ["necessary", "analytics", "marketing"]),
        (put("/categories/ads", OWN), ["necessary", "analytics", "marketing", "ads"]),
        (
            both(put("/categories/ads", OWN), put("/notice", {"order": ["ads", "marketing"]})),
            ["necessary", "ads", "marketing", "analytics"],
        ),
    ],
)
def test_categories_are_shown_in_an_order_that_the_content_decides(edit: Edit, shown: list[str]) -> None:
    """necessary, then as the notice says, then the built-in ones, then others by name."""
    assert [category.id for category in policy(edit).categories] == shown


def test_necessary_is_there_without_being_declared() -> None:
    """And it is no category that can be refused."""
    assert policy().category("necessary") == Category("necessary")
    assert policy().category_ids == ("analytics", "marketing")
    assert [service.id for service in policy().services_in("necessary")] == ["login"]


def test_names_are_all_that_may_be_asked_about() -> None:
    """Categories and services alike, sorted where there is an order."""
    found = policy()
    assert found.service_ids == ("adnet", "counter", "login")
    assert found.names == {"necessary", "analytics", "marketing", "login", "counter", "adnet"}
    assert found.services_in("marketing") == (found.service("adnet"),)


@pytest.mark.parametrize("look_up", ["category", "service", "services_in"])
def test_an_unknown_name_is_a_mistake_in_the_program(look_up: str) -> None:
    """It raises at once and says what was probably meant."""
    with pytest.raises(UnknownName) as refusal:
        getattr(policy(), look_up)("anlytics" if look_up != "service" else "conter")
    assert isinstance(refusal.value, ConsentkitError | LookupError)
    assert "did you mean" in str(refusal.value)


def test_an_unknown_name_far_from_all_others_lists_what_there_is() -> None:
    """The error carries both, and survives the way between processes."""
    with pytest.raises(UnknownName, match="there are: analytics, marketing, necessary") as refusal:
        policy().category("zzz")
    again = pickle.loads(pickle.dumps(refusal.value))
    assert (again.name, again.known) == ("zzz", ("analytics", "marketing", "necessary"))
    assert "none" in str(UnknownName("a"))


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("sid", "login"),
        ("_ct_id", "counter"),
        ("_ct_", "counter"),
        ("_ct_other", "counter"),
        ("uid", "adnet"),
        ("SID", None),
        ("_ct", None),
        ("x_ct_id", None),
        ("sid ", None),
        ("", None),
    ],
)
def test_a_cookie_belongs_to_the_service_that_declares_it(name: str, service: str | None) -> None:
    """Names are compared exactly, patterns as a whole."""
    found = policy().service_for_cookie(name)
    assert (found and found.id) == service


def cookies(**declared: list[str]) -> Policy:
    """Return a policy whose services declare these cookies; "third:" marks a third-party one, "@" a domain."""
    found = document()
    for service, names in declared.items():
        found["services"][service]["cookies"] = [
            {
                "name": name.removeprefix("third:").partition("@")[0],
                "lifetime": "1 day",
                "party": "third" if name.startswith("third:") else "first",
                **({"domain": name.partition("@")[2]} if "@" in name else {}),
            }
            for name in names
        ]
    return Policy.from_dict(found)


@pytest.mark.parametrize(
    ("counter", "adnet", "name", "service"),
    [
        (["a_*@a.example"], ["a_b@b.example"], "a_b", "adnet"),
        (["a_*@a.example"], ["a_b*@b.example"], "a_bc", "adnet"),
        (["a_b*@a.example"], ["a_*@b.example"], "a_bc", "counter"),
        (["*c@a.example"], ["a*@b.example"], "abc", "adnet"),
        (["a*c@a.example"], ["a*@b.example"], "abc", "counter"),
        (["a"], ["third:a"], "a", "counter"),
        (["third:a"], ["a"], "a", "adnet"),
        (["a*"], ["third:ab"], "ab", "counter"),
        (["third:a*"], ["ab"], "ab", "adnet"),
        (["third:ab*"], ["a*"], "abc", "adnet"),
        ([], ["third:a*"], "ab", "adnet"),
    ],
)
def test_the_declaration_that_says_most_of_a_first_party_cookie_wins(
    counter: list[str], adnet: list[str], name: str, service: str
) -> None:
    """A full name before patterns, a longer beginning before a shorter, this site's jar before another's."""
    found = cookies(counter=counter, adnet=adnet).service_for_cookie(name)
    assert found is not None
    assert found.id == service


def test_a_policy_without_cookies_knows_none() -> None:
    """Not even the empty name."""
    assert cookies(login=[], counter=[], adnet=[]).service_for_cookie("") is None


@pytest.mark.parametrize(
    ("text", "count", "unit", "duration"),
    [
        ("session", 0, "session", None),
        ("1 minute", 1, "minute", timedelta(minutes=1)),
        ("36 hours", 36, "hour", timedelta(hours=36)),
        ("1 day", 1, "day", timedelta(days=1)),
        ("2 weeks", 2, "week", timedelta(weeks=2)),
        ("13 months", 13, "month", 13 * MONTH),
        ("2 years", 2, "year", timedelta(days=730.5)),
    ],
)
def test_a_lifetime_is_a_count_and_a_unit(
    text: str, count: int, unit: str, duration: timedelta | None
) -> None:
    """And it is written as it was read."""
    found = Lifetime.parse(text)
    assert (found, found.timedelta, str(found)) == (Lifetime(count, unit), duration, text)


def test_twelve_months_are_a_year() -> None:
    """So "12 months" and "1 year" are no change."""
    assert Lifetime.parse("12 months").timedelta == Lifetime.parse("1 year").timedelta


@pytest.mark.parametrize(
    ("language", "text"), [("fr", "F"), ("fr-CA", "F"), ("de", "E"), ("en", "E"), ("", "E"), ("pt-BR", "B")]
)
def test_a_text_is_found_in_the_nearest_language(language: str, text: str) -> None:
    """The language itself, its primary language, the default."""
    assert localized({"en": "E", "fr": "F", "pt-BR": "B"}, language, "en") == text


def test_a_text_without_the_default_language_still_says_something() -> None:
    """Any language is better than none."""
    assert localized({"fr": "F"}, "de", "en") == "F"
    assert localized({}, "de", "en") == ""


def test_policies_are_equal_when_their_digests_are() -> None:
    """As keys of a table too."""
    other = policy(put("/version", "2"))
    assert policy() == policy()
    assert policy() != other
    assert policy() != policy().digest
    assert {policy(): 1, other: 2}[policy()] == 1


def test_a_policy_cannot_be_changed() -> None:
    """Neither itself, nor what it holds, nor through the document it came from or gives away."""
    source = document()
    found = Policy.from_dict(source)
    digest, title = found.digest, found.service("counter").title
    source["services"]["counter"]["title"]["en"] = "Other"
    found.document["services"].clear()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.version = "2"  # type: ignore[misc]
    with pytest.raises(TypeError):
        title["en"] = "Other"  # type: ignore[index]
    assert (found.digest, found.service("counter").title["en"]) == (digest, "Counter")
    assert found.document == document()


def test_a_policy_survives_copying_and_the_way_between_processes() -> None:
    """It is its canonical form."""
    found = policy()
    for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert again == found
        assert again.services == found.services


def test_values_can_be_kept_in_sets() -> None:
    """Frozen values are hashable, texts or not."""
    assert len({policy().service("counter"), policy().service("counter"), policy().fallback}) == 2
