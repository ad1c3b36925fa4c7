"""ConsentManager: a policy, its keys and its ledger, tied together once and asked for every request."""

from __future__ import annotations

import logging
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Final, Self

import attrs

from consentkit.banner import Notice, check
from consentkit.consent import (
    Answer,
    Consent,
    Decisions,
    IdCookie,
    NoticeRef,
    Outcome,
    Reason,
    Signals,
    Story,
    decide,
    resolve,
)
from consentkit.consent.cookie import encode, encode_id, fit
from consentkit.consent.decision import MILLISECOND, settle
from consentkit.errors import ConsentkitError, InvalidOption, PolicyError
from consentkit.evidence import Choice, Ledger, RecordDraft
from consentkit.evidence.ledger import EventHook, system_clock
from consentkit.evidence.witness import Witness
from consentkit.keys import Keys
from consentkit.policy import Model, Policy, PolicyHistory, Regime
from consentkit.policy.regions import canonical_region
from consentkit.web.jar import Jar
from consentkit.web.language import language_of
from consentkit.web.notices import PublishedNotices
from consentkit.web.protocol import Decided, Options, Visit
from consentkit.web.request import Request
from consentkit.web.visits import VisitReader

__all__ = ["ConsentManager"]

_log = logging.getLogger(__name__)

_REGION: Final = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?|[A-Z][A-Z-]{1,31}")
_UNKNOWN: Final = NoticeRef("", "", "", Model.OPT_IN, "", "")
"""Stands for a notice that was never published here: it can be refused, not accepted."""


@attrs.frozen
class _Posted:
    """An answer on its way: who sent it, what it changes, and the record to write if anything is new."""

    visit: Visit
    answer: Answer
    jar: Jar
    now: int
    outcome: Outcome
    history: str
    draft: RecordDraft | None


