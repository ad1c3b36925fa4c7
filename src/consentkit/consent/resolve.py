"""What follows from a visitor's decisions for one request: pure, total, with a reason for every answer."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from attrs import evolve, field, frozen

from consentkit.consent.decision import MILLISECOND, Basis, Decisions, Story
from consentkit.consent.signals import Signals
from consentkit.errors import ConsentRequired, UnknownName
from consentkit.policy import Model, Policy, PolicyHistory, Regime

__all__ = ["SKEW", "Consent", "Reason", "merge", "resolve"]

SKEW: Final = 300_000
"""Milliseconds by which two honest clocks may differ."""

_ACCEPTED: Final[Mapping[Model, frozenset[Basis]]] = {
    Model.OPT_IN: frozenset({Basis.EXPRESS}),
    Model.OPT_OUT: frozenset({Basis.EXPRESS, Basis.ACKNOWLEDGED}),
    Model.IMPLIED: frozenset({Basis.EXPRESS, Basis.ACKNOWLEDGED}),
    Model.NOTICE: frozenset({Basis.EXPRESS, Basis.ACKNOWLEDGED}),
}


class Reason(StrEnum):
    """Why something is allowed or denied; the first that applies, in this order."""

    NECESSARY = "necessary"
    UNREADABLE = "unreadable"
    REFUSED = "refused"
    SIGNAL = "signal"
    EXEMPT = "exempt"
    GRANTED = "granted"
    DEFAULT = "default"


@frozen
class Consent:
    """What one request may do, per category and service, and why.

    `region` is as it was found (None if unknown) and `regime` the rule that followed. `prompt` names the
    categories to ask. `valid_until` is the time (UTC milliseconds) up to which nothing changes by itself.
    """

    policy: Policy
    regime: Regime
    region: str | None
    signals: Signals
    prompt: tuple[str, ...]
    valid_until: int
    _allowed: Mapping[str, bool] = field(repr=False)
    _reasons: Mapping[str, Reason]

    def allows(self, name: str) -> bool:
        """Tell whether a category or a service is allowed; UnknownName if the policy has neither."""
        try:
            return self._allowed[name]
        except KeyError:
            raise self._unknown(name) from None

    def reason(self, name: str) -> Reason:
        """Tell why a category or a service is allowed or denied; UnknownName if the policy has neither."""
        try:
            return self._reasons[name]
        except KeyError:
            raise self._unknown(name) from None

    def require(self, name: str) -> None:
        """Raise ConsentRequired unless the category or service is allowed."""
        if not self.allows(name):
            raise ConsentRequired(name, self._reasons[name].value)

    @property
    def needs_prompt(self) -> bool:
        """Whether the visitor must be shown a notice."""
        return bool(self.prompt)

    @property
    def granted(self) -> frozenset[str]:
        """The categories that are allowed, for whatever reason."""
        return frozenset(c.id for c in self.policy.categories if self._allowed[c.id])

    def _unknown(self, name: str) -> UnknownName:
        return UnknownName(name, self._allowed)


def resolve(
    history: PolicyHistory, region: str | None, decisions: Decisions, signals: Signals, now: int
) -> Consent:
    """Work out what a request may do.

    Pure and total: whatever the decisions hold, every category and service of the policy in force gets an
    answer and a reason. `region` is a code as `Policy.regime_for` takes it; `now` is UTC milliseconds.
    """
    policy = history.current
    resolver = _Resolver(history, policy.regime_for(region), decisions, signals, now)
    reasons: dict[str, Reason] = {}
    allowed: dict[str, bool] = {}
    for category in policy.categories:
        reason, allows = resolver.category(category.id)
        reasons[category.id], allowed[category.id] = reason, allows
    asked = tuple(c.id for c in policy.categories if resolver.asks(c.id, reasons[c.id]))
    # A notice that is shown anyway asks what is allowed by default as well, so that refusing all refuses it.
    also = {name for name, reason in reasons.items() if asked and reason is Reason.DEFAULT}
    prompt = tuple(c.id for c in policy.categories if c.id in asked or c.id in also)
    for service in policy.services:
        reason, allows = resolver.service(
            service.id, service.category, reasons[service.category], allows=allowed[service.category]
        )
        reasons[service.id], allowed[service.id] = reason, allows
    return Consent(policy, resolver.regime, region, signals, prompt, resolver.valid_until, allowed, reasons)


class _Resolver:
    """The ladder of reasons over one visitor's stories, noting when the next one will change."""

    __slots__ = ("decisions", "history", "now", "refusals", "regime", "signals", "valid_until")

    def __init__(
        self, history: PolicyHistory, regime: Regime, decisions: Decisions, signals: Signals, now: int
    ) -> None:
        self.history, self.regime, self.decisions = history, regime, decisions
        self.signals, self.now = signals, now
        self.refusals = [(name, story) for name, story in decisions.categories.items() if not story.granted]
        self.valid_until = now + 86_400_000

    def category(self, category: str) -> tuple[Reason, bool]:
        """Give the reason and the answer for one category."""
        if category == "necessary":
            return Reason.NECESSARY, True
        if self.decisions.unreadable:
            return Reason.UNREADABLE, False
        story = self._story(category)
        if story is not None and not story.granted:
            return Reason.REFUSED, False
        if self._signalled(category, story):
            return Reason.SIGNAL, False
        if category in self.regime.exempt:
            return Reason.EXEMPT, True
        model = self.regime.model_for(category)
        if story is not None and self._holds(story, category, model):
            return Reason.GRANTED, True
        return Reason.DEFAULT, model is not Model.OPT_IN

    def service(self, service: str, category: str, reason: Reason, *, allows: bool) -> tuple[Reason, bool]:
        """Give the reason and the answer for one service, given its category's."""
        if reason in (Reason.NECESSARY, Reason.UNREADABLE, Reason.SIGNAL):
            return reason, allows
        own = self.decisions.services.get(service)
        refused = self._refused(service, category, own)
        above = self._story(category)
        if own is not None and own.granted and refused < own.time and not self._signalled(category, above):
            newer_refusal = above is not None and not above.granted and above.time > own.time
            if not newer_refusal and self._holds(own, service, self.regime.model_for(category)):
                return Reason.GRANTED, True
        if refused >= 0 and not self._supersedes(above, refused, service, category):
            return Reason.REFUSED, False
        return reason, allows

    def asks(self, category: str, reason: Reason) -> bool:
        """Tell whether a category must be asked: never once refused, but where only a yes allows anything."""
        model = self.regime.model_for(category)
        if reason is Reason.UNREADABLE:
            return True
        if reason is Reason.DEFAULT:
            return model is not Model.OPT_OUT
        if reason is not Reason.REFUSED or model is not Model.OPT_IN:
            return False
        story = self._story(category)
        rest = max(self.regime.refusal_lifetime, self.regime.reprompt_interval)
        return story is not None and self._over(story, rest // MILLISECOND)

    def _signalled(self, category: str, story: Story | None) -> bool:
        """Whether the signal denies a category: unless it was granted, and still is, with the signal on show."""
        if not (self.signals.gpc and category in self.regime.gpc):
            return False
        return not (
            story is not None
            and story.granted
            and story.signal_shown
            and story.basis is Basis.EXPRESS
            and self._holds(story, category, self.regime.model_for(category))
        )

    def _story(self, category: str) -> Story | None:
        """The newest decision about a category; a refusal of everything counts where it reaches."""
        own, blanket = self.decisions.categories.get(category), self.decisions.blanket
        if blanket is None or not self._reaches(category):
            return own
        return own if own is not None and own.time > blanket.time else blanket

    def _refused(self, service: str, category: str, own: Story | None) -> int:
        """When a service was last refused: by name, with everything, or in a category it left; -1: never."""
        last = -1 if own is None or own.granted else own.time
        if self.decisions.blanket is not None and self._reaches(category):
            last = max(last, self.decisions.blanket.time)
        for other, story in self.refusals:
            if other != category and story.time > last and self._was_in(service, other, story):
                last = story.time
        return last

    def _was_in(self, service: str, category: str, story: Story) -> bool:
        """Whether the policy that a story was told under had the service in that category."""
        told = self.history.find(story.policy)
        return told is not None and _home(told, service) == category

    def _supersedes(self, story: Story | None, refused: int, service: str, category: str) -> bool:
        """Whether a category's grant is a later and express answer that spoke of the refused service too."""
        return (
            story is not None
            and story.granted
            and story.basis is Basis.EXPRESS
            and story.time > refused
            and self._was_in(service, category, story)
        )

    def _reaches(self, category: str) -> bool:
        """Whether a refusal of everything reaches the category; exempt ones were not asked."""
        return self.decisions.blanket_exempt or category not in self.regime.exempt

    def _holds(self, story: Story, name: str, model: Model) -> bool:
        """Whether a grant counts: on a basis that the model accepts, not expired, and still covered."""
        return (
            story.basis in _ACCEPTED[model]
            and self.history.covers(story.policy, name)
            and not self._over(story, self._lifetime(story))
        )

    def _lifetime(self, story: Story) -> int:
        """How long a grant lasts: as this regime says, and no longer than any said when it was given."""
        lifetime, told = self.regime.consent_lifetime, self.history.find(story.policy)
        if told is not None and told is not self.history.current:
            lifetime = min(lifetime, max(regime.consent_lifetime for regime in told.regimes))
        return lifetime // MILLISECOND

    def _over(self, story: Story, lifetime: int) -> bool:
        end = story.time + lifetime
        if self.now >= end:
            return True
        self.valid_until = min(self.valid_until, end)
        return False


def _home(policy: Policy, service: str) -> str | None:
    """The category that a policy has a service in; None if it has no such service."""
    return policy.service(service).category if service in policy.service_ids else None


def merge(history: PolicyHistory, cookie: Decisions, account: Decisions) -> Decisions:
    """Merge what a cookie and an account say: the newer decision wins per category and service.

    Times within 300 s tie, and a refusal wins a tie. Whatever was unreadable on one side stays so.
    """
    sides = (cookie, account)
    names = sorted({name for side in sides for name in side.categories})
    categories = {name: _newer([_effective(side, name) for side in sides]) for name in names}
    services = {
        name: _newer([_service_story(history, side, other, name) for side, other in (sides, sides[::-1])])
        for name in sorted({name for side in sides for name in side.services})
    }
    blankets = [side.blanket for side in sides if side.blanket is not None]
    return Decisions(
        categories={name: story for name, story in categories.items() if story is not None},
        services={name: story for name, story in services.items() if story is not None},
        blanket=max(blankets, key=lambda story: story.time, default=None),
        blanket_exempt=any(side.blanket_exempt for side in sides),
        unreadable=any(side.unreadable for side in sides),
    )


def _effective(side: Decisions, category: str) -> Story | None:
    own, blanket = side.categories.get(category), side.blanket
    if own is None or (blanket is not None and blanket.time >= own.time):
        return blanket
    return own


def _service_story(history: PolicyHistory, side: Decisions, other: Decisions, name: str) -> Story | None:
    """One side's story of a service, unless the other refused its category at about that time or later."""
    story = side.services.get(name)
    if story is None or not story.granted:
        return story
    told = history.find(story.policy)
    category = _home(told, name) if told else None
    above = _effective(other, category) if category else other.blanket
    # What both sides carry is of one history, where the sequence decides; otherwise a refusal wins a tie.
    since = story.time + 1 if other.services.get(name) == story else story.time - SKEW
    refused = above is not None and not above.granted and above.time >= since
    return None if refused else story


def _newer(stories: list[Story | None]) -> Story | None:
    known = sorted((story for story in stories if story is not None), key=lambda story: story.time)
    if not known:
        return None
    newest = known[-1]
    refusals = [s for s in known if not s.granted and newest.time - s.time <= SKEW]
    if newest.granted and refusals:
        return evolve(refusals[-1], time=newest.time)
    return newest
