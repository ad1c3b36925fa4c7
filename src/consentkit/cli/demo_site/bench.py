"""The bench that the newspaper and consentkit stand on: it turns the switches, watches, and shows what it saw."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import define

from consentkit import ConsentManager
from consentkit.adapters.asgi import exchange_from
from consentkit.audit import AuditReport, audit
from consentkit.cli.demo_site.content import asset
from consentkit.cli.demo_site.folder import DemoFolder
from consentkit.cli.demo_site.pages import EMBED, HOOD, STRIP
from consentkit.cli.demo_site.panel import Shown, fragment, panel, strip
from consentkit.cli.demo_site.site import (
    App,
    Headers,
    Receive,
    Scope,
    Send,
    courier,
    integrated,
    read_form,
)
from consentkit.cli.demo_site.switches import LANGUAGES, REGIONS, SIGNAL, Switches, cookies_in, region_of
from consentkit.cli.demo_site.watch import Answer, Seen, collect, note, seeing, watched
from consentkit.errors import BadRequest
from consentkit.evidence.record import parse_record
from consentkit.tlog import TrustPolicy
from consentkit.web.origin import check_origin, return_path
from consentkit.web.protocol import Options
from consentkit.web.request import Request

__all__ = ["Bench", "open_demo"]

_VISITOR = "demo-visitor"
_REMEMBERED = 500
_HTML = "text/html; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_OWN = "/demo/"
_ACTIONS = ("switch", "forget", "audit")
_BANNER = b'id="ck-first"'


@contextmanager
def open_demo(folder: DemoFolder) -> Iterator[App]:
    """Open the newspaper with consentkit around it, and the bench around both."""
    with integrated(folder, watched(courier), region=region_of, on_event=note) as (app, manager):
        yield Bench(app, manager, folder)


@define
class _Visitor:
    """What is remembered of one visitor, in memory only."""

    name: str
    page: Seen | None = None
    decision: Seen | None = None
    stale: bool = False
    report: AuditReport | None = None


class Bench:
    """An ASGI application around the site: what a visitor's browser and network do, and the panel."""

    def __init__(self, app: App, manager: ConsentManager, folder: DemoFolder) -> None:
        self._app, self._manager, self._folder = app, manager, folder
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        cookies = cookies_in(scope["headers"])
        visitor, switches = self._known(cookies.get(_VISITOR, "")), Switches.of(cookies)
        if scope["path"].startswith(_OWN):
            answer = await self._own(visitor, scope, receive)
        else:
            answer = await self._watch(visitor, switches, switches.turned(scope), receive)
        if visitor.name not in self._visitors and visitor.page is not None:
            self._remember(visitor)
            answer.headers.append(_cookie(_VISITOR, visitor.name, "HttpOnly"))
        await answer.send(send)

    def _known(self, name: str) -> _Visitor:
        """Find a visitor again; one who is not known has a new name, and is remembered with the first page."""
        found = self._visitors.get(name)
        if found is None:
            return _Visitor(secrets.token_hex(16))
        self._visitors.move_to_end(name)
        return found

    def _remember(self, visitor: _Visitor) -> None:
        """Take down a visitor, in place of the one longest unseen when there are many."""
        self._visitors[visitor.name] = visitor
        if len(self._visitors) > _REMEMBERED:
            self._visitors.popitem(last=False)

    async def _watch(self, visitor: _Visitor, switches: Switches, scope: Scope, receive: Receive) -> Answer:
        """Pass a request to the site, and put into a page what was seen of it."""
        seen = Seen(scope["method"], scope["path"])
        token = seeing.set(seen)
        try:
            answer = await collect(self._app, scope, receive)
        finally:
            seeing.reset(token)
        seen.status, seen.sent = answer.status, answer.cookies()
        if seen.path == f"{self._manager.options.prefix}/decision" and seen.status < 400:
            visitor.decision, visitor.stale = seen, visitor.page is not None
        if HOOD in answer.body:
            self._look(seen, scope, answer.body)
            visitor.page, visitor.stale = seen, False
            shown = self._shown(visitor, scope)
            page = answer.body.replace(STRIP, strip(shown, switches), 1)
            answer.replace(page.replace(HOOD, panel(shown, switches), 1))
        return answer

    def _look(self, seen: Seen, scope: Scope, body: bytes) -> None:
        """Note what a page is made of."""
        exchange = exchange_from(scope)
        seen.consent = exchange.consent
        seen.embed = EMBED.encode() in body
        if _BANNER in body:
            language = self._manager.language(exchange.request)
            seen.notice = exchange.front.notice(seen.consent, language).digest

    # The bench's own addresses

    async def _own(self, visitor: _Visitor, scope: Scope, receive: Receive) -> Answer:
        name, method = scope["path"].removeprefix(_OWN), scope["method"]
        if method == "GET" and name == "panel":
            return self._panel(visitor, scope)
        if method == "GET" and (found := asset(name)):
            return _answer(200, *found, (b"cache-control", b"public, max-age=3600"))
        if method != "POST" or name not in _ACTIONS:
            return _answer(404, _TEXT, b"There is nothing here.\n")
        try:
            check_origin(_request(scope), Options())
        except BadRequest as error:
            return _answer(error.status, _TEXT, f"{error.message}\n".encode())
        return await self._act(name, visitor, scope, receive)

    async def _act(self, name: str, visitor: _Visitor, scope: Scope, receive: Receive) -> Answer:
        request = _request(scope)
        headers: Headers = []
        if name == "audit":
            visitor.report = await asyncio.to_thread(self._audit)
            if request.header_values(b"x-fragment"):
                return self._panel(visitor, scope)
        elif name == "switch":
            headers = _turned(await read_form(receive))
        else:
            headers = [_cookie(cookie, "", "Max-Age=0") for cookie in cookies_in(scope["headers"])]
        location = return_path(request, self._manager.options).encode("ascii")
        return _answer(303, _HTML, b"", (b"location", location), *headers)

    def _panel(self, visitor: _Visitor, scope: Scope) -> Answer:
        turned = Switches.of(cookies_in(scope["headers"])).turned(scope)
        return _answer(200, _HTML, fragment(self._shown(visitor, turned)), (b"cache-control", b"no-store"))

    def _audit(self) -> AuditReport:
        """Export the ledger and audit it, just as the two commands do."""
        trust = TrustPolicy.parse(self._folder.trust.read_bytes())
        with TemporaryDirectory(prefix="consentkit-audit-") as made:
            self._manager.ledger.export(Path(made) / "pack")
            return audit(Path(made) / "pack", trust)

    def _shown(self, visitor: _Visitor, scope: Scope) -> Shown:
        """Gather what the panel shows to a visitor."""
        decision, ledger, request = visitor.decision, self._manager.ledger, _request(scope)
        return Shown(
            language=self._manager.language(request),
            page=visitor.page,
            decision=decision,
            stale=visitor.stale,
            record=self._claims(decision.recorded[1]) if decision and decision.recorded else None,
            consent=self._manager.visit(request).consent,
            size=ledger.size,
            checkpoint=ledger.checkpoint().decode("utf-8"),
            report=visitor.report,
        )

    def _claims(self, index: int) -> Mapping[str, object] | None:
        opening = self._manager.ledger.opening(index)
        return None if opening is None else parse_record(opening.record).claims


def _turned(form: Mapping[str, str]) -> Headers:
    """Turn the switches that a form names, each to what it can be."""
    known = {"region": REGIONS, "language": LANGUAGES, "gpc": SIGNAL}
    return [
        _cookie(f"demo-{name}", form[name], "Max-Age=604800")
        for name, values in known.items()
        if form.get(name) in values
    ]


def _cookie(name: str, value: str, *attributes: str) -> tuple[bytes, bytes]:
    written = "; ".join([f"{name}={value}", "Path=/", "SameSite=Lax", *attributes])
    return b"set-cookie", written.encode("latin-1", "replace")


def _answer(status: int, kind: str, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    answer = Answer(status, [(b"content-type", kind.encode("ascii")), *headers])
    answer.replace(body)
    return answer


def _request(scope: Scope) -> Request:
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=scope["headers"],
        scheme=scope.get("scheme", "http"),
    )
