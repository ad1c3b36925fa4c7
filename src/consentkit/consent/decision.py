"""What a visitor chose, per category and service, and how a new answer changes it.

Each category and each service that differs from its category carries a *story* of its own: granted or
refused, on which basis, when, under which policy. An answer writes new stories only for what it asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import evolve, field, frozen

from consentkit.policy import Model, Policy, PolicyHistory, Regime

__all__ = [
    "DAY",
    "MILLISECOND",
    "NOTHING",
    "Answer",
    "Basis",
    "Control",
    "Decisions",
    "Event",
    "NoticeRef",
    "Outcome",
    "Story",
    "decide",
    "end_of_day",
    "settle",
]

DAY: Final = 86_400_000
"""Milliseconds of a UTC day."""


MILLISECOND: Final = timedelta(milliseconds=1)
"""What a duration is divided by to be added to a time."""


class Basis(StrEnum):
    """What a decision rests on."""

    EXPRESS = "express"
    """A positive act: GDPR article 4(11)."""
    ACKNOWLEDGED = "acknowledged"
    """An implied banner was acknowledged; no consent where the law asks for opt-in."""
    SIGNAL = "signal"
    """The browser's own signal, recorded for an account."""


class Control(StrEnum):
    """The control of a notice that was used."""

    ACCEPT_ALL = "accept"
    REFUSE_ALL = "refuse"
    ACKNOWLEDGE = "acknowledge"
    SAVE = "save"


class Event(StrEnum):
    """What a record says happened."""

    GIVEN = "given"
    REFUSED = "refused"
    CHANGED = "changed"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    ACKNOWLEDGED = "acknowledged"
    SIGNAL = "signal"
    LINKED = "linked"


@frozen
class Story:
    """One decision about one category or service.

    `time` is UTC milliseconds. With `day` only the day is known and `time` is its last millisecond.
    `policy` is the digest of the policy that the visitor was shown.
    """

    granted: bool
    basis: Basis
    time: int
    policy: str
    signal_shown: bool = False
    day: bool = False


@frozen
class Decisions:
    """All that is known of one visitor's choices.

    `blanket` is a refusal of everything, categories added later included; `blanket_exempt` says that it also
    reaches categories which a regime exempts. `unreadable` says that something was there and could not be
    used: then nothing but `necessary` is allowed until the visitor has answered again.
    """

    categories: Mapping[str, Story] = field(factory=lambda: MappingProxyType({}))
    services: Mapping[str, Story] = field(factory=lambda: MappingProxyType({}))
    blanket: Story | None = None
    blanket_exempt: bool = False
    unreadable: bool = False

    def stories(self) -> Iterable[Story]:
        """Yield every story, in no particular order."""
        yield from self.categories.values()
        yield from self.services.values()
        if self.blanket is not None:
            yield self.blanket

    @property
    def grants(self) -> bool:
        """Whether anything at all is granted, valid by now or not."""
        for stories in (self.categories, self.services):
            for story in stories.values():
                if story.granted:
                    return True
        return self.blanket is not None and self.blanket.granted


_UNTIL_ACKNOWLEDGED: Final = (Model.IMPLIED, Model.NOTICE)
"""The models under which a banner stays until it is acknowledged."""
_OPEN: Final = Story(granted=True, basis=Basis.EXPRESS, time=0, policy="")

NOTHING: Final = Decisions()
"""A visitor of whom nothing is known."""


@frozen
class NoticeRef:
    """The notice that a visitor answered: what its digest stands for."""

    digest: str
    policy: str
    language: str
    model: Model
    layout: str
    template: str


@frozen
class Answer:
    """What a visitor posted, or what code says on a visitor's behalf.

    `asked` are the categories that the notice asked. `choices` are the toggles that the form had, by category
    or service, and `shown` how each was shown; both matter to `Control.SAVE` alone. Without a `notice`, the
    policy in force is what the visitor was told.
    """

    control: Control
    asked: tuple[str, ...] = ()
    choices: Mapping[str, bool] = field(factory=lambda: MappingProxyType({}))
    shown: Mapping[str, bool] = field(factory=lambda: MappingProxyType({}))
    signal_shown: bool = False
    notice: NoticeRef | None = None
    method: str = "code"