class ConsentManager:
    """The one object that an application builds: it reads requests and puts decisions into force.

    Build it with `open`. It is safe to use from many threads; forked workers open one each or share one
    that was opened before the fork, since the ledger starts its thread when it is first written to.
    """

    def __init__(
        self,
        policy: Policy,
        ledger: Ledger,
        keys: Keys,
        *,
        options: Options,
        region: Callable[[Request], str | None] | None = None,
        language: Callable[[Request], str | None] | None = None,
        clock: Callable[[], int] = system_clock,
        on_event: EventHook | None = None,
    ) -> None:
        _check(policy)
        self.clock: Callable[[], int] = clock
        self.options: Options = options
        self.ledger: Ledger = ledger
        self._keys, self._region, self._language, self._on_event = keys, region, language, on_event
        ledger.publish_policy(policy)
        self.history: PolicyHistory = PolicyHistory(policy, _earlier(policy, ledger.policies()))
        self._notices = PublishedNotices(self.history, ledger)
        self._visits = VisitReader(self.history, keys.cookie, options, self._usable)

    @classmethod
    def open(
        cls,
        policy: Policy | Mapping[str, Any] | str | PathLike[str],
        *,
        ledger: Ledger | str,
        keys: Keys | str | PathLike[str],
        region: Callable[[Request], str | None] | None = None,
        language: Callable[[Request], str | None] | None = None,
        clock: Callable[[], int] = system_clock,
        on_event: EventHook | None = None,
        witnesses: Sequence[Witness] = (),
        high_water: str | None = None,
        **options: Any,
    ) -> Self:
        """Open the ledger, put the policy into force and publish its notices.

        `ledger` is a URL such as `sqlite:///consent.db`; `keys` a folder that `consentkit keys new` wrote, or
        keys. `region` tells where a request comes from (see `consentkit.web.region`), `language` overrides
        `Accept-Language`, `clock` gives UTC milliseconds, `on_event` is told what happens. `witnesses` and
        `high_water` are the ledger's (see `Ledger.open`). Further options are those of
        `consentkit.web.protocol.Options`.

        Raises PolicyError, InvalidKey, InvalidOption or LedgerError, each saying what to do.
        """
        loaded = _load(policy)
        ring = keys if isinstance(keys, Keys) else Keys.load(keys)
        chosen = _options(options)
        _check(loaded)
        own: dict[str, Any] = {"clock": clock, "on_event": on_event}
        outside = {"witnesses": witnesses, "high_water": high_water}
        book = _open_ledger(ledger, ring, **own, **outside)
        try:
            return cls(loaded, book, ring, options=chosen, region=region, language=language, **own)
        except BaseException:
            if book is not ledger:
                book.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is waiting and close the ledger."""
        self.ledger.close()

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.history.current

    # Reading a request

    def visit(self, request: Request) -> Visit:
        """Read what a request says of its visitor. Writes nothing and raises for nothing that was sent."""
        return self._visits.read(request, self.region(request), self.clock())

    def _usable(self, log_name: str, index: int) -> bool:
        return self.ledger.usable(log_name, index)

    def resolve(self, decisions: Decisions, region: str | None, signals: Signals) -> Consent:
        """Work out what follows from decisions that did not come by cookie."""
        return resolve(self.history, region, decisions, signals, self.clock())

    def region(self, request: Request) -> str | None:
        """Tell where the visitor is, as ISO 3166 writes it; None, and so the fallback, when nothing says."""
        found = self._ask(self._region, request)
        region = canonical_region(found) if isinstance(found, str) else ""
        return region if _REGION.fullmatch(region) else None

    def language(self, request: Request) -> str:
        """Choose one of the policy's languages for a request."""
        chosen = self._ask(self._language, request)
        return chosen if chosen in self.policy.languages else language_of(request, self.policy.languages)

    def _ask(self, callable_: Callable[[Request], str | None] | None, request: Request) -> str | None:
        """Call what the site gave us; a visitor must not see it fail."""
        if callable_ is None:
            return None
        try:
            return callable_(request)
        except Exception:  # noqa: BLE001
            _log.exception("%r failed; consentkit goes on without its answer", callable_)
            return None

    # Notices

    def notice(self, language: str, model: Model) -> Notice:
        """Give the notice in force, as published."""
        return self._notices.current(language, model)

    def notice_by_digest(self, digest: str) -> Notice | None:
        """Give a notice that was published, by its digest; None when there is none."""
        return self._notices.find(digest)

    # Decisions

    def decide_for(self, request: Request, answer: Answer) -> Decided:
        """Put an answer into force and record it. Blocks until the record is durable.

        Refusals take effect in any case; grants only once they are recorded, and only for a notice and a
        policy that were published.
        """
        posted = self._prepare(request, answer)
        if posted.draft is None:
            return self._decided(posted.visit, posted.outcome, posted.visit.set_cookies)
        try:
            index = self.ledger.append(posted.draft).index
        except ConsentkitError as error:
            return self._unrecorded(posted, error)
        return self._recorded(posted, index)

    async def adecide_for(self, request: Request, answer: Answer) -> Decided:
        """Do as `decide_for` does, without blocking the event loop."""
        posted = self._prepare(request, answer)
        if posted.draft is None:
            return self._decided(posted.visit, posted.outcome, posted.visit.set_cookies)
        try:
            index = (await self.ledger.aappend(posted.draft)).index
        except ConsentkitError as error:
            return self._unrecorded(posted, error)
        return self._recorded(posted, index)

    def _prepare(self, request: Request, answer: Answer) -> _Posted:
        visit, now, told = self.visit(request), self.clock(), answer.notice
        if told is not None and not self._was_published(told):
            answer = attrs.evolve(answer, notice=_UNKNOWN)
        history, granted = self._history_of(visit)
        outcome = decide(
            self.history,
            visit.decisions,
            answer,
            visit.consent.regime,
            now,
            recorded_grant=granted and not visit.decisions.grants,
        )
        draft = None
        if outcome.event is not None:
            draft = attrs.evolve(
                self._draft(visit, answer, outcome),
                history=history,
                site=request.site,
                extra=self._extra(request),
                time=now,
            )
        return _Posted(visit, answer, Jar.of(request, self.options), now, outcome, history, draft)

    def _was_published(self, notice: NoticeRef) -> bool:
        found = self.notice_by_digest(notice.digest)
        return found is not None and found.policy == notice.policy

    def _recorded(self, posted: _Posted, index: int) -> Decided:
        visit, outcome = posted.visit, posted.outcome
        id_cookie = IdCookie(posted.history, index, self.ledger.log_name)
        cookies = self._cookies(posted.jar, visit, outcome.decisions, id_cookie)
        if not outcome.decisions.grants and f"{posted.jar.name}-id" in visit.present:
            cookies = (*cookies, posted.jar.drop_id())
        regime = visit.consent.regime.id
        self.emit("decision.recorded", decision=str(outcome.event), index=index, regime=regime)
        return attrs.evolve(self._decided(visit, outcome, cookies), index=index, recorded=True)

    def _unrecorded(self, posted: _Posted, error: ConsentkitError) -> Decided:
        """Let the refusals of an answer take effect in this browser, since the ledger took no record."""
        _log.warning("a decision could not be recorded: %s", error)
        self.emit("decision.unrecorded", error=type(error).__name__)
        visit = posted.visit
        regime = visit.consent.regime
        outcome = decide(self.history, visit.decisions, posted.answer, regime, posted.now, grants=False)
        if outcome.event is None:
            return self._decided(visit, outcome, visit.set_cookies)
        cookies = self._cookies(posted.jar, visit, outcome.decisions, visit.id)
        return attrs.evolve(self._decided(visit, outcome, cookies), device_only=True)

    def _decided(self, visit: Visit, outcome: Outcome, cookies: tuple[bytes, ...]) -> Decided:
        before = visit.consent
        consent = resolve(self.history, before.region, outcome.decisions, before.signals, self.clock())
        return Decided(
            consent=consent,
            set_cookies=cookies,
            event=outcome.event,
            grants_dropped=outcome.grants_dropped,
            withdrawn=frozenset(n for n in self.policy.names if consent.reason(n) is Reason.REFUSED),
        )

    def _cookies(
        self, jar: Jar, visit: Visit, decisions: Decisions, id_cookie: IdCookie | None
    ) -> tuple[bytes, ...]:
        """Write what was decided; what stays unreadable keeps its cookies, so that it stays denied."""
        if decisions.unreadable:
            return ()
        kept = settle(fit(decisions, self.history), self.clock())
        bound = encode_id(id_cookie) if id_cookie and kept.grants else None
        value = encode(kept, self.history, self._keys.cookie, jar.scope, bound)
        ids = () if bound is None else (jar.set_id(bound),)
        return (jar.set(value), *ids, *jar.drop_others(visit.present))

    def _history_of(self, visit: Visit) -> tuple[str, bool]:
        """The history that a record belongs to, and whether it is one of earlier grants.

        It is the id cookie's where the consent cookie vouches for it, or else the log; otherwise a new one.
        """
        known = visit.id
        if known is not None and (visit.decisions.grants or self._holds(known)):
            return known.history, True
        return urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode(), False

    def _holds(self, id_cookie: IdCookie) -> bool:
        try:
            return self.ledger.is_of_history(id_cookie.log_name, id_cookie.index, id_cookie.history)
        except ConsentkitError as error:
            _log.warning("a history could not be looked up in the ledger: %s", error)
            return False

    def _draft(self, visit: Visit, answer: Answer, outcome: Outcome) -> RecordDraft:
        consent = visit.consent
        notice = None if answer.notice is _UNKNOWN else answer.notice
        policy = (self.history.find(notice.policy) if notice else None) or self.policy
        return RecordDraft(
            event=str(outcome.event),
            method=answer.method,
            site="",
            choices=_choices(outcome.categories),
            services=_choices(outcome.services),
            asked=outcome.asked,
            policy=(policy.digest, policy.version),
            notice=(notice.digest, notice.language, notice.template, notice.layout) if notice else None,
            region=consent.region,
            regime=consent.regime.id,
            model=str(notice.model if notice else consent.regime.model),
            signals={"gpc": consent.signals.gpc, "shown": answer.signal_shown},
            expires=_expiry(outcome, consent.regime),
            history="",
        )

    def _extra(self, request: Request) -> dict[str, str]:
        """The optional fields that the policy asks for, and gives a reason for."""
        sources = {"user_agent": b"user-agent", "page": b"referer"}
        found = {
            name: b"".join(request.header_values(header)[:1]).decode("latin-1")[:1024]
            for name, header in sources.items()
            if name in self.policy.optional_fields
        }
        return {name: value for name, value in found.items() if value}

    # Events

    def emit(self, event: str, **data: object) -> None:
        """Tell the site's event hook that something happened; a failing hook is logged and changes nothing."""
        if self._on_event is None:
            return
        try:
            self._on_event(event, **data)
        except Exception:  # noqa: BLE001  the site's own callable
            _log.exception("the event hook failed on %s", event)

    def receipt(self, request: Request) -> bytes | None:
        """Give the receipt of the decision that the request's id cookie names; None when there is none."""
        visit = self.visit(request)
        if visit.id is None or not visit.decisions.grants:
            return None
        found = self.ledger.receipt(visit.id.index)
        return found.encode() if found else None


