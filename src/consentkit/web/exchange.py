"""One request and its response: consent read when it is asked for, the response changed where it must be."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from consentkit.consent.resolve import Consent
from consentkit.errors import MissingMiddleware
from consentkit.web.caching import VARY, VARY_TEXT, no_store, personal, rewritten
from consentkit.web.endpoints import Response, arespond, reads_storage, respond
from consentkit.web.front import MAX_NAME, Front
from consentkit.web.inject import LIMIT, Injector, obstacle
from consentkit.web.protocol import Visit
from consentkit.web.request import Headers, Request
from consentkit.web.set_cookie import declared_lifetime, filter_set_cookies

__all__ = ["KEY", "Exchange", "Html", "Started", "consent_from", "exchange_from"]

KEY = "consentkit.exchange"
"""Under which an adapter keeps the exchange in `environ` or `scope`."""

_LATE = (
    "consent was read after the response had begun, so its caching headers could not say that it depends on the "
    "visitor; read consent before the first byte is sent"
)
_KEPT_BACK = "the cookie %r of %s is kept back from visitors who did not allow it (%s); this is said once"
_UNDECLARED = (
    "the response set the cookie %r, which the policy does not declare, so nobody is asked about it: add it to the "
    "cookies of the service that it belongs to (/services/.../cookies): %s"
)
_ENCODED = (
    "an HTML page was already encoded (Content-Encoding), so no banner was put into it; put the compressing "
    "middleware outside of consentkit's"
)


class Html(str):
    """Markup that template engines which know the `__html__` protocol do not escape again."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


class Started:
    """The beginning of a response, as it may be sent.

    With an `injector`, every piece of the body goes through it. If `holds`, the headers wait until it is
    settled, because the length of the body is announced in them; `headers()` gives them then.
    """

    __slots__ = ("_exchange", "_headers", "holds", "injector")

    def __init__(
        self, exchange: Exchange, headers: Headers, injector: Injector | None = None, *, holds: bool = False
    ) -> None:
        self._exchange, self._headers = exchange, headers
        self.injector: Injector | None = injector
        self.holds: bool = holds

    def headers(self) -> Headers:
        """Give the header fields to send: the very same object where nothing had to be changed."""
        if self.holds and self.injector is not None and self.injector.added:
            lengths = [value for name, value in self._headers if name.lower() == b"content-length"]
            length = (
                int(lengths[0]) + self.injector.added if len(lengths) == 1 and lengths[0].isdigit() else None
            )
            return self._exchange.finish(rewritten(self._headers, length))
        return self._exchange.finish(self._headers) if self.holds else self._headers


