"""Reading a visitor's cookies and signals, and remembering what was read for the requests that follow.

The same header fields give the same visit until something changes by itself: a grant expires, a refusal is to
be set again. So most requests cost a look-up, and whether the log still holds a grant is asked every time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

from attrs import frozen

from consentkit.consent import Consent, Decisions, IdCookie, Signals, parse_gpc, resolve
from consentkit.consent.cookie import NO_COOKIES, CookieState, encode, encode_id, read
from consentkit.consent.decision import DAY, settle
from consentkit.errors import ConsentkitError
from consentkit.keys import CookieKeys
from consentkit.policy import PolicyHistory
from consentkit.web.jar import Jar
from consentkit.web.protocol import Options, Visit
from consentkit.web.request import Request

__all__ = ["VisitReader"]

_log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")
_RENEW_AFTER: Final = 30 * DAY
_REMEMBERED: Final = 4096
_LONGEST: Final = 4096  # bytes of cookies that are worth remembering
_UNREADABLE: Final = Decisions(unreadable=True)


@frozen
class _Known:
    """A visit that holds from `since` until before `until`, UTC milliseconds."""

    visit: Visit
    since: int
    until: int


class VisitReader:
    """Reads visits under one policy history. `usable` says whether an id cookie still stands for what was granted."""

    def __init__(
        self,
        history: PolicyHistory,
        keys: CookieKeys,
        options: Options,
        usable: Callable[[IdCookie, Decisions], bool],
    ) -> None:
        self._history, self._keys, self._options, self._usable = history, keys, options, usable
        self._visits: dict[tuple[Any, ...], _Known] = {}
        self._consents: dict[tuple[Any, ...], tuple[int, Consent]] = {}

    def read(self, request: Request, region: str | None, now: int) -> Visit:
        """Read what a request says of its visitor; raises for nothing that was sent."""
        cookies: list[bytes] = []
        hosts: list[bytes] = []
        gpc: list[bytes] = []
        for name, value in request.headers:
            if name == b"cookie":
                cookies.append(value)
            elif name == b"host":
                hosts.append(value)
            elif name == b"sec-gpc":
                gpc.append(value)
        key = (*cookies, b"", *hosts, b"", *gpc, request.scheme, region)
        known = self._visits.get(key)
        if known is not None and known.since <= now < known.until and self._stands(known.visit):
            return known.visit
        visit, until = self._read(request, region, Signals(parse_gpc(gpc)), now)
        if until > now and sum(map(len, cookies)) < _LONGEST:
            _remember(self._visits, key, _Known(visit, now, until))
        return visit

    def _read(self, request: Request, region: str | None, signals: Signals, now: int) -> tuple[Visit, int]:
        jar = Jar.of(request, self._options)
        state = self._cookies(request, jar, now)
        decisions = state.decisions
        if decisions.grants and not self._held(state.id, decisions):
            decisions = _UNREADABLE
        consent = self._resolve(state, decisions, region, signals, now)
        renewals, until = self._renewals(jar, state, decisions, now)
        # What was unreadable may be read later, and an unsigned refusal is always made now.
        fleeting = state.unsigned or state.strays or decisions.unreadable or renewals
        visit = Visit(decisions, consent, state.id, state.present, renewals)
        return visit, now if fleeting else min(until, consent.valid_until)

    def _cookies(self, request: Request, jar: Jar, now: int) -> CookieState:
        if not any(b"consent" in header for header in request.header_values(b"cookie")):
            return NO_COOKIES
        return read(
            request.cookies,
            history=self._history,
            keys=self._keys,
            scopes=jar.scopes,
            name=jar.name,
            now=now,
        )

    def _stands(self, visit: Visit) -> bool:
        return not visit.grants or self._held(visit.id, visit.decisions)

    def _held(self, id_cookie: IdCookie | None, decisions: Decisions) -> bool:
        """Whether the log still bears a grant out: not of another log, beyond its head, erased, or withdrawn since."""
        try:
            return id_cookie is not None and self._usable(id_cookie, decisions)
        except ConsentkitError as error:
            _log.warning("a grant could not be looked up in the ledger: %s", error)
            return False

    def _resolve(
        self, state: CookieState, decisions: Decisions, region: str | None, signals: Signals, now: int
    ) -> Consent:
        """Resolve once for all visitors who carry the same value, as those do who carry none."""
        if state.unsigned or state.strays:
            return resolve(self._history, region, decisions, signals, now)
        key = (state.value, decisions.unreadable, region, signals.gpc)
        known = self._consents.get(key)
        if known is not None and known[0] <= now < known[1].valid_until:
            return known[1]
        consent = resolve(self._history, region, decisions, signals, now)
        _remember(self._consents, key, (now, consent))
        return consent

    def _renewals(
        self, jar: Jar, state: CookieState, decisions: Decisions, now: int
    ) -> tuple[tuple[bytes, ...], int]:
        """Sign an unsigned refusal, set a refusal again before browsers forget it; and say when next to look."""
        later = now + DAY
        if not state.present or decisions.unreadable:
            return (), later
        if state.unsigned:
            refusal = Decisions(blanket=decisions.blanket, blanket_exempt=True)
            value = encode(settle(refusal, now), self._history, self._keys, jar.scope, None)
            return (jar.set(value), *jar.drop_others(state.present)), later
        if state.value is None or all(story.granted for story in decisions.stories()):
            return (), later
        due = max(story.time for story in decisions.stories()) + _RENEW_AFTER
        if now < due:
            return (), due
        again = [jar.set(state.value)]
        if decisions.grants and state.id is not None:
            again.append(jar.set_id(encode_id(state.id)))
        return tuple(again), later


def _remember(cache: dict[K, V], key: K, value: V) -> None:
    """Keep a value in a bounded cache; a full one starts over, which costs less than keeping an order."""
    if len(cache) >= _REMEMBERED:
        cache.clear()
    cache[key] = value
