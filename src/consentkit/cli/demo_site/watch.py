"""Watching: what a site tried to set, what was let through, and what consentkit said about it meanwhile."""

from __future__ import annotations

from contextvars import ContextVar

from attrs import define, field

from consentkit.cli.demo_site.site import App, Headers, Message, Receive, Scope, Send
from consentkit.consent import Consent
from consentkit.web.set_cookie import cookie_name

__all__ = ["Answer", "Seen", "collect", "note", "seeing", "watched"]


@define
class Seen:
    """One exchange as it was seen: `tried` are the site's `Set-Cookie` values, `sent` those that left.

    `blocked` gives service and reason by cookie name, `recorded` event and index of a decision, or `unrecorded` what
    kept it from being recorded, all as consentkit's event hook told them. `notice` is the digest of the banner in
    the page, empty where there was none; `embed` says whether the third party's script is in it.
    """

    method: str
    path: str
    status: int = 0
    tried: tuple[bytes, ...] = ()
    sent: tuple[bytes, ...] = ()
    blocked: dict[str, tuple[str, str]] = field(factory=dict)
    recorded: tuple[str, int] | None = None
    unrecorded: str = ""
    consent: Consent | None = None
    notice: str = ""
    embed: bool = False

    def removed(self) -> tuple[str, ...]:
        """Return the names that the site tried to set and that did not leave; a deletion may have in their place."""
        return tuple(cookie_name(value) for value in self.tried if value not in self.sent)


seeing: ContextVar[Seen | None] = ContextVar("seeing", default=None)
"""The exchange that is under way."""


def note(event: str, /, **data: object) -> None:
    """Take what consentkit's event hook tells and put it to the exchange that is under way."""
    seen = seeing.get()
    if seen is None:
        return
    if event == "cookie.blocked":
        seen.blocked[str(data["name"])] = str(data["service"]), str(data["reason"])
    elif event == "decision.recorded" and isinstance(data["index"], int):
        seen.recorded = str(data["decision"]), data["index"]
    elif event == "decision.unrecorded":
        seen.unrecorded = str(data["error"])


@define
class Answer:
    """A response, held back as a whole."""

    status: int = 0
    headers: Headers = field(factory=list)
    body: bytes = b""

    def cookies(self) -> tuple[bytes, ...]:
        """Return its `Set-Cookie` values."""
        return tuple(value for name, value in self.headers if name.lower() == b"set-cookie")

    def replace(self, body: bytes) -> None:
        """Put another body in place, and its length with it."""
        self.body = body
        self.headers = [header for header in self.headers if header[0].lower() != b"content-length"]
        self.headers.append((b"content-length", str(len(body)).encode("ascii")))

    async def send(self, send: Send) -> None:
        """Let it go."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


async def collect(app: App, scope: Scope, receive: Receive) -> Answer:
    """Run an application and return its response; everything that this newspaper serves is small."""
    answer = Answer()

    async def take(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    await app(scope, receive, take)
    return answer


def watched(site: App) -> App:
    """Wrap a site, inside of consentkit, to see what it tries to set."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def relay(message: Message) -> None:
            seen = seeing.get()
            if seen is not None and message["type"] == "http.response.start":
                seen.tried = Answer(headers=list(message.get("headers", ()))).cookies()
            await send(message)

        await site(scope, receive, relay)

    return app