class Exchange:
    """One request on its way through the application, and its response on the way back.

    `build` makes the request out of what the server handed over, `raw`, when it is needed first.
    """

    __slots__ = ("_build", "_explicit", "_raw", "_request", "_started", "_texts", "_visit", "front")

    def __init__(self, front: Front, build: Callable[[Any], Request], raw: Any) -> None:
        self.front: Front = front
        self._build, self._raw = build, raw
        self._request: Request | None = None
        self._visit: Visit | None = None
        self._explicit = self._texts = self._started = False

    @property
    def request(self) -> Request:
        """The request, without its body."""
        if self._request is None:
            self._request = self._build(self._raw)
        return self._request

    @property
    def visit(self) -> Visit:
        """What the request says of its visitor. Reading it makes the response depend on the visitor."""
        if self._visit is None:
            if self._started:
                self.front.warn_once("late", _LATE)
            return self._read()
        return self._visit

    def _read(self) -> Visit:
        visit = self._visit = self._visit or self.front.manager.visit(self.request)
        return visit

    @property
    def consent(self) -> Consent:
        """What this request may do. Read it before the response starts."""
        return self.visit.consent

    def banner(self) -> Html:
        """Place the banner in a template: all of it, or "" when there is nothing to ask.

        Either way nothing is put into this page automatically; see `privacy_link` and `script`.
        """
        self._explicit = self._texts = True
        consent = self.consent
        return Html(
            self.front.fragment(consent, self.request).decode("ascii") if consent.needs_prompt else ""
        )

    def privacy_link(self) -> Html:
        """Place the link that reopens the choices, which every page needs."""
        self._explicit = self._texts = True
        return Html(self.front.control(self.consent, self.request).decode("ascii"))

    def script(self) -> Html:
        """Place the element that loads the script; twice on a page does no harm."""
        self._explicit = True
        return Html(self.front.script(self.consent, self.request).decode("ascii"))

    @property
    def body_limit(self) -> int:
        """How much of a request's body `respond` has to be given at most: enough to see that it is too long."""
        return self.front.options.max_body + 1 if self.request.method == "POST" else 0

    def respond(self, body: bytes | None = b"") -> Response:
        """Answer a request for one of consentkit's own endpoints; None is a body that did not fully arrive."""
        return respond(self.front, self.request, body)

    @property
    def reads_storage(self) -> bool:
        """Whether `arespond` would read from storage, so that `respond` should be called in a thread instead."""
        return reads_storage(self.front, self.request)

    async def arespond(self, body: bytes | None = b"") -> Response:
        """Answer as `respond` does, without holding up the event loop."""
        return await arespond(self.front, self.request, body)

    def accept(self, headers: Headers) -> Headers:
        """Take the header fields with which a WebSocket is accepted and give those to send."""
        kept = self.filter(headers)
        self._started = True
        cookies = self._cookies()
        return [*kept, *((b"set-cookie", cookie) for cookie in cookies)] if cookies else kept

    def start(self, status: int, headers: Headers, *, inject: bool = True) -> Started:
        """Take the beginning of the application's response and give what may be sent of it.

        Only a response that carries cookies, is an HTML page to inject into, or belongs to a request whose
        consent was read is changed; any other passes as it is.
        """
        cookies = page = False
        for name, value in headers:
            size = len(name)  # spares most names the comparison in lower case
            if size == 10 and name.lower() == b"set-cookie":
                cookies = True
            elif size == 12 and value[:9].lower() == b"text/html" and name.lower() == b"content-type":
                page = True
        if cookies:
            headers = self.filter(headers)
        if page and inject and self.front.options.inject and not self._explicit:
            return self._start_page(status, headers)
        self._started = True
        return Started(self, self.finish(headers))

    def _start_page(self, status: int, headers: Headers) -> Started:
        found = obstacle(self.request, status, headers)
        self._started = True
        if found == "head":
            self._texts = True
            self._read()  # a GET would have had the banner, so its headers depend on the visitor
            return Started(self, self.finish(rewritten(headers, None)))
        if found is not None:
            if found == "encoded":
                self.front.warn_once("encoded", _ENCODED)
            return Started(self, self.finish(headers))
        if any(name.lower() == b"content-length" for name, _ in headers):
            return Started(self, headers, Injector(self._snippet, LIMIT), holds=True)
        self._texts = True
        self._read()  # the headers leave before it is known whether the page has a body to inject into
        return Started(self, self.finish(rewritten(headers, None)), Injector(self._snippet))

    def _snippet(self) -> bytes:
        self._texts = True
        return self.front.fragment(self._read().consent, self.request)

    def filter(self, headers: Headers) -> Headers:
        """Take out the cookies that the visitor does not allow, and tell the site's event hook."""
        front = self.front
        visit = self._visit
        allows = self._allows if visit is None else visit.consent.allows
        result = filter_set_cookies(headers, allows, front.policy, front.manager.clock())
        if result.headers is headers and not result.undeclared:
            return headers
        for name, service in result.blocked:
            reason = self.consent.reason(service).value if service else "undeclared"
            front.manager.emit("cookie.blocked", name=name, service=service, reason=reason)
            front.tell_once(logging.INFO, _KEPT_BACK, name, service or "no service", reason)
        for name, raw in result.undeclared:
            front.manager.emit("cookie.undeclared", name=name)
            entry = {"name": name[:MAX_NAME], "lifetime": declared_lifetime(raw, front.manager.clock())}
            front.tell_once(logging.WARNING, _UNDECLARED, name, json.dumps(entry))
        return result.headers

    def _allows(self, service: str) -> bool:
        return self.consent.allows(service)

    def finish(self, headers: Headers) -> Headers:
        """Add to header fields what follows from having read the visitor's consent, if it was read."""
        if self._visit is None:
            return headers
        sent = personal(headers, VARY_TEXT if self._texts else VARY)
        cookies = self._cookies()
        return [*no_store(sent), *((b"set-cookie", cookie) for cookie in cookies)] if cookies else sent

    def _cookies(self) -> tuple[bytes, ...]:
        visit = self._visit
        return (
            () if visit is None else (*visit.set_cookies, *self.front.deletions(self.request, visit.consent))
        )


def exchange_from(carrier: object) -> Exchange:
    """Find the exchange of a request, for placing the banner in a template.

    `carrier` is a WSGI `environ`, an ASGI `scope`, or any request object that has one of them as `.environ` or
    `.scope`. Raises MissingMiddleware when no middleware of consentkit has seen the request.
    """
    if type(carrier) is dict and KEY in carrier:  # as nearly every server has it
        return cast("Exchange", carrier[KEY])
    for holder in (carrier, getattr(carrier, "scope", None), getattr(carrier, "environ", None)):
        if isinstance(holder, Mapping) and KEY in holder:
            return cast("Exchange", holder[KEY])
    raise MissingMiddleware(
        "no consent middleware has seen this request",
        remedy="wrap the application in consentkit's ConsentMiddleware, outside of whatever asks for consent",
    )


def consent_from(carrier: object) -> Consent:
    """Tell what a request may do. Takes what `exchange_from` takes, and raises what it raises."""
    return exchange_from(carrier).consent