def _load(policy: Policy | Mapping[str, Any] | str | PathLike[str]) -> Policy:
    if isinstance(policy, Policy):
        return policy
    return Policy.from_dict(policy) if isinstance(policy, Mapping) else Policy.load(policy)


def _open_ledger(ledger: Ledger | str, keys: Keys, **options: Any) -> Ledger:
    if isinstance(ledger, str):
        return Ledger.open(ledger, keys=keys, **options)
    if options["witnesses"] or options["high_water"] is not None:
        raise InvalidOption(
            "witnesses and high_water are options of the ledger, and it is open already",
            remedy="give them to Ledger.open, or give the ledger's URL here",
        )
    return ledger


def _options(given: Mapping[str, Any]) -> Options:
    known = {field.name for field in attrs.fields(Options)}
    for name in given:
        if name not in known:
            raise InvalidOption(
                f"there is no option {name!r}", remedy=f"options are: {', '.join(sorted(known))}"
            )
    return Options(**given)


def _check(policy: Policy) -> None:
    """Refuse what may not be served: a fallback weaker than opt-in unasked, texts or languages that lack."""
    models = {policy.fallback.model, *policy.fallback.models.values()}
    if models != {Model.OPT_IN} and not policy.weaker_fallback_allowed:
        raise InvalidOption(
            f"the fallback regime {policy.fallback.id!r} is weaker than opt-in, for visitors of unknown region",
            remedy='name an opt-in regime, or say "allow_weaker": true under /fallback if you mean it',
        )
    problems = check(policy)
    if problems:
        raise PolicyError(problems)


def _earlier(policy: Policy, canonical_forms: Iterable[bytes]) -> tuple[Policy, ...]:
    """The policies that were in force before; consent under one that cannot be read any more is asked again."""
    found = []
    for canonical in canonical_forms:
        try:
            found.append(Policy.from_canonical(canonical))
        except PolicyError as error:
            _log.warning("an earlier policy cannot be read any more: %s", error)
    return tuple(earlier for earlier in found if earlier.digest != policy.digest)


def _choices(stories: Mapping[str, Story]) -> dict[str, Choice]:
    return {name: Choice(story.granted, story.basis.value) for name, story in stories.items()}


def _expiry(outcome: Outcome, regime: Regime) -> int | None:
    """When the last of the grants told lapses, in UTC milliseconds; None where nothing is granted."""
    told = (*outcome.categories.values(), *outcome.services.values())
    lifetime = regime.consent_lifetime // MILLISECOND
    return max((story.time + lifetime for story in told if story.granted), default=None)
