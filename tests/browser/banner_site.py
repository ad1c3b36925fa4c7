"""A one-page site with the banner on it, for a browser: one visitor, real forms, real decisions, no ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from consentkit.banner import Urls, asset, declaration_page, notice_for, preferences_page, render_banner
from consentkit.consent import NOTHING, Consent, Decisions, NoticeRef, Signals, decide, resolve
from consentkit.policy import Policy, PolicyHistory
from consentkit.web.forms import answer_to, parse_submission
from tests.banner.world import NOW, POLICY

TICKET = "a-ticket"
URLS = Urls.under("/consent", cookie="consent")
TEXT = "<p>Three ships came in with the morning tide, and two of them will stay.</p>"


class Site:
    """Serves `/` with the banner, and consentkit's addresses below `/consent`, on a loopback port.

    `fault` makes posts fail: a status code, or "gone" to hang up. `answer` is merged into what a post answers as
    JSON. `keep` is the `Set-Cookie` of such an answer. `gate`, when cleared, holds posts back. `posts` are the forms that arrived, `pages` counts loads of `/`.
    """

    def __init__(self, region: str = "FR", policy: Policy = POLICY, **options: Any) -> None:
        self.policy, self.region = policy, region
        self.language: str = options.get("language", "en")
        self.signals = Signals(gpc=options.get("gpc", False))
        self.head: str = options.get("head", "")
        self.body: str = options.get("body", "")
        self.headers: Mapping[str, str] = options.get("headers", {})
        self.history = PolicyHistory(policy)
        self.decisions: Decisions = options.get("decisions", NOTHING)
        self.fault: int | str | None = None
        self.answer: dict[str, Any] = {}
        self.keep = "consent=1.something; Path=/"
        self.gate = threading.Event()
        self.gate.set()
        self.posts: list[dict[str, list[str]]] = []
        self.pages = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving."""
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def consent(self) -> Consent:
        """What holds for the visitor now."""
        return resolve(self.history, self.region, self.decisions, self.signals, NOW)

    def allowed(self) -> set[str]:
        """Everything that could be refused and is allowed."""
        names = self.policy.names - {"necessary", "login"}
        return {name for name in names if self.consent.allows(name)}

    def get(self, address: str) -> tuple[int, str, bytes]:
        """Answer a GET: status, media type, body."""
        path, _, query = address.partition("?")
        consent = self.consent
        notice = notice_for(self.policy, self.language, consent.regime.model)
        shared = {"consent": consent, "signals_shown": self.signals.gpc, "urls": URLS}
        if path == "/":
            self.pages += 1
            banner = render_banner(self.policy, notice, asked=consent.prompt, **shared)
            return 200, "text/html; charset=utf-8", self._page(banner).encode()
        if path == URLS.preferences:
            return 200, "text/html", preferences_page(self.policy, notice, ticket=query[3:] or None, **shared)
        if path == URLS.declaration:
            return 200, "text/html", declaration_page(self.policy, self.language, urls=URLS)
        if path == "/kept":
            return 200, "text/html", notice.html
        found = asset(path.rpartition("/")[2])
        return (200, found.media_type, found.body) if found else (404, "text/html", b"<p>Nothing")

    def post(self, media_type: str, body: bytes) -> dict[str, Any]:
        """Apply a decision and say what came of it."""
        consent = self.consent
        notice = notice_for(self.policy, self.language, consent.regime.model)
        about = NoticeRef(
            notice.digest, notice.policy, notice.language, notice.model, notice.layout, notice.template
        )
        answer = answer_to(parse_submission(media_type.encode(), body), about, self.policy)
        granting = not self.answer.get("grantsDropped")
        outcome = decide(self.history, self.decisions, answer, consent.regime, NOW, grants=granting)
        self.decisions = outcome.decisions
        granted = sorted(name for name in self.policy.names if self.consent.allows(name))
        return {
            "deviceOnly": False, "grantsDropped": False, "choices": f"{URLS.preferences}?of={TICKET}",
            "consent": {"granted": granted},
        } | self.answer  # fmt: skip

    def _page(self, banner: bytes) -> str:
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Harbour News</title>'
            f'<meta name="viewport" content="width=device-width">{self.head}</head><body>{banner.decode()}'
            f'<main><h1>Ships</h1><p><a href="/elsewhere">More</a></p>{self.body}{TEXT * 40}</main></body></html>'
        )


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        # A connection for each request: on one that is kept alive, Chromium repeats by itself a post that fails.
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            status, kind, body = site.get(self.path)
            self._send(status, kind, body, **site.headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            site.posts.append(parse_qs(body.decode(), keep_blank_values=True))
            site.gate.wait(20)
            if site.fault == "gone":
                self.close_connection = True
                self.connection.shutdown(2)
                return
            if isinstance(site.fault, int):
                self._send(site.fault, "text/plain", b"")
                return
            said = site.post(self.headers["Content-Type"], body)
            if "json" in self.headers.get("Accept", ""):
                self._send(200, "application/json", json.dumps(said).encode(), **{"Set-Cookie": site.keep})
            else:
                self._send(303, "text/plain", b"", Location=self.headers.get("Referer", "/"))

        def _send(self, status: int, kind: str, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler
