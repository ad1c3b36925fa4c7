"""ConsentManager: a policy, its keys and its ledger, tied together once and asked for every request."""

from __future__ import annotations

import logging
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Final, Self

import attrs

from consentkit.banner import Notice
from consentkit.consent import (
    Answer,
    Consent,
    Decisions,
    IdCookie,
    NoticeRef,
    Outcome,
    Reason,
    Signals,
    decide,
    resolve,
)
from consentkit.consent.cookie import encode, encode_id, fit
from consentkit.consent.decision import Event, settle
from consentkit.errors import (
    BadRequest,
    ConsentkitError,
    InvalidRecord,
    KeyReused,
    LedgerBusy,
    OutcomeUnknown,
)
from consentkit.evidence import Appended, Ledger, RecordDraft
from consentkit.evidence.batch import Once
from consentkit.evidence.ledger import EventHook, system_clock
from consentkit.evidence.record import disclosed
from consentkit.evidence.witness import Witness
from consentkit.keys import Keys
from consentkit.manager._asking import Asking
from consentkit.manager._drafts import draft_of, optional_fields
from consentkit.manager._setup import (
    check_callables,
    check_served,
    earlier_policies,
    load_policy,
    open_ledger,
    options_of,
)
from consentkit.policy import Model, Policy, PolicyHistory
from consentkit.web.flood import Admission, Admit, Proposal, retry_after
from consentkit.web.jar import Jar
from consentkit.web.notices import PublishedNotices
from consentkit.web.place import site_of
from consentkit.web.protocol import Decided, Options, Visit
from consentkit.web.repeats import WEAK_KEY, onces
from consentkit.web.request import Request
from consentkit.web.tickets import ticket_for, ticket_in, ticket_index
from consentkit.web.visits import VisitReader

__all__ = ["ConsentManager"]

_log = logging.getLogger(__name__)

_AWAY_SECONDS: Final = 10.0
_UNKNOWN: Final = NoticeRef("", "", "", Model.OPT_IN, "", "")
"""Stands for a notice that was never published here: it can be refused, not accepted."""


