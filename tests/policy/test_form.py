"""What is wrong with a policy's form is told in sentences: where, what, and what would be right."""

import subprocess
import sys
from typing import Any

import pytest

from consentkit.errors import PolicyError, Problem
from consentkit.policy import Policy
from tests.policy.documents import both, document, policy, problem, problems, put

COOKIE = "/services/counter/cookies/0"
EMPTY = "this is empty or too short"
FORM = "this is not in the right form"
KINDS = "this is not one of the values there are"
NAME = "this cannot be a name here"
STRANGE = "there is no such property here"

CASES: list[tuple[str, Any, str, str]] = [
    ("/version", ..., "this is missing", "letters, digits and . _ : / + = -, at most 256, without spaces"),
    ("/controller", ..., "this is missing", "who is responsible for the site (GDPR Article 4(7))"),
    ("/records", ..., "this is missing", "the evidence that is kept of decisions"),
    (
        "/fallback",
        ...,
        "this is missing",
        "the rule for visitors whose region is unknown or named by no regime",
    ),
    ("/services/adnet/category", ..., "this is missing", "an id: a small letter"),
    ("/schema", "consentkit-policy/2", "only one value is possible here", '"consentkit-policy/1"'),
    ("/version", "1 beta", FORM, '"1-beta" (letters, digits'),
    ("/version", "1\n", FORM, '"1" (letters, digits'),
    ("/version", "v" * 257, FORM, "at most 256"),
    ("/version", 2, "this must be text, not a number", "letters, digits and . _ : / + = -"),
    ("/version", None, "this must be text, not null", "letters, digits and . _ : / + = -"),
    ("/controller/country", "ie", FORM, '"IE" (two capital letters of ISO 3166-1, such as "FR")'),
    ("/controller/country", "Ireland", FORM, "two capital letters of ISO 3166-1"),
    ("/controller/contact", "call us", FORM, "a mail address or an address that starts with https://"),
    (
        "/controller/privacy_policy",
        "javascript:alert(1)",
        FORM,
        "an address that starts with https:// or a path",
    ),
    ("/controller/privacy_policy", "//evil.example", FORM, "an address that starts with https:// or a path"),
    ("/controller/privacy_policy", "/\\evil.example", FORM, "an address that starts with https:// or a path"),
    ("/controller/name", " ", FORM, "some text"),
    ("/controller/name", "n" * 201, "this is too long, with 201", "at most 200"),
    ("/controller/adress", "Cork", STRANGE, '"address" (one of "name", "country"'),
    ("/controller/phone", "1", STRANGE, 'one of "name", "country", "contact", "privacy_policy", "address"'),
    ("/languages", "en", "this must be a list, not text", "a list"),
    ("/languages", [], EMPTY, "at least one entry"),
    ("/languages/1", "français", FORM, 'a language tag such as "en" or "fr-CA"'),
    ("/languages/-", "en", "this is there already, as entry 0", "each entry once"),
    ("/categories", [], "this must be an object, not a list", "an object"),
    ("/categories/My Ads", {}, NAME, '"my-ads" (an id: a small letter'),
    (
        "/categories/analytics/title",
        True,
        "this must be text or an object, not true",
        "some text, or an object such as",
    ),
    ("/categories/analytics/title", {}, EMPTY, "some text, or an object such as"),
    (
        "/categories/analytics/title",
        {"en": "A", "fr": "A", "de_AT": "A"},
        NAME,
        'a language tag such as "en"',
    ),
    ("/services/adnet/purposes", {}, EMPTY, "at least one entry"),
    ("/services/adnet/legal_basis", "consnt", KINDS, '"consent" (one of "consent", "legitimate_interest"'),
    ("/services/adnet/hosts", ["https://Ads.example.net/x"], FORM, '"ads.example.net" (a host such as'),
    ("/services/adnet/hosts", ["ads.example.net:443"], FORM, "without https:// or a path"),
    ("/services/adnet/mappings", {"google_consent_mode": ["ads_storage"]}, KINDS, '"ad_storage"'),
    (
        "/services/adnet/mappings",
        {"tcf_purposes": [12]},
        "this number is out of range",
        "a whole number from 1 to 11",
    ),
    (
        "/services/adnet/mappings",
        {"tcf_purposes": [0]},
        "this number is out of range",
        "a whole number from 1 to 11",
    ),
    (
        "/services/adnet/mappings",
        {"tcf_purposes": [1.5]},
        "this must be a whole number, not a number",
        "a whole number",
    ),
    (
        "/services/adnet/mappings",
        {"tcf_purposes": [1, 1.0]},
        "this is there already, as entry 0",
        "each entry once",
    ),
    (f"{COOKIE}/name", "*", FORM, 'a cookie name such as "_pc_id" or a pattern such as "_pc_*"'),
    (f"{COOKIE}/name", "a;b", FORM, "a cookie name such as"),
    (f"{COOKIE}/lifetime", ..., "this is missing", '"session" or a duration such as "13 months" or "1 day"'),
    (f"{COOKIE}/lifetime", "13months", FORM, '"13 months" ("session" or a duration'),
    (f"{COOKIE}/lifetime", "Session", FORM, '"session" ("session" or a duration'),
    (f"{COOKIE}/lifetime", "100 years", FORM, "a duration such as"),
    (f"{COOKIE}/lifetime", "0 days", FORM, "a duration such as"),
    (f"{COOKIE}/partitioned", 1, "this must be true or false, not a number", "true or false"),
    (f"{COOKIE}/party", "frist", KINDS, '"first" (one of "first", "third")'),
    (f"{COOKIE}/path", "/a;b", FORM, "a path that starts with / and has no semicolon"),
    (f"{COOKIE}/domain", "Example.com", FORM, '"example.com" (a domain such as'),
    ("/services/counter/storage/0/kind", "localStorage", KINDS, '"local"'),
    ("/regimes", {}, EMPTY, "at least one entry"),
    ("/regimes/us/model", "opt_out", KINDS, '"opt-out" (one of "opt-in", "opt-out", "implied", "notice")'),
    ("/regimes/us/model", False, "this is not one of the values there are", 'one of "opt-in"'),
    ("/regimes/us/consent_lifetime", "session", FORM, 'a duration such as "6 months" or "1 day"'),
    ("/regimes/us/refusal_lifetime", 180, "this must be text, not a number", 'a duration such as "6 months"'),
    ("/regimes/us/models/analytics", "optin", KINDS, '"opt-in"'),
    ("/regimes/us/signals/dnt", [], STRANGE, '"gpc"'),
    ("/notice", {"layout": "popup"}, KINDS, 'one of "bar", "box", "dialog", "inline"'),
    ("/notice", {"texts": {"en": {"optin": "x"}}}, STRANGE, '"opt-in"'),
    ("/records/retention", "5y", FORM, 'a duration such as "6 months"'),
    ("/records/optional_fields", {"ip": ""}, EMPTY, "some text"),
    ("/enforcement", {"undeclared": "warn"}, KINDS, 'one of "report", "block", "allow"'),
    ("/enforcement", {"csp": "report"}, KINDS, '"off"'),
]


