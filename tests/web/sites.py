"""A site for the tests of `web` and `adapters`: a policy, a manager that keeps its log in memory, and requests."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from consentkit.banner import Notice, notice_for
from consentkit.consent import (
    Answer,
    Consent,
    IdCookie,
    Outcome,
    Reason,
    Signals,
    decide,
    parse_gpc,
    resolve,
)
from consentkit.consent.cookie import encode, encode_id, read
from consentkit.errors import LedgerBusy, LedgerError
from consentkit.keys import CookieKey, CookieKeys
from consentkit.policy import Model, Policy, PolicyHistory
from consentkit.web.front import Front
from consentkit.web.jar import Jar
from consentkit.web.language import language_of
from consentkit.web.protocol import Decided, Options, Visit
from consentkit.web.region import from_header
from consentkit.web.request import Request
from consentkit.web.tickets import ticket_for, ticket_in, ticket_index
from tests.support import START

HOST = "shop.example.com"
KEYS = CookieKeys((CookieKey("abcd", bytes(range(32)), "sign"),))
ANALYTICS = "_pc_id=1; Path=/; Max-Age=3600"
ADS = "ad_uid=1; Path=/"
SESSION = "session=1; Path=/; HttpOnly"
UNKNOWN = "mystery=1; Path=/"


def regime(regions: list[str], model: str, **more: Any) -> dict[str, Any]:
    """A regime with lifetimes of six months."""
    return {
        "regions": regions,
        "model": model,
        "consent_lifetime": "6 months",
        "refusal_lifetime": "6 months",
        **more,
    }


def document(**changes: Any) -> dict[str, Any]:
    """A policy with one necessary service, one for analytics and two for marketing."""
    provider = {"name": "Acme", "country": "FR"}
    services: dict[str, Any] = {
        "login": {
            "category": "necessary", "provider": provider, "purposes": {"sign-in": "Keeps you signed in"},
            "legal_basis": "strictly_necessary", "cookies": [{"name": "session", "lifetime": "session"}],
        },
        "pagecount": {
            "category": "analytics", "provider": provider, "purposes": {"audience": "Counts readers"},
            "cookies": [{"name": "_pc_id", "lifetime": "6 months"}, {"name": "_pc_*", "lifetime": "1 day"}],
        },
        "adnet": {
            "category": "marketing", "provider": provider, "purposes": {"ads": "Chooses advertisements"},
            "cookies": [{"name": "ad_uid", "lifetime": "6 months"}],
        },
        "clips": {
            "category": "marketing", "provider": provider, "purposes": {"video": "Plays videos"},
            "cookies": [{"name": "clip_id", "lifetime": "1 day", "path": "/video", "partitioned": True}],
        },
    }  # fmt: skip
    return {
        "schema": "consentkit-policy/1",
        "version": "1",
        "controller": {
            "name": "Example", "country": "FR", "contact": "privacy@example.com",
            "privacy_policy": "https://example.com/privacy",
        },
        "languages": ["en", "fr"],
        "categories": {"analytics": {}, "marketing": {}},
        "services": services,
        "regimes": {
            "europe": regime(["EEA", "GB"], "opt-in"),
            "us": regime(["US-CA"], "opt-out", signals={"gpc": ["marketing"]}),
            "implied": regime(["ZA"], "implied"),
            "mixed": regime(["AU"], "notice", models={"marketing": "opt-in"}),
        },
        "fallback": {"regime": "europe"},
        "notice": {"layout": "bar"},
        "records": {"retention": "5 years"},
        **changes,
    }  # fmt: skip


def policy(**changes: Any) -> Policy:
    """The policy of `document`, with top-level members replaced."""
    return _parsed(json.dumps(document(**changes)).encode())


_parsed = cache(Policy.from_bytes)


@cache
def _notices(known: Policy) -> list[Notice]:
    return [notice_for(known, language, model) for language in known.languages for model in Model]


class Site:
    """A manager as `web` sees it: reads and decides for real, and appends to a list in place of a ledger."""

    def __init__(self, *policies: Policy, clock: Callable[[], int] | None = None, **options: Any) -> None:
        *earlier, current = policies or (policy(),)
        self.history = PolicyHistory(current, tuple(earlier))
        self.options = Options(**options)
        self.clock = clock or (lambda: START)
        self.rests = 0
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self.log: list[tuple[Answer, Outcome]] = []
        self.failing: LedgerError | None = None
        self.visits = 0
        self._notices = [notice for known in (current, *earlier) for notice in _notices(known)]

    def visit(self, request: Request) -> Visit:
        """Read a request."""
        self.visits += 1
        jar = Jar.of(request, self.options)
        state = read(
            request.cookies,
            history=self.history,
            keys=KEYS,
            scopes=jar.scopes,
            name=jar.name,
            now=self.clock(),
        )
        signals = Signals(parse_gpc(request.header_values(b"sec-gpc")))
        consent = resolve(self.history, self.region(request), state.decisions, signals, self.clock())
        renewed: tuple[bytes, ...] = ()
        if state.unsigned and not state.decisions.unreadable:
            renewed = (jar.set(encode(state.decisions, self.history, KEYS, jar.scope, None)),)
        return Visit(state.decisions, consent, state.id, state.present, renewed)

    def decide_for(self, request: Request, answer: Answer, key: str | None = None) -> Decided:
        """Decide and append."""
        visit = self.visit(request)
        grants = self.failing is None
        outcome = decide(
            self.history, visit.decisions, answer, visit.consent.regime, self.clock(), grants=grants
        )
        consent = resolve(
            self.history, visit.consent.region, outcome.decisions, visit.consent.signals, self.clock()
        )
        recorded = outcome.event is not None and self.failing is None
        if recorded:
            self.log.append((answer, outcome))
        return Decided(
            consent=consent,
            set_cookies=self._cookies(request, outcome) if outcome.event is not None else (),
            event=outcome.event,
            index=len(self.log) - 1 if recorded else None,
            recorded=recorded,
            device_only=outcome.event is not None and not recorded,
            grants_dropped=outcome.grants_dropped,
            withdrawn=frozenset(n for n in self.history.current.names if consent.reason(n) is Reason.REFUSED),
            ticket=ticket_for(len(self.log) - 1, KEYS, "example.com/log", self.clock()) if recorded else None,
        )

    async def adecide_for(self, request: Request, answer: Answer, key: str | None = None) -> Decided:
        """Decide and append, elsewhere."""
        return await asyncio.to_thread(self.decide_for, request, answer, key)

    def _cookies(self, request: Request, outcome: Outcome) -> tuple[bytes, ...]:
        jar = Jar.of(request, self.options)
        bound = None
        ids: tuple[bytes, ...] = ()
        if outcome.decisions.grants:
            bound = encode_id(IdCookie("A" * 22, len(self.log), "example.com/log"))
            ids = (jar.set_id(bound),)
        return (jar.set(encode(outcome.decisions, self.history, KEYS, jar.scope, bound)), *ids)

    def notice(self, language: str, model: Model) -> Notice:
        """A notice of the policy in force."""
        wanted = self.history.current.digest, language, model
        return next(n for n in self._notices if (n.policy, n.language, n.model) == wanted)

    def notice_by_digest(self, digest: str) -> Notice | None:
        """A notice of any policy."""
        return next((n for n in self._notices if n.digest == digest), None)

    def region(self, request: Request) -> str | None:
        """Where the test says."""
        return from_header("x-region", "x-subdivision")(request)

    def language(self, request: Request) -> str:
        """By Accept-Language."""
        return language_of(request, self.history.current.languages)

    def receipt(self, request: Request) -> bytes | None:
        """Something that only a visitor with an id cookie or a ticket gets."""
        if (ticket := ticket_in(request)) is not None:
            index = ticket_index(ticket, KEYS, "example.com/log", self.clock())
        else:
            index = None if (known := self.visit(request).id) is None else known.index
        return None if index is None else json.dumps({"index": index}).encode()

    def log_file(self, name: str) -> bytes | None:
        """A log of one file."""
        return b"a checkpoint" if name == "checkpoint" else None

    def rest(self) -> None:
        """Count."""
        self.rests += 1

    def emit(self, event: str, **data: object) -> None:
        """Remember."""
        self.events.append((event, data))

    def told(self, event: str) -> list[Mapping[str, object]]:
        """What was emitted under one name."""
        return [data for name, data in self.events if name == event]


BUSY = LedgerBusy("the queue is full")


def request(
    method: str = "GET",
    path: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    *,
    host: str | None = HOST,
    scheme: str = "https",
    root_path: str = "",
) -> Request:
    """A request, with a `Host` unless told otherwise."""
    fields = [("host", host)] if host is not None else []
    raw = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in [*fields, *headers])
    path, _, query = path.partition("?")
    return Request(method, path, query, raw, scheme, root_path)


def front(site: Site | None = None) -> Front:
    """What a site shows to the web."""
    return Front(site or Site())


def consent_of(site: Site, *headers: tuple[str, str]) -> Consent:
    """What a request with these header fields may do."""
    return site.visit(request(headers=headers)).consent


def jar_header(set_cookies: Iterable[bytes]) -> tuple[str, str]:
    """The `Cookie` field of a browser that got these `Set-Cookie` values."""
    jar: dict[str, str] = {}
    for raw in set_cookies:
        name, _, value = raw.decode().partition(";")[0].partition("=")
        if "Max-Age=0" in raw.decode():
            jar.pop(name, None)
        else:
            jar[name] = value
    return "cookie", "; ".join(f"{name}={value}" for name, value in jar.items())
