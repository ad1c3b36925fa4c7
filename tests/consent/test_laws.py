"""The laws of consent, each once seen to fail on a broken copy of the code."""

from collections.abc import Callable
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consentkit.consent import (
    NOTHING,
    Answer,
    Basis,
    Control,
    Decisions,
    Event,
    Reason,
    Signals,
    Story,
)
from consentkit.errors import ConsentRequired, UnknownName
from consentkit.policy import Model, PolicyHistory
from tests.consent.worlds import (
    GROWN,
    HISTORY,
    HOUR,
    LONGER,
    MIXED,
    MOVED,
    NARROWER,
    NOW,
    PARTLY_IMPLIED,
    POLICY,
    REGIONS,
    WIDER,
    WIDER_ADS,
    after,
    answers,
    broken,
    decided,
    histories,
    notice,
    regions,
    signals,
    stories,
)

decision_module = import_module("consentkit.consent.decision")
resolve_module = import_module("consentkit.consent.resolve")

accept, refuse = Answer(Control.ACCEPT_ALL), Answer(Control.REFUSE_ALL)
NO_SIGNAL, GPC = Signals(), Signals(gpc=True)
Law = Callable[[Any, Any], None]
BELOW = (HISTORY, after(MIXED), after(PARTLY_IMPLIED))


def refusal_is_never_open(resolve: Any, decide: Any) -> None:
    """Nothing that a visitor refused is allowed, whatever was granted before, in any model and at any age."""

    @given(decided(), answers(Control.REFUSE_ALL), regions, histories, signals, st.integers(0, 3000))
    def law(before, answer, region, history, signal, days):
        outcome = decide(history, before, answer, history.current.regime_for(region), NOW)
        consent = resolve(history, region, outcome.decisions, signal, NOW + days * 24 * HOUR)
        told = history.current if answer.notice is None else history.find(answer.notice.policy)
        for category in outcome.asked:
            assert category not in consent.policy.category_ids or not consent.allows(category)
            for service in told.services_in(category):
                assert service.id not in consent.policy.service_ids or not consent.allows(service.id)

    law()


def refusing_all_covers_what_comes_later(resolve: Any, decide: Any) -> None:
    """A category added after everything was refused is refused too, where everything is allowed by default."""
    for region in REGIONS.values():
        refused = decide(HISTORY, NOTHING, refuse, POLICY.regime_for(region), NOW).decisions
        consent = resolve(after(GROWN), region, refused, NO_SIGNAL, NOW)
        assert not consent.allows("social")
        assert not consent.allows("chat")


def refusal_follows_a_moved_service(resolve: Any, decide: Any) -> None:
    """A service refused in one category stays refused in the category it moves to."""
    for region in REGIONS.values():
        rule = POLICY.regime_for(region)
        for first, then in ((refuse, Answer(Control.ACCEPT_ALL, ("preferences",))), (refuse, accept)):
            refused = decide(HISTORY, NOTHING, first, rule, NOW - HOUR).decisions
            later = decide(HISTORY, refused, then, rule, NOW).decisions
            consent = resolve(after(MOVED), region, later, NO_SIGNAL, NOW)
            if then.asked:
                assert consent.reason("heat") is Reason.REFUSED
        only = Answer(Control.REFUSE_ALL, ("analytics",))
        refused = decide(HISTORY, NOTHING, only, rule, NOW).decisions
        assert not resolve(after(MOVED), region, refused, NO_SIGNAL, NOW).allows("heat")


def refusal_of_a_moved_service_survives_what_is_answered_next(resolve: Any, decide: Any) -> None:
    """A service refused where it was stays refused after its old category is answered anew, either way."""
    only, history = ("analytics",), after(MOVED)
    for region in ("US-CA", "ZA"):
        rule = POLICY.regime_for(region)
        first = decide(HISTORY, NOTHING, Answer(Control.REFUSE_ALL, only), rule, NOW - HOUR).decisions
        for control in (Control.REFUSE_ALL, Control.ACCEPT_ALL):
            then = decide(history, first, Answer(control, only), rule, NOW).decisions
            assert resolve(history, region, then, NO_SIGNAL, NOW).reason("heat") is Reason.REFUSED