@pytest.mark.parametrize(("pointer", "value", "message", "expected"), CASES)
def test_a_fault_of_form_is_told_with_what_would_be_right(
    pointer: str, value: Any, message: str, expected: str
) -> None:
    """The pointer leads to the fault or into what was put there."""
    found = next(one for one in problems(document(put(pointer, value))) if one.message == message)
    assert found.pointer.startswith(pointer.removesuffix("/-"))
    assert expected in found.expected


@pytest.mark.parametrize(
    "pointer", ["", "/controller", "/categories", "/services/counter", f"{COOKIE}", "/records"]
)
def test_remarks_are_welcome_in_every_object(pointer: str) -> None:
    """They change the digest and nothing else."""
    marked = policy(put(f"{pointer}/x-remark", [{"any": None}]))
    assert marked != policy()
    assert (marked.categories, marked.services) == (policy().categories, policy().services)


def test_a_remark_among_names_is_not_taken_for_one() -> None:
    """`x-old` in categories is no category."""
    marked = policy(
        both(put("/categories/x-old", 1), put("/services/x-old", 1), put("/regimes/us/models/x-why", 1)),
    )
    assert marked.names == policy().names
    assert marked.regimes == policy().regimes


def test_a_misspelt_name_is_told_once() -> None:
    """That the right one is missing follows."""
    found = problem(both(put("/records/retenton", "5 years"), put("/records/retention", ...)))
    assert found == Problem(
        "/records/retenton",
        "retenton",
        "there is no such property here",
        '"retention" (one of "retention", "optional_fields"); the site\'s own start with x-',
    )


def test_everything_that_is_wrong_is_told_at_once_in_the_documents_order() -> None:
    """Faults of form do not hide disagreements elsewhere, and cause none."""
    found = problems(
        document(
            both(
                put("/controller/country", "UK"),
                put("/services/counter/cookies/0/lifetime", 13),
                put("/services/counter/category", "analytic"),
                put("/regimes/us/regions/1", "FR-"),
                put("/fallback/regime", "usa"),
            )
        )
    )
    assert [one.pointer for one in found] == [
        "/controller/country",
        "/services/counter/category",
        "/services/counter/cookies/0/lifetime",
        "/regimes/us/regions/1",
        "/fallback/regime",
    ]


def test_a_part_that_is_malformed_still_gives_its_name() -> None:
    """Services in a category that is written wrong are not said to be in none."""
    assert [one.pointer for one in problems(document(put("/categories/analytics", "yes")))] == [
        "/categories/analytics"
    ]


def test_a_pointer_escapes_what_a_pointer_must() -> None:
    """RFC 6901 section 3."""
    found = problems(document(put("/categories", {"analytics": {}, "marketing": {}, "a/b~c": {}})))
    assert found[0].pointer == "/categories/a~1b~0c"


def test_an_error_reads_as_a_list() -> None:
    """One line for each problem, the value shortened to fit."""
    with pytest.raises(PolicyError) as refusal:
        Policy.from_dict(document(both(put("/version", "a b" * 50), put("/controller/country", "UK"))))
    lines = str(refusal.value).splitlines()
    assert lines[0] == "the policy has 2 problems:"
    assert lines[1].startswith('/version: this is not in the right form, found "a ba ba b')
    assert len(lines[1]) < 230
    assert lines[2] == '/controller/country: no country has this code, found "UK"; expected GB'


def test_form_is_checked_without_fetching_and_loaded_only_then() -> None:
    """`import consentkit.policy` leaves jsonschema alone; the first check brings it in."""
    program = (
        "import sys, consentkit.policy as p; early = 'jsonschema' in sys.modules\n"
        "try: p.Policy.from_dict({})\n"
        "except Exception: print(early, 'jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
