"""The policies that ship as examples are valid and do what they are there to show."""

from pathlib import Path

import pytest

from consentkit.policy import GROUPS, Model, Policy
from tests.support import ROOT

FOLDER = ROOT / "examples" / "policies"
PATHS = sorted(FOLDER.glob("*.json"))


def load(name: str) -> Policy:
    """Return the example called `name`."""
    return Policy.load(FOLDER / f"{name}.json")


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_an_example_is_valid_and_complete(path: Path) -> None:
    """Two languages, texts of its own for every service, and a basis for every regime."""
    found = Policy.load(path)
    assert set(found.languages) == {"en", "fr"}
    assert all(service.title and service.purposes for service in found.services)
    assert all("x-basis" in regime for regime in found.document["regimes"].values())
    assert found.fallback.model is Model.OPT_IN


def test_there_are_a_blog_a_newspaper_and_a_site_with_analytics_only() -> None:
    """Three to start from."""
    assert [path.stem for path in PATHS] == ["analytics-only", "news-site", "small-blog"]


@pytest.mark.parametrize(
    ("region", "model", "signal"),
    [
        ("FR", Model.OPT_IN, False),
        ("GB", Model.OPT_IN, False),
        ("CH", Model.OPT_IN, False),
        ("CA-QC", Model.OPT_IN, False),
        ("KR", Model.OPT_IN, False),
        ("US-CA", Model.OPT_OUT, True),
        ("US-TX", Model.OPT_OUT, True),
        ("US-NY", Model.IMPLIED, True),
        ("JP", Model.IMPLIED, True),
        ("ZA", Model.OPT_IN, False),
        (None, Model.OPT_IN, False),
    ],
)
def test_the_newspaper_asks_as_each_region_demands(region: str | None, model: Model, signal: bool) -> None:
    """Opt-in in Europe and where nothing is known, opt-out with the signal where it is a duty, else implied."""
    regime = load("news-site").regime_for(region)
    assert regime.model is model
    assert ("marketing" in regime.gpc) == signal


def test_the_newspaper_declares_what_it_sets() -> None:
    """Analytics, advertising and preference cookies, and the host of an embedded player."""
    found = load("news-site")
    owners = {
        name: found.service_for_cookie(name) for name in ("_pc_id", "adnet_uid", "adnet_x", "reader_theme")
    }
    assert {name: owner and owner.id for name, owner in owners.items()} == {
        "_pc_id": "pagecount",
        "adnet_uid": "adnet",
        "adnet_x": "adnet",
        "reader_theme": "reader",
    }
    assert found.service("adnet").hosts == ("ads.example.net",)
    assert found.service("clipview").hosts == ("widgets.example.net",)
    assert [found.service(name).category for name in ("pagecount", "adnet", "clipview", "reader")] == [
        "analytics",
        "marketing",
        "marketing",
        "preferences",
    ]


def test_the_newspaper_keeps_no_refusal_shorter_than_a_consent() -> None:
    """And does not ask again before a year is over where the law says so."""
    for regime in load("news-site").regimes:
        assert regime.refusal_lifetime >= regime.consent_lifetime
    assert load("news-site").regime_for("US-CA").reprompt_interval.days > 366


def test_the_museum_claims_its_exemption_in_france_alone() -> None:
    """France overseas included, which location databases tell apart."""
    found = load("analytics-only")
    exempt = {region for region in GROUPS["EEA"] | {"GB", "CH"} if found.regime_for(region).exempt}
    assert exempt == {"FR", "GF", "GP", "MF", "MQ", "RE", "YT"}


def test_the_blog_asks_everybody_alike() -> None:
    """One regime, and a category of its own."""
    found = load("small-blog")
    assert {found.regime_for(region).id for region in ("FR", "US-CA", "JP", None)} == {"everywhere"}
    assert found.category_ids == ("analytics", "comments")