def a_signal_reaches_a_service_of_a_refused_category(resolve: Any, decide: Any) -> None:
    """A service granted by itself in a refused category does not survive the signal."""
    shown, choices = {"marketing": True, "ads": False}, {"marketing": False, "ads": True}
    answer = Answer(Control.SAVE, ("marketing",), choices, shown)
    decisions = decide(HISTORY, NOTHING, answer, POLICY.regime_for("US-CA"), NOW).decisions
    assert resolve(HISTORY, "US-CA", decisions, NO_SIGNAL, NOW).allows("ads")
    assert not resolve(HISTORY, "US-CA", decisions, GPC, NOW).allows("ads")


def a_signal_is_overridden_only_while_the_grant_holds(resolve: Any, decide: Any) -> None:
    """A grant made with the signal on show overrides it no longer once it is widened past, or expired."""
    answer = Answer(Control.ACCEPT_ALL, signal_shown=True, notice=notice())
    decisions = decide(HISTORY, NOTHING, answer, POLICY.regime_for("US-CA"), NOW).decisions
    assert resolve(HISTORY, "US-CA", decisions, GPC, NOW).allows("ads")
    assert resolve(after(WIDER_ADS), "US-CA", decisions, GPC, NOW).reason("ads") is Reason.SIGNAL
    assert resolve(HISTORY, "US-CA", decisions, GPC, NOW + 400 * 24 * HOUR).reason("ads") is Reason.SIGNAL


def refusing_everything_outlasts_a_stale_acceptance(resolve: Any, decide: Any) -> None:
    """Accepting all of an old policy's categories does not open those added since everything was refused."""
    rule, history = POLICY.regime_for("US-CA"), after(GROWN)
    refused = decide(HISTORY, NOTHING, refuse, rule, NOW - HOUR).decisions
    stale = Answer(Control.ACCEPT_ALL, notice=notice(Model.OPT_IN))
    accepted = decide(history, refused, stale, rule, NOW).decisions
    consent = resolve(history, "US-CA", accepted, NO_SIGNAL, NOW)
    assert consent.allows("analytics")
    assert not consent.allows("social")


def an_unsigned_refusal_reaches_exempt_ones_until_they_are_allowed(resolve: Any, decide: Any) -> None:
    """Accepting the other categories does not reopen an exempt one that was refused with everything."""
    blanket = Story(granted=False, basis=Basis.EXPRESS, time=NOW - HOUR, policy=POLICY.digest)
    unsigned = Decisions(blanket=blanket, blanket_exempt=True)
    some = Answer(Control.ACCEPT_ALL, ("marketing", "preferences"))
    then = decide(HISTORY, unsigned, some, POLICY.regime_for("IT"), NOW).decisions
    assert resolve(HISTORY, "IT", then, NO_SIGNAL, NOW).reason("analytics") is Reason.REFUSED


def a_toggle_shown_off_and_saved_off_refuses(resolve: Any, decide: Any) -> None:
    """Saving a toggle that the signal had turned off refuses it, so that it stays off without the signal."""
    off = {"marketing": False, "ads": False}
    answer = Answer(Control.SAVE, ("marketing",), off, off, notice=notice(Model.OPT_OUT))
    decisions = decide(HISTORY, NOTHING, answer, POLICY.regime_for("US-CA"), NOW).decisions
    assert not resolve(HISTORY, "US-CA", decisions, NO_SIGNAL, NOW).allows("ads")


def names_that_are_unknown_grant_nothing(resolve: Any, decide: Any) -> None:
    """An acceptance of names that the policy does not have grants nothing; a refusal refuses everything."""
    rule = POLICY.regime_for("FR")
    strange = Answer(Control.ACCEPT_ALL, ("nobody",))
    assert decide(HISTORY, NOTHING, strange, rule, NOW).event is None
    refused = decide(HISTORY, NOTHING, evolve(strange, control=Control.REFUSE_ALL), rule, NOW).decisions
    assert resolve(HISTORY, "US-CA", refused, NO_SIGNAL, NOW).granted == {"necessary"}