@frozen
class Outcome:
    """What an answer changed: the new decisions, and the stories that a record must tell.

    `event` is None when nothing is new. `grants_dropped` says that the answer granted something which could
    not take effect: its notice or policy was never published, or it could not be recorded.
    """

    decisions: Decisions
    event: Event | None
    categories: Mapping[str, Story]
    services: Mapping[str, Story]
    asked: tuple[str, ...]
    grants_dropped: bool = False

    @property
    def grants(self) -> bool:
        """Whether a record of it grants anything."""
        return any(story.granted for story in (*self.categories.values(), *self.services.values()))


def end_of_day(time: int) -> int:
    """Give the last millisecond of the UTC day that holds `time`."""
    return time - time % DAY + DAY - 1


def decide(
    history: PolicyHistory,
    before: Decisions,
    answer: Answer,
    regime: Regime,
    now: int,
    *,
    grants: bool = True,
    recorded_grant: bool = False,
) -> Outcome:
    """Apply an answer to what was decided before.

    The basis follows from the notice's model and from the control used, never from the region at posting.
    With `grants=False` only refusals take effect, as they always do, however old the page they come from.
    `recorded_grant` says that the last record of this visitor grants something, although nothing does here:
    then a refusal withdraws it, and is new even if it changes nothing. Within one history the sequence
    decides, so a new story is always dated after the older ones.
    """
    told = _told(history, answer)
    work = _Work(history, told or history.current, before, answer, regime=regime, now=now)
    work.run()
    decisions = work.decisions()
    dropped = work.has_grants() and (not grants or told is None or decisions.unreadable)
    if dropped:
        work.drop_grants()
        decisions = work.decisions()
    after = settle(decisions, now)
    if _alike(before, after) and not (recorded_grant and work.new() and not after.grants):
        return Outcome(before, None, {}, {}, work.asked, dropped)
    event = _event(before.grants or recorded_grant, after, work)
    return Outcome(after, event, *work.told(after), work.asked, dropped)


def _told(history: PolicyHistory, answer: Answer) -> Policy | None:
    """The policy that the visitor was told of; None when it was never in force here."""
    return history.current if answer.notice is None else history.find(answer.notice.policy)


