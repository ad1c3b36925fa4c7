"""What keeps the banner from showing a policy is found before a visitor comes."""

from __future__ import annotations

from consentkit.banner import check
from consentkit.policy import Policy
from tests.banner import world


def problems(**changes: object) -> list[tuple[str, object]]:
    """Check the policy with some members replaced; give where problems are and the offending values."""
    return [
        (problem.pointer, problem.value) for problem in check(Policy.from_dict(world.document(**changes)))
    ]


def test_a_policy_in_languages_with_texts_is_well() -> None:
    """Regions of a language too."""
    assert check(world.POLICY) == []
    changed = world.document(languages=["en", "fr", "en-GB"])
    changed["services"] = {}
    changed["categories"] = {"analytics": {}}
    for regime in changed["regimes"].values():
        regime["signals"] = {}
    changed["notice"] = {}
    assert check(Policy.from_dict(changed)) == []


def test_a_language_without_texts_is_a_problem() -> None:
    """With the place in the document, and the languages that there are."""
    changed = world.document(languages=["en", "tlh"], services={}, categories={"analytics": {}}, notice={})
    for regime in changed["regimes"].values():
        regime["signals"] = {}
    (problem,) = check(Policy.from_dict(changed))
    assert (problem.pointer, problem.value, problem.expected) == ("/languages/1", "tlh", "one of: en, fr")


def test_texts_that_cannot_be_seen_are_a_problem() -> None:
    """White space and invisible characters say nothing, wherever a visitor should read something."""
    nothing = "\u200b\u00a0"
    services = world.document()["services"]
    services["ads"]["provider"]["name"] = nothing
    services["counter"]["purposes"]["audience"] = {"en": nothing, "fr": "Compte."}
    services["counter"]["cookies"][0]["purpose"] = nothing
    notice = {"texts": {"en": {"implied": nothing, "x-note": nothing}}}
    assert sorted(problems(services=services, notice=notice)) == [
        ("/notice/texts/en/implied", nothing),
        ("/services/ads/provider/name", nothing),
        ("/services/counter/cookies/0/purpose", nothing),
        ("/services/counter/purposes/audience/en", nothing),
    ]


def test_a_fallback_weaker_than_opt_in_has_to_be_meant() -> None:
    """For the regime as a whole and for one category of it; with the flag, neither is a problem."""
    regimes = world.document()["regimes"]
    weaker = next(name for name, regime in regimes.items() if regime["model"] == "implied")
    opt_in = next(name for name, regime in regimes.items() if regime["model"] == "opt-in")
    assert problems(fallback={"regime": weaker}) == [("/fallback/regime", weaker)]
    assert problems(fallback={"regime": weaker, "allow_weaker": True}) == []
    assert problems(fallback={"regime": opt_in}) == []
    regimes[opt_in]["models"] = {"analytics": "opt-out"}
    assert problems(fallback={"regime": opt_in}, regimes=regimes) == [("/fallback/regime", opt_in)]