def a_longer_lifetime_revives_nothing(resolve: Any, decide: Any) -> None:
    """What has expired under the lifetimes it was given with does not return with a longer one."""
    granted = decide(HISTORY, NOTHING, accept, POLICY.regime_for("FR"), NOW).decisions
    later = NOW + 200 * 24 * HOUR
    assert not resolve(after(LONGER), "FR", granted, NO_SIGNAL, later).allows("ads")


def a_banner_asks_what_it_would_leave_on(resolve: Any, decide: Any) -> None:
    """Where a banner is shown anyway, it asks what is allowed by default too, so that refusing all does it."""
    consent = resolve(PolicyHistory(MIXED), "FR", NOTHING, NO_SIGNAL, NOW)
    assert consent.allows("preferences")
    assert set(consent.prompt) == {"analytics", "marketing", "preferences"}


def an_implied_grant_renews_what_an_express_one_no_longer_covers(resolve: Any, decide: Any) -> None:
    """A banner comes back after a widening and can be acknowledged, although there was an express grant."""
    granted = decide(HISTORY, NOTHING, accept, POLICY.regime_for("FR"), NOW - HOUR).decisions
    history = after(WIDER)
    assert resolve(history, "ZA", granted, NO_SIGNAL, NOW).prompt == ("analytics",)
    acknowledge = Answer(Control.ACKNOWLEDGE, ("analytics",))
    then = decide(history, granted, acknowledge, WIDER.regime_for("ZA"), NOW).decisions
    assert resolve(history, "ZA", then, NO_SIGNAL, NOW).prompt == ()


def adding_a_signal_never_grants(resolve: Any, decide: Any) -> None:
    """With the signal on, nothing is allowed that was denied with it off."""

    @given(decided(), regions, histories)
    def law(decisions, region, history):
        without = resolve(history, region, decisions, NO_SIGNAL, NOW)
        with_signal = resolve(history, region, decisions, GPC, NOW)
        for name in history.current.names:
            assert without.allows(name) or not with_signal.allows(name)

    law()


def signal_beats_what_was_granted_without_it(resolve: Any, decide: Any) -> None:
    """GPC denies marketing where it is honoured, unless marketing was expressly granted with it on show."""
    plain = decide(HISTORY, NOTHING, accept, POLICY.regime_for("FR"), NOW).decisions
    shown = decide(
        HISTORY, NOTHING, evolve(accept, signal_shown=True), POLICY.regime_for("FR"), NOW
    ).decisions
    for region in REGIONS.values():
        assert resolve(HISTORY, region, plain, GPC, NOW).reason("ads") is Reason.SIGNAL
        assert resolve(HISTORY, region, shown, GPC, NOW).allows("ads")
        assert resolve(HISTORY, region, plain, GPC, NOW).reason("clicks") is not Reason.SIGNAL


def acknowledged_never_counts_where_a_yes_is_needed(resolve: Any, decide: Any) -> None:
    """An implied banner acknowledged, or a toggle shown on and left alone, grants nothing under opt-in."""
    implied = notice(Model.IMPLIED)
    on = dict.fromkeys(("analytics", "marketing", "preferences"), True)
    for answer in (
        Answer(Control.ACKNOWLEDGE, notice=implied),
        Answer(Control.ACCEPT_ALL, notice=implied),
        Answer(Control.SAVE, choices=on, shown=on, notice=implied),
    ):
        decisions = decide(HISTORY, NOTHING, answer, POLICY.regime_for("ZA"), NOW).decisions
        assert not resolve(HISTORY, "FR", decisions, NO_SIGNAL, NOW).granted - {"necessary"}
        assert resolve(HISTORY, "ZA", decisions, NO_SIGNAL, NOW).allows("ads")