class _Work:
    """One answer being applied: the new stories by category and service, and the blanket refusal."""

    def __init__(
        self,
        history: PolicyHistory,
        policy: Policy,
        before: Decisions,
        answer: Answer,
        *,
        regime: Regime,
        now: int,
    ) -> None:
        self.history, self.policy, self.before, self.answer = history, policy, before, answer
        self.regime, self.now = regime, now
        self.time = max([now, *(story.time + 1 for story in before.stories() if not story.day)])
        self.model = answer.notice.model if answer.notice else regime.model
        self.asked = self._asked()
        self.categories: dict[str, Story] = {}
        self.services: dict[str, Story] = {}
        self.forget: set[str] = set()  # services whose own story gives way to their category's new one
        self.blanket = before.blanket
        self._stories: dict[tuple[bool, Basis], Story] = {}

    def _asked(self) -> tuple[str, ...]:
        """The categories that the answer speaks of; one that names none, or only unknown ones, refuses all."""
        every, answer = self.policy.category_ids, self.answer
        asked = tuple(c for c in every if c in answer.asked)
        # After something unreadable nothing is known any more, so every category needs an answer.
        whole = self.before.unreadable or not answer.asked or answer.control is Control.REFUSE_ALL
        return every if self.before.unreadable or (whole and not asked) else asked

    def run(self) -> None:
        """Write the new stories that the control used calls for."""
        apply = {
            Control.ACCEPT_ALL: self._accept,
            Control.REFUSE_ALL: self._refuse,
            Control.ACKNOWLEDGE: self._acknowledge,
            Control.SAVE: self._save,
        }[self.answer.control]
        for category in self.asked:
            apply(category)
        self._set_blanket()

    def has_grants(self) -> bool:
        """Whether any new story grants something."""
        return any(story.granted for story in self.new())

    def new(self) -> tuple[Story, ...]:
        """Give the new stories."""
        return (*self.categories.values(), *self.services.values())

    def drop_grants(self) -> None:
        """Keep the refusals among the new stories, and leave what was to be granted as it was."""
        dropped = {c for c, story in self.categories.items() if story.granted}
        self.forget -= {s.id for c in dropped for s in self.policy.services_in(c)}
        self.categories = {c: s for c, s in self.categories.items() if not s.granted}
        self.services = {n: s for n, s in self.services.items() if not s.granted}
        self.blanket = self.blanket or self.before.blanket

    def decisions(self) -> Decisions:
        """Lay the new stories over the old ones; what was unreadable keeps its refusals alone."""
        old = _refusals(self.before) if self.before.unreadable else self.before
        categories = {**old.categories, **self.categories}
        services = {n: s for n, s in old.services.items() if n not in self.forget}
        services |= {n: s for n, s in self._moved() if n not in services or services[n].time < s.time}
        open_ones = {*self.asked, *self.history.current.category_ids} - categories.keys()
        return Decisions(
            categories=categories,
            services={**services, **self.services},
            blanket=self.blanket,
            blanket_exempt=self.before.blanket_exempt and self.blanket is not None,
            unreadable=self.before.unreadable and self.blanket is None and bool(open_ones),
        )

    def _moved(self) -> Iterator[tuple[str, Story]]:
        """Give refusals of services that have left a category since, where the category's story is replaced."""
        for category in self.categories:
            old = self.before.categories.get(category)
            told = self.history.find(old.policy) if old is not None and not old.granted else None
            if old is not None and told is not None and category in told.category_ids:
                here = {service.id for service in self.policy.services if service.category == category}
                yield from ((s.id, old) for s in told.services_in(category) if s.id not in here)

    def told(self, after: Decisions) -> tuple[dict[str, Story], dict[str, Story]]:
        """Give what a record tells: the stories of the categories asked and of their differing services."""
        asked = [c for c in self.asked if c in after.categories]
        services = [s.id for c in self.asked for s in self.policy.services_in(c) if s.id in after.services]
        return {c: after.categories[c] for c in asked}, {s: after.services[s] for s in services}

    def _story(self, basis: Basis = Basis.EXPRESS, *, granted: bool) -> Story:
        """Give a new story; those of one answer that tell the same are one and the same."""
        if (known := self._stories.get((granted, basis))) is not None:
            return known
        shown = granted and basis is Basis.EXPRESS and self.answer.signal_shown
        story = self._stories[granted, basis] = Story(granted, basis, self.time, self.policy.digest, shown)
        return story

    def _set(self, category: str, *, granted: bool) -> None:
        self.categories[category] = self._story(granted=granted)
        self.forget |= {service.id for service in self.policy.services_in(category)}

    def _accept(self, category: str) -> None:
        # Where agreement is taken for granted, "accept all" is a positive act only for what was off.
        if self.model is Model.OPT_IN or not self.answer.shown.get(category, True):
            self._set(category, granted=True)
        else:
            self._acknowledge(category)

    def _refuse(self, category: str) -> None:
        self._set(category, granted=False)

    def _acknowledge(self, category: str) -> None:
        """Note an implied banner's acknowledgement: it overrides no refusal and replaces no express grant."""
        old = self._newest(category)
        stands = old is not None and (
            not old.granted or (old.basis is Basis.EXPRESS and self._lasts(old, category))
        )
        if not stands and self.model is not Model.OPT_IN:
            self.categories[category] = self._story(Basis.ACKNOWLEDGED, granted=True)

    def _newest(self, category: str) -> Story | None:
        """What was decided last about a category, by itself or with everything."""
        own, blanket = self.before.categories.get(category), self.before.blanket
        return own if blanket is None or (own is not None and own.time > blanket.time) else blanket

    def _lasts(self, story: Story, category: str) -> bool:
        """Whether a grant still holds."""
        lasts = story.time + self.regime.consent_lifetime // MILLISECOND > self.now
        return lasts and self.history.covers(story.policy, category) and not self.before.unreadable

    def _save(self, category: str) -> None:
        on, was_on = self.answer.choices.get(category, False), self.answer.shown.get(category, False)
        if on and not was_on:
            self._set(category, granted=True)
        elif not on and (was_on or self._off_is_an_answer(category)):
            self._set(category, granted=False)
        for service in self.policy.services_in(category):
            if service.id in self.answer.choices:
                self._save_service(service.id, category_on=on, renewed=category in self.categories)
        if on and category not in self.categories:
            self._leave_on(category)

    def _leave_on(self, category: str) -> None:
        """Acknowledge what was shown on and left alone, where a banner waits for that; elsewhere it says nothing."""
        old, model = self._newest(category), self.regime.model_for(category)
        waits = model in _UNTIL_ACKNOWLEDGED and category not in self.regime.exempt
        known = old is not None and (not old.granted or self._lasts(old, category))
        if waits and not known and not self.before.unreadable:
            self.categories[category] = self._story(Basis.ACKNOWLEDGED, granted=True)

    def _off_is_an_answer(self, category: str) -> bool:
        """Whether a toggle shown off and left off refuses: it does, unless a refusal of that name stands."""
        old = self.before.categories.get(category)
        lapse = self.now - self.regime.refusal_lifetime // MILLISECOND
        standing = old is not None and not old.granted and old.time > lapse
        return self.before.unreadable or not standing

    def _save_service(self, service: str, *, category_on: bool, renewed: bool) -> None:
        """Read a service's toggle literally; on and left on, it follows its category or stays as it was."""
        on, was_on = self.answer.choices[service], self.answer.shown.get(service, False)
        if on and not was_on and not (category_on and renewed):
            self.services[service] = self._story(granted=True)
        elif not on and ((was_on and not renewed) or (category_on and (was_on or renewed))):
            self.services[service] = self._story(granted=False)

    def _set_blanket(self) -> None:
        askable = set(self.policy.category_ids) - self.regime.exempt.keys()
        old, new = self.before.categories, self.categories
        refused = {c for c in askable if not new.get(c, old.get(c, _OPEN)).granted}
        granted = {c for c, story in new.items() if story.granted}
        if new and askable and refused == askable and not self.has_grants():
            self.blanket = self._story(granted=False)
        elif set(self.policy.category_ids) <= granted and self.policy == self.history.current:
            self.blanket = None