@attrs.frozen
class _Posted:
    """An answer on its way: who sent it, what it changes, and the record to write if anything is new."""

    visit: Visit
    request: Request
    answer: Answer
    jar: Jar
    now: int
    outcome: Outcome
    history: str
    onces: tuple[Once, ...] = ()
    draft: RecordDraft | None = None

    @property
    def once(self) -> Once | None:
        """What a repetition of this request is known by, if it has an idempotency key."""
        return self.onces[0] if self.onces else None


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
        admission: Admission | None = None,
    ) -> None:
        check_served(policy)
        self._admission = admission or Admission(None, None, None)
        self.clock: Callable[[], int] = clock
        self.options: Options = options
        self.ledger: Ledger = ledger
        self._keys, self._on_event = keys, on_event
        self._asking = Asking(region, language, policy.languages)
        ledger.publish_policy(policy)
        self.history: PolicyHistory = PolicyHistory(policy, earlier_policies(policy, ledger.policies()))
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
        spool: str | PathLike[str] | None = None,
        publish: str | Sequence[str] = (),
        subject_keys: str | None = None,
        admit: Admit | None = None,
        rate: float | None = None,
        burst: int | None = None,
        **options: Any,
    ) -> Self:
        """Open the ledger, put the policy into force and publish its notices.

        `ledger` is a URL such as `sqlite:///consent.db`; `keys` a folder that `consentkit keys new` wrote, or
        keys. `region` tells where a request comes from (see `consentkit.web.region`), `language` overrides
        `Accept-Language`, `clock` gives UTC milliseconds, `on_event` is told what happens. `witnesses`,
        `high_water`, `spool`, `publish` and `subject_keys` are the ledger's (see `Ledger.open`). `admit` is asked
        before a grant is recorded, and `rate` is how many this process records in a second (`burst` at once); refusals
        and withdrawals are never turned away. Further options are those of `consentkit.web.protocol.Options`.

        Raises PolicyError, InvalidKey, InvalidOption or LedgerError, each saying what to do.
        """
        loaded = load_policy(policy)
        ring = keys if isinstance(keys, Keys) else Keys.load(keys)
        chosen = options_of(options)
        check_callables(region=region, language=language, clock=clock, on_event=on_event, admit=admit)
        check_served(loaded)
        own: dict[str, Any] = {"clock": clock, "on_event": on_event}
        outside = {
            "witnesses": witnesses, "high_water": high_water, "spool": spool, "publish": publish,
            "subject_keys": subject_keys,
        }  # fmt: skip
        admission = Admission(admit, rate, burst)
        book = open_ledger(ledger, ring, outside, **own)
        try:
            return cls(
                loaded, book, ring, options=chosen, region=region, language=language, admission=admission, **own
            )  # fmt: skip
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
        """Write what is waiting and close the ledger. Done by itself when the interpreter ends."""
        self.ledger.close()

    def rest(self) -> None:
        """Write what is waiting and let go of the ledger until somebody comes again."""
        self.ledger.rest()

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.history.current

    # Reading a request

    def visit(self, request: Request) -> Visit:
        """Read what a request says of its visitor. Writes nothing and raises for nothing that was sent."""
        return self._visits.read(request, self.region(request), self.clock())

    def _usable(self, id_cookie: IdCookie, decisions: Decisions) -> bool:
        """Whether the ledger bears these grants out, and nothing was refused since that waits in its spool."""
        if not self.ledger.usable(id_cookie.log_name, id_cookie.index):
            return False
        withdrawn = self.ledger.withdrawn(id_cookie.history)
        return withdrawn is None or withdrawn <= _newest(decisions)

    def resolve(self, decisions: Decisions, region: str | None, signals: Signals) -> Consent:
        """Work out what follows from decisions that did not come by cookie."""
        return resolve(self.history, region, decisions, signals, self.clock())

    def region(self, request: Request) -> str | None:
        """Tell where the visitor is, as ISO 3166 writes it; None, and so the fallback, when nothing says."""
        return self._asking.region(request)

    def language(self, request: Request) -> str:
        """Choose one of the policy's languages for a request."""
        return self._asking.language(request)

    # Notices

    def notice(self, language: str, model: Model) -> Notice:
        """Give the notice in force, as published."""
        return self._notices.current(language, model)

    def notice_by_digest(self, digest: str) -> Notice | None:
        """Give a notice that was published, by its digest; None when there is none."""
        return self._notices.find(digest)

    # Decisions

    def decide_for(self, request: Request, answer: Answer, key: str | None = None) -> Decided:
        """Put an answer into force and record it, once for each idempotency key. Blocks until that is durable.

        Refusals take effect in any case: where no record can be written they wait in the ledger's spool. Grants
        take effect only once they are recorded, and only for a notice and a policy that were published. Raises
        BadRequest for a grant whose key is too weak to be this visitor's alone.
        """
        posted = self._prepare(request, answer, key)
        if (known := self._known(posted)) is not None:
            return known
        if posted.draft is None:
            return self._decided(posted.visit, posted.outcome, posted.visit.set_cookies)
        try:
            self._admit(posted)
            appended = self.ledger.append(posted.draft, posted.once)
        except ConsentkitError as error:
            return self._unrecorded(posted, error)
        return self._recorded(posted, appended)

    async def adecide_for(self, request: Request, answer: Answer, key: str | None = None) -> Decided:
        """Do as `decide_for` does, without blocking the event loop."""
        from asyncio import to_thread  # noqa: PLC0415  whoever awaits has it already

        posted = self._prepare(request, answer, key)
        if posted.onces and (known := await to_thread(self._known, posted)) is not None:
            return known
        if posted.draft is None:
            return self._decided(posted.visit, posted.outcome, posted.visit.set_cookies)
        try:
            self._admit(posted)
            appended = await self.ledger.aappend(posted.draft, posted.once)
        except ConsentkitError as error:
            return await to_thread(self._unrecorded, posted, error)
        return self._recorded(posted, appended)

    def _prepare(self, request: Request, answer: Answer, key: str | None) -> _Posted:
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
        known = history if granted else None
        names = () if key is None else tuple(onces(key, answer, site_of(request, self.options), known, now))
        if key is not None and not names and outcome.grants:
            raise BadRequest(WEAK_KEY)
        jar = Jar.of(request, self.options)
        return self._with_draft(_Posted(visit, request, answer, jar, now, outcome, history, names))

    def _with_draft(self, posted: _Posted) -> _Posted:
        """Draw up the record of an outcome, if anything is new."""
        if posted.outcome.event is None:
            return attrs.evolve(posted, draft=None)
        notice = None if posted.answer.notice is _UNKNOWN else posted.answer.notice
        policy = (self.history.find(notice.policy) if notice else None) or self.policy
        draft = draft_of(policy, notice, posted.visit.consent, posted.answer, posted.outcome)
        extra = optional_fields(self.policy, posted.request)
        return attrs.evolve(
            posted,
            draft=attrs.evolve(
                draft,
                history=posted.history,
                site=site_of(posted.request, self.options),
                extra=extra,
                time=posted.now,
            ),
        )

    def _known(self, posted: _Posted) -> Decided | None:
        """Give what a request with an idempotency key led to before; None where it is to be done now."""
        try:
            for once in posted.onces:
                if (found := self.ledger.recall(once)) is not None:
                    return self._repeated(posted, found)
        except KeyReused:
            return self._conflict(posted)
        except ConsentkitError as error:
            _log.warning("an idempotency key could not be looked up: %s", error)
        return None

    def _repeated(self, posted: _Posted, first: Appended) -> Decided:
        """Answer as the first time, but with no cookie where something was decided since then."""
        visit, claims = posted.visit, first.record.claims
        history = disclosed(claims, first.record.disclosures)["history"]
        newest = self.ledger.history(history)[-1]
        later = newest.index != first.index or any(s.time > first.time for s in visit.decisions.stories())
        outcome = decide(
            self.history, visit.decisions, posted.answer, visit.consent.regime, first.time, grants=not later
        )
        if later or outcome.event is None:
            decided = self._decided(
                visit, attrs.evolve(outcome, decisions=visit.decisions), visit.set_cookies
            )
        else:
            id_cookie = IdCookie(history, first.index, self.ledger.log_name)
            cookies = self._cookies(posted.jar, visit, outcome.decisions, id_cookie)
            decided = self._decided(visit, outcome, cookies)
        return attrs.evolve(decided, event=Event(claims["event"]), index=first.index, recorded=True)

    def _conflict(self, posted: _Posted) -> Decided:
        """Refuse what came under a key that was used for something else; refusals take effect all the same."""
        refusals = self._refusals(posted)
        if refusals.draft is None:
            decided = self._decided(posted.visit, refusals.outcome, posted.visit.set_cookies)
        else:
            try:
                decided = self._recorded(refusals, self.ledger.append(refusals.draft))
            except ConsentkitError as error:
                decided = self._unrecorded(refusals, error)
        return attrs.evolve(decided, conflict=True)

    def _refusals(self, posted: _Posted) -> _Posted:
        """Give what is left of an answer when nothing can be granted."""
        visit = posted.visit
        outcome = decide(
            self.history, visit.decisions, posted.answer, visit.consent.regime, posted.now, grants=False
        )
        if not outcome.grants_dropped:
            return posted
        left = self._with_draft(attrs.evolve(posted, outcome=outcome))
        # What was to be granted may come again under the same key, and is another record.
        return left if left.draft == posted.draft else attrs.evolve(left, onces=())

    def _admit(self, posted: _Posted) -> None:
        """Raise LedgerBusy for a grant that is one too many. Refusals and withdrawals are never turned away."""
        draft = posted.draft
        if draft is None or not posted.outcome.grants:
            return
        proposal = Proposal(
            draft.event, draft.method, draft.site, draft.region, draft.regime, self.ledger.waiting
        )
        if wait := self._admission.wait(proposal):
            self.emit("decision.turned_away", seconds=wait)
            raise LedgerBusy(
                "too many decisions at once", remedy=f"try again in {wait:.0f} seconds", wait=wait
            )

    def _was_published(self, notice: NoticeRef) -> bool:
        found = self.notice_by_digest(notice.digest)
        return found is not None and found.policy == notice.policy

    def _recorded(self, posted: _Posted, appended: Appended) -> Decided:
        if appended.repeated:
            return self._repeated(posted, appended)
        visit, outcome, index = posted.visit, posted.outcome, appended.index
        id_cookie = IdCookie(posted.history, index, self.ledger.log_name)
        cookies = self._cookies(posted.jar, visit, outcome.decisions, id_cookie)
        if not outcome.decisions.grants and f"{posted.jar.name}-id" in visit.present:
            cookies = (*cookies, posted.jar.drop_id())
        regime = visit.consent.regime.id
        self.emit("decision.recorded", decision=str(outcome.event), index=index, regime=regime)
        ticket = ticket_for(index, self._keys.cookie, self.ledger.log_name, posted.now)
        return attrs.evolve(self._decided(visit, outcome, cookies), index=index, recorded=True, ticket=ticket)

    def _unrecorded(self, posted: _Posted, error: ConsentkitError) -> Decided:
        """Let the refusals of an answer take effect, and keep them in the spool, since the ledger took no record."""
        if isinstance(error, KeyReused):
            return self._conflict(posted)
        _log.warning("a decision could not be recorded: %s", error)
        self.emit("decision.unrecorded", error=type(error).__name__)
        left, visit = self._refusals(posted), posted.visit
        again = retry_after(error.wait) if isinstance(error, LedgerBusy) else retry_after(_AWAY_SECONDS)
        if left.draft is None:
            return attrs.evolve(self._decided(visit, left.outcome, visit.set_cookies), retry_after=again)
        attempted = error.attempted if isinstance(error, OutcomeUnknown) else None
        spooled = not isinstance(error, InvalidRecord) and self._spool(  # which no ledger will ever take
            left, left.draft, attempted if left.draft == posted.draft else None
        )
        cookies = self._cookies(posted.jar, visit, left.outcome.decisions, visit.id)
        decided = self._decided(visit, left.outcome, cookies)
        return attrs.evolve(decided, spooled=spooled, device_only=not spooled, retry_after=again)

    def _spool(self, posted: _Posted, draft: RecordDraft, attempted: tuple[int, bytes] | None) -> bool:
        """Keep refusals durably until they can be recorded; say whether that worked."""
        # Dated after what the visitor's cookie says, so that even in the same millisecond that is older.
        before = [story.time + 1 for story in posted.visit.decisions.stories() if not story.day]
        try:
            self.ledger.spool(attrs.evolve(draft, time=max([posted.now, *before])), posted.once, attempted)
        except ConsentkitError as error:
            _log.error("a refusal is in force on its visitor's device only: %s", error)
            return False
        return True

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
        """Give the receipt of the decision that a request names, by a ticket or its id cookie; None without one."""
        index = self._receipt_index(request)
        found = None if index is None else self.ledger.receipt(index)
        return found.encode() if found else None

    def _receipt_index(self, request: Request) -> int | None:
        if (ticket := ticket_in(request)) is not None:
            return ticket_index(ticket, self._keys.cookie, self.ledger.log_name, self.clock())
        visit = self.visit(request)
        return visit.id.index if visit.id is not None and visit.decisions.grants else None

    def log_file(self, name: str) -> bytes | None:
        """Give one file of the public log; None for what is not there."""
        return self.ledger.log_file(name)


def _newest(decisions: Decisions) -> int:
    return max(story.time for story in decisions.stories())