def asking_one_renews_no_other(resolve: Any, decide: Any) -> None:
    """An answer about one category leaves the stories of all others as they were."""

    @given(decided().filter(lambda d: not d.unreadable), answers(), regions)
    def law(before, answer, region):
        outcome = decide(HISTORY, before, answer, POLICY.regime_for(region), NOW)
        untouched = set(POLICY.category_ids) - set(outcome.asked)
        for category in untouched:
            old, new = before.categories.get(category), outcome.decisions.categories.get(category)
            assert (old is None) == (new is None)
            if old and new and old.granted:
                assert new == old

    law()


def widening_asks_exactly_what_widened(resolve: Any, decide: Any) -> None:
    """After a widening the widened categories are asked again, and nothing after a narrowing."""
    granted = decide(HISTORY, NOTHING, accept, POLICY.regime_for("FR"), NOW).decisions
    assert resolve(after(WIDER), "FR", granted, NO_SIGNAL, NOW).prompt == ("analytics",)
    assert resolve(after(NARROWER), "FR", granted, NO_SIGNAL, NOW).prompt == ()
    assert not resolve(after(WIDER), "FR", granted, NO_SIGNAL, NOW).allows("analytics")
    assert resolve(after(WIDER), "FR", granted, NO_SIGNAL, NOW).allows("marketing")


def necessary_is_always_granted(resolve: Any, decide: Any) -> None:
    """`necessary` is allowed, and for that reason, whatever else holds."""

    @given(decided(), regions, signals, histories)
    def law(decisions, region, signal, history):
        consent = resolve(history, region, decisions, signal, NOW)
        assert consent.allows("necessary")
        assert consent.reason("necessary") is Reason.NECESSARY

    law()


def unreadable_denies_everything_else(resolve: Any, decide: Any) -> None:
    """When something could not be read, nothing but `necessary` is allowed, and everything is asked."""

    @given(decided(), regions, signals, histories)
    def law(decisions, region, signal, history):
        consent = resolve(history, region, evolve(decisions, unreadable=True), signal, NOW)
        assert consent.granted == {"necessary"}
        assert set(consent.prompt) == set(history.current.category_ids)
        assert not any(consent.allows(name) for name in history.current.service_ids)

    law()


def unreadable_lasts_until_everything_is_answered(resolve: Any, decide: Any) -> None:
    """An answer that leaves anything open does not turn what was unreadable into the model's default."""

    @given(decided(), answers(), regions, st.booleans())
    def law(before, answer, region, grants):
        lost = evolve(before, unreadable=True)
        outcome = decide(HISTORY, lost, answer, POLICY.regime_for(region), NOW, grants=grants)
        consent = resolve(HISTORY, region, outcome.decisions, NO_SIGNAL, NOW)
        told = {c for c, story in outcome.decisions.categories.items() if story.granted}
        open_ones = {c for c in POLICY.category_ids if consent.reason(c) is Reason.DEFAULT}
        assert open_ones <= told

    law()


def a_service_is_not_granted_against_its_category(resolve: Any, decide: Any) -> None:
    """A service's own grant survives no newer refusal and no signal of its category."""

    @given(stories(granted=True), stories(granted=False), regions)
    def law(own, above, region):
        decisions = Decisions({"marketing": above}, {"ads": own})
        if above.time > own.time:
            assert not resolve(HISTORY, region, decisions, NO_SIGNAL, NOW).allows("ads")
        granted = Decisions({}, {"ads": evolve(own, signal_shown=own.basis is Basis.EXPRESS)})
        assert not resolve(HISTORY, region, granted, GPC, NOW).allows("ads")

    law()


def an_expired_grant_is_asked_again(resolve: Any, decide: Any) -> None:
    """A grant holds for the regime's lifetime to the millisecond, then falls back to the default."""
    lifetime = POLICY.regime_for("FR").consent_lifetime.total_seconds() * 1000
    granted = decide(HISTORY, NOTHING, accept, POLICY.regime_for("FR"), NOW).decisions
    end = NOW + int(lifetime)
    last = resolve(HISTORY, "FR", granted, NO_SIGNAL, end - 1)
    assert last.allows("ads")
    assert last.valid_until == end
    assert resolve(HISTORY, "FR", granted, NO_SIGNAL, end).reason("ads") is Reason.DEFAULT
    assert "marketing" in resolve(HISTORY, "FR", granted, NO_SIGNAL, end).prompt