def _refusals(decisions: Decisions) -> Decisions:
    return evolve(
        decisions,
        categories={n: s for n, s in decisions.categories.items() if not s.granted},
        services={n: s for n, s in decisions.services.items() if not s.granted},
    )


def settle(decisions: Decisions, now: int) -> Decisions:
    """Date refusals by their day alone when nothing is granted, and before a later grant otherwise."""
    if decisions.grants:
        return _map(decisions, lambda s: evolve(s, time=min(s.time, now - 1), day=False) if s.day else s)
    return _map(decisions, lambda s: s if s.day else evolve(s, time=end_of_day(s.time), day=True))


def _map(decisions: Decisions, change: Callable[[Story], Story]) -> Decisions:
    changed = {id(story): (story, change(story)) for story in decisions.stories()}
    if all(old is new for old, new in changed.values()):
        return decisions
    return evolve(
        decisions,
        categories={name: changed[id(story)][1] for name, story in decisions.categories.items()},
        services={name: changed[id(story)][1] for name, story in decisions.services.items()},
        blanket=decisions.blanket and changed[id(decisions.blanket)][1],
    )


def _alike(before: Decisions, after: Decisions) -> bool:
    """Whether nothing is new: the same grants to the millisecond, the same refusals to the day."""
    same = (
        before.categories.keys() == after.categories.keys()
        and before.services.keys() == after.services.keys()
    )
    return same and _map(before, _to_day) == _map(after, _to_day)


def _to_day(story: Story) -> Story:
    return story if story.granted else evolve(story, time=end_of_day(story.time), day=True)


def _event(granted_before: bool, after: Decisions, work: _Work) -> Event:
    granted = [story for story in work.new() if story.granted]
    if granted and all(story.basis is Basis.ACKNOWLEDGED for story in work.new()):
        return Event.ACKNOWLEDGED
    if not after.grants:
        if granted_before:
            return Event.WITHDRAWN
        return Event.REFUSED if work.model is Model.OPT_IN else Event.OBJECTED
    if granted_before:
        return Event.CHANGED
    given = any(story.basis is Basis.EXPRESS for story in granted)
    return Event.GIVEN if given else Event.OBJECTED