def a_refusal_overridden_by_acknowledging_is_none(resolve: Any, decide: Any) -> None:
    """Acknowledging a banner does not undo a refusal, of a category or of a service in it."""
    rule = POLICY.regime_for("ZA")
    toggles = {"analytics": True, "heat": False, "clicks": True}
    shown = dict.fromkeys(("analytics", "marketing", "preferences", "heat", "clicks"), True)
    some = Answer(Control.SAVE, ("analytics",), toggles, shown, notice=notice(Model.IMPLIED))
    acknowledge = Answer(Control.ACKNOWLEDGE, notice=notice(Model.IMPLIED))
    one = decide(HISTORY, NOTHING, some, rule, NOW - HOUR).decisions
    one = decide(HISTORY, one, acknowledge, rule, NOW).decisions
    assert resolve(HISTORY, "ZA", one, NO_SIGNAL, NOW).reason("heat") is Reason.REFUSED
    every = decide(HISTORY, NOTHING, refuse, rule, NOW - HOUR).decisions
    every = decide(HISTORY, every, acknowledge, rule, NOW).decisions
    assert resolve(HISTORY, "ZA", every, NO_SIGNAL, NOW).granted == {"necessary"}
    part = Answer(Control.REFUSE_ALL, ("analytics",))
    part = decide(HISTORY, decide(HISTORY, NOTHING, part, rule, NOW - HOUR).decisions, acknowledge, rule, NOW)
    assert not resolve(HISTORY, "ZA", part.decisions, NO_SIGNAL, NOW).allows("analytics")
    blanket = Story(granted=False, basis=Basis.EXPRESS, time=NOW - HOUR, policy=POLICY.digest)
    unsigned = decide(HISTORY, Decisions(blanket=blanket), acknowledge, rule, NOW).decisions
    assert resolve(HISTORY, "ZA", unsigned, NO_SIGNAL, NOW).granted == {"necessary"}


def saving_what_is_shown_leaves_nothing_to_ask(resolve: Any, decide: Any) -> None:
    """Nor does accepting: whoever answers a notice is not shown it again, changed or not, in any model."""

    @given(
        decided(),
        st.sampled_from(BELOW),
        regions,
        signals,
        st.sampled_from((Control.SAVE, Control.ACCEPT_ALL)),
    )
    def law(before, history, region, signal, control):
        policy, shown = history.current, resolve(history, region, before, signal, NOW)
        every = {name: shown.allows(name) for name in policy.names - {"necessary"}}
        models = [shown.regime.model_for(category) for category in policy.category_ids]
        strictest = next(model for model in Model if model in models)
        answer = Answer(control, policy.category_ids, every, every, notice=notice(strictest, policy))
        after_it = decide(history, before, answer, shown.regime, NOW).decisions
        assert resolve(history, region, after_it, signal, NOW).prompt == ()

    law()


def a_grant_that_may_not_take_effect_changes_nothing(resolve: Any, decide: Any) -> None:
    """With grants off, an answer can only take away."""

    @given(decided(), answers(), regions, signals)
    def law(before, answer, region, signal):
        outcome = decide(HISTORY, before, answer, POLICY.regime_for(region), NOW, grants=False)
        old = resolve(HISTORY, region, before, signal, NOW)
        new = resolve(HISTORY, region, outcome.decisions, signal, NOW)
        assert not any(new.allows(name) and not old.allows(name) for name in POLICY.names)

    law()


def only_what_is_new_is_told(resolve: Any, decide: Any) -> None:
    """The same answer at the same moment records nothing new; neither does a refusal later that day."""

    @given(decided().filter(lambda d: not d.unreadable), regions)
    def law(before, region):
        rule = POLICY.regime_for(region)
        once = decide(HISTORY, before, refuse, rule, NOW)
        again = decide(HISTORY, once.decisions, refuse, rule, NOW + HOUR)
        assert again.event is None
        assert again.decisions == once.decisions

    law()


BROKEN: list[tuple[Law, str, str, str]] = [
    (
        refusal_is_never_open,
        "resolve",
        "return Reason.REFUSED, False\n        if self._signalled",
        "pass\n        if self._signalled",
    ),
    (
        refusal_is_never_open,
        "decision",
        "self._set(category, granted=False)\n\n    def _acknowledge",
        "self._set(category, granted=True)\n\n    def _acknowledge",
    ),
    (refusing_all_covers_what_comes_later, "decision", "self.blanket = self._story(granted=False)", "pass"),
    (
        refusal_follows_a_moved_service,
        "resolve",
        "if other != category and story.time > last",
        "if other == category and story.time > last",
    ),
    (
        refusal_follows_a_moved_service,
        "resolve",
        "            and self._was_in(service, category, story)\n",
        "",
    ),
    (adding_a_signal_never_grants, "resolve", "return Reason.SIGNAL, False", "return Reason.SIGNAL, True"),
    (
        signal_beats_what_was_granted_without_it,
        "resolve",
        "            and story.signal_shown\n",
        "",
    ),
    (
        acknowledged_never_counts_where_a_yes_is_needed,
        "resolve",
        "Model.OPT_IN: frozenset({Basis.EXPRESS})",
        "Model.OPT_IN: frozenset(Basis)",
    ),
    (
        acknowledged_never_counts_where_a_yes_is_needed,
        "decision",
        "if on and not was_on:\n            self._set(category",
        "if on:\n            self._set(category",
    ),
    (
        asking_one_renews_no_other,
        "decision",
        "for category in self.asked:\n            apply",
        "for category in self.policy.category_ids:\n            apply",
    ),
    (widening_asks_exactly_what_widened, "resolve", "and self.history.covers(story.policy, name)", ""),
    (
        necessary_is_always_granted,
        "resolve",
        'if category == "necessary":',
        'if category == "necessary" and not self.decisions.unreadable:',
    ),
    (
        unreadable_denies_everything_else,
        "resolve",
        "return Reason.UNREADABLE, False",
        "return Reason.UNREADABLE, category == 'analytics'",
    ),
    (
        unreadable_lasts_until_everything_is_answered,
        "decision",
        "unreadable=self.before.unreadable and self.blanket is None and bool(open_ones)",
        "unreadable=False",
    ),
    (
        a_service_is_not_granted_against_its_category,
        "resolve",
        "and above.time > own.time",
        "and above.time > own.time + 10**12",
    ),
    (an_expired_grant_is_asked_again, "resolve", "if self.now >= end:", "if self.now > end:"),
    (
        a_refusal_overridden_by_acknowledging_is_none,
        "decision",
        "own if blanket is None or (own is not None and own.time > blanket.time) else blanket",
        "own",
    ),
    (
        a_refusal_overridden_by_acknowledging_is_none,
        "decision",
        "if not stands and self.model is not",
        "if self.model is not",
    ),
    (
        a_grant_that_may_not_take_effect_changes_nothing,
        "decision",
        "self.services = {n: s for n, s in self.services.items() if not s.granted}",
        "pass",
    ),
    (
        saving_what_is_shown_leaves_nothing_to_ask,
        "decision",
        "if on and category not in self.categories:",
        "if False:",
    ),
    (
        saving_what_is_shown_leaves_nothing_to_ask,
        "decision",
        "(not old.granted or self._lasts(old, category))\n        if waits",
        "True\n        if waits",
    ),
    (only_what_is_new_is_told, "decision", "if _alike(before, after) and", "if before is after and"),
]
LAWS = list(dict.fromkeys(law for law, *_ in BROKEN))


@contextmanager
def quick():
    """Search enough to find a broken copy, and do not spend time on explaining it."""
    settings.register_profile(
        "quick",
        max_examples=400,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    before = settings.get_current_profile_name()
    settings.load_profile("quick")
    try:
        yield
    finally:
        settings.load_profile(before)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_holds(law: Law) -> None:
    """The law holds for the code as it is."""
    law(resolve_module.resolve, decision_module.decide)


@pytest.mark.parametrize(
    ("law", "where", "old", "new"), BROKEN, ids=[f"{b[0].__name__}-{i}" for i, b in enumerate(BROKEN)]
)
def test_law_fails_on_a_broken_copy(law: Law, where: str, old: str, new: str) -> None:
    """The law's test can fail: it does on a copy of the code with one place changed."""
    resolve, decide = resolve_module.resolve, decision_module.decide
    if where == "resolve":
        resolve = broken(resolve_module, old, new).resolve
    else:
        decide = broken(decision_module, old, new).decide
    with quick(), pytest.raises((AssertionError, ExceptionGroup)):
        law(resolve, decide)


shown_on = dict.fromkeys(("preferences", "analytics", "marketing"), True)
unchanged = Answer(Control.SAVE, (), shown_on, shown_on)
less = Answer(Control.SAVE, (), {**shown_on, "marketing": False}, shown_on)
EVENTS = [
    ((accept,), "FR", Event.GIVEN),
    ((refuse,), "FR", Event.REFUSED),
    ((refuse,), "US-CA", Event.OBJECTED),
    ((accept, refuse), "FR", Event.WITHDRAWN),
    ((refuse, accept), "FR", Event.GIVEN),
    ((accept, Answer(Control.REFUSE_ALL, ("marketing",))), "FR", Event.CHANGED),
    ((Answer(Control.ACKNOWLEDGE),), "ZA", Event.ACKNOWLEDGED),
    ((Answer(Control.ACKNOWLEDGE), refuse), "ZA", Event.WITHDRAWN),
    ((unchanged,), "ZA", Event.ACKNOWLEDGED),
    ((less,), "ZA", Event.OBJECTED),
    ((unchanged, less), "ZA", Event.CHANGED),
]


@pytest.mark.parametrize(("given_answers", "region", "event"), EVENTS)
def test_event_says_what_happened(given_answers, region, event) -> None:
    """The last answer's event is the one that a record tells."""
    before, rule = NOTHING, POLICY.regime_for(region)
    for hour, answer in enumerate(given_answers):
        outcome = decision_module.decide(HISTORY, before, answer, rule, NOW + hour * HOUR)
        before = outcome.decisions
    assert outcome.event is event


def test_unknown_names_are_errors_and_known_ones_never() -> None:
    """Asking for a name that the policy lacks raises, with the nearest name as its remedy."""
    consent = resolve_module.resolve(HISTORY, "FR", NOTHING, NO_SIGNAL, NOW)
    with pytest.raises(UnknownName, match="analytics"):
        consent.allows("analitics")
    with pytest.raises(UnknownName):
        consent.reason("nobody")
    with pytest.raises(ConsentRequired) as caught:
        consent.require("ads")
    assert (caught.value.name, caught.value.reason) == ("ads", "default")
    consent.require("necessary")


def test_what_a_policy_never_had_in_force_grants_nothing() -> None:
    """Stories under an unknown policy are total: a grant does not count, a refusal does."""
    strange = Story(granted=True, basis=Basis.EXPRESS, time=NOW, policy="f" * 64)
    decisions = Decisions({"analytics": strange, "marketing": evolve(strange, granted=False)})
    consent = resolve_module.resolve(HISTORY, "US-CA", decisions, NO_SIGNAL, NOW)
    assert consent.reason("analytics") is Reason.DEFAULT
    assert consent.reason("marketing") is Reason.REFUSED
    told = evolve(notice(), policy="e" * 64)
    outcome = decision_module.decide(
        HISTORY, NOTHING, evolve(accept, notice=told), POLICY.regime_for("FR"), NOW
    )
    assert outcome.event is None
    assert outcome.grants_dropped
    refused = decision_module.decide(
        HISTORY, NOTHING, evolve(refuse, notice=told), POLICY.regime_for("FR"), NOW
    )
    assert refused.event is Event.REFUSED


def test_exempt_is_allowed_until_objected_to() -> None:
    """An exempt category is allowed without asking, is not refused by refusing what was asked, and can be."""
    refused = decision_module.decide(
        HISTORY,
        NOTHING,
        Answer(Control.REFUSE_ALL, ("marketing", "preferences")),
        POLICY.regime_for("IT"),
        NOW,
    ).decisions
    consent = resolve_module.resolve(HISTORY, "IT", refused, NO_SIGNAL, NOW)
    assert consent.reason("analytics") is Reason.EXEMPT
    assert consent.prompt == ()
    objected = decision_module.decide(HISTORY, NOTHING, refuse, POLICY.regime_for("IT"), NOW).decisions
    assert (
        resolve_module.resolve(HISTORY, "IT", objected, NO_SIGNAL, NOW).reason("analytics") is Reason.REFUSED
    )
    assert resolve_module.resolve(HISTORY, "US-CA", refused, NO_SIGNAL, NOW).granted == {"necessary"}


def test_a_refusal_may_be_asked_again_after_its_time_and_stays_one() -> None:
    """Under opt-in the question comes back when the refusal's lifetime is over; elsewhere never."""
    refused = decision_module.decide(HISTORY, NOTHING, refuse, POLICY.regime_for("FR"), NOW).decisions
    much_later = NOW + 200 * 24 * HOUR
    again = resolve_module.resolve(HISTORY, "FR", refused, NO_SIGNAL, much_later)
    assert set(again.prompt) == set(POLICY.category_ids)
    assert again.granted == {"necessary"}
    assert resolve_module.resolve(HISTORY, "FR", refused, NO_SIGNAL, NOW + 24 * HOUR).prompt == ()
    assert resolve_module.resolve(HISTORY, "ZA", refused, NO_SIGNAL, much_later).prompt == ()


SAVES = [
    # choices, shown, allowed afterwards
    ({"analytics": True}, {}, {"analytics", "clicks", "heat"}),
    ({"analytics": True, "clicks": True, "heat": False}, {}, {"analytics", "clicks"}),
    ({"analytics": False, "clicks": True, "heat": False}, {}, {"clicks"}),
    ({"analytics": False, "clicks": False, "heat": False}, {}, set()),
]


@pytest.mark.parametrize(("choices", "shown", "allowed"), SAVES)
def test_saved_toggles_are_read_literally(choices, shown, allowed) -> None:
    """A service is allowed exactly if its own toggle was on; without one it follows its category."""
    answer = Answer(Control.SAVE, ("analytics",), choices, shown, notice=notice())
    decisions = decision_module.decide(HISTORY, NOTHING, answer, POLICY.regime_for("FR"), NOW).decisions
    consent = resolve_module.resolve(HISTORY, "FR", decisions, NO_SIGNAL, NOW)
    assert {name for name in ("analytics", "clicks", "heat") if consent.allows(name)} == allowed


def test_toggles_left_alone_keep_their_stories() -> None:
    """Saving the preferences as they are shown changes nothing, but for what is turned off."""
    rule = POLICY.regime_for("FR")
    before = decision_module.decide(HISTORY, NOTHING, accept, rule, NOW - HOUR).decisions
    names = ("analytics", "marketing", "preferences", "clicks", "heat", "ads", "theme")
    shown = dict.fromkeys(names, True)
    same = decision_module.decide(
        HISTORY, before, Answer(Control.SAVE, (), shown, shown, notice=notice()), rule, NOW
    )
    assert same.event is None
    less = decision_module.decide(
        HISTORY, before, Answer(Control.SAVE, (), {**shown, "heat": False}, shown, notice=notice()), rule, NOW
    )
    assert less.decisions.categories == before.categories
    assert set(less.decisions.services) == {"heat"}
    back = decision_module.decide(
        HISTORY,
        less.decisions,
        Answer(Control.SAVE, (), shown, {**shown, "heat": False}, notice=notice()),
        rule,
        NOW + HOUR,
    )
    assert resolve_module.resolve(HISTORY, "FR", back.decisions, NO_SIGNAL, NOW + HOUR).allows("heat")
