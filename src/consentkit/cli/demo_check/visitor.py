"""A visitor: a browser's habits over a real HTTP client, and what a visitor can see of an answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import httpx
from attrs import define, field, frozen

from consentkit.cli.demo_check.expect import Wrong, expect
from consentkit.cli.demo_check.jar import Cookie, Jar, parse_set_cookie
from consentkit.cli.demo_check.page import Form, Page, parse_page

__all__ = ["ALL", "ARTICLE", "Decision", "Seen", "Visitor"]

ARTICLE = "/news/tide-clock"
"""The page with everything that needs consent: two cookies and a third party's script."""
FILM = "clip"
ALL = frozenset({"_pc_id", "adnet_uid", FILM})
"""What that page has for a visitor who allows all of it."""

_NON_ESSENTIAL = frozenset({"_pc_id", "adnet_uid", "reader_theme"})
_EMBED = "https://widgets.example.net/"
_HTML = "text/html,application/xhtml+xml"


@frozen
class Decision:
    """What a visitor decided, for comparison with the ledger: the record must say the same."""

    event: str
    granted: frozenset[str]
    refused: frozenset[str]
    region: str | None
    notice: str
    policy: str
    signal: bool


@define(slots=False)
class Seen:
    """An answer, as a visitor's browser takes it."""

    response: httpx.Response

    @property
    def status(self) -> int:
        """The status code."""
        return self.response.status_code

    @cached_property
    def cookies(self) -> tuple[Cookie, ...]:
        """Every cookie that the answer sets or deletes."""
        return tuple(map(parse_set_cookie, self.response.headers.get_list("set-cookie")))

    @cached_property
    def page(self) -> Page:
        """The page."""
        return parse_page(self.response.text)

    @property
    def got(self) -> frozenset[str]:
        """What needs consent and is in this answer: cookies by name, and the film's script."""
        names = frozenset(one.name for one in self.cookies if not one.gone) & _NON_ESSENTIAL
        return names | {FILM} if any(source.startswith(_EMBED) for source in self.page.scripts) else names

    @property
    def expired(self) -> frozenset[str]:
        """The cookies that this answer deletes at the root."""
        return frozenset(one.name for one in self.cookies if one.gone and one.path == "/")

    @property
    def has_banner(self) -> bool:
        """Whether a banner asks."""
        return "ck-first" in self.page.ids

    @property
    def has_tab(self) -> bool:
        """Whether there is a link that reopens the choices."""
        return "/consent" in self.page.links

    def header(self, name: str) -> str:
        """Return a header field, empty when there is none."""
        return str(self.response.headers.get(name, ""))

    def banner(self, control: str) -> Form:
        """Return the form of the banner with the button `control`."""
        if not self.has_banner:
            raise Wrong("the page asks the visitor", "a banner", "none")
        return self.page.form("/consent/decision", control)


@define
class Visitor:
    """One browser with its own cookies. What it decides is written down in `decisions`."""

    client: httpx.Client
    decisions: list[Decision]
    region: str | None
    jar: Jar = field(factory=Jar)
    headers: dict[str, str] = field(factory=dict)
    at: str = "/"

    @property
    def origin(self) -> str:
        """The web origin of the site."""
        return str(self.client.base_url).rstrip("/")

    def get(self, path: str, **headers: str) -> Seen:
        """Ask for a page."""
        return self._send("GET", path, None, headers)

    def see(self, path: str = ARTICLE) -> Seen:
        """Ask for a page of the newspaper, which must come."""
        seen = self.get(path)
        expect(f"GET {path} answers with a page", seen.status, 200)
        self.at = path
        return seen

    def choices(self) -> Seen:
        """Open the choices with the tab."""
        seen = self.get("/consent")
        expect("GET /consent answers with the choices", seen.status, 200)
        self.at = "/consent"
        return seen

    def post(self, path: str, fields: Iterable[tuple[str, str]], **headers: str) -> Seen:
        """Post a form from the page that the visitor is on."""
        own = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": self.origin,
            "Referer": f"{self.origin}{self.at}",
            "Sec-Fetch-Site": "same-origin",
        }
        return self._send("POST", path, urlencode(list(fields)), own | headers)

    def submit(self, form: Form, control: str, on: Collection[str] | None = None) -> Seen:
        """Press a button of a form, with the toggles as they stand or as `on` says."""
        form.button(control)
        ticked = [name for name, state in form.toggles.items() if (state if on is None else name in on)]
        fields = [*form.fields.items(), *(("on", name) for name in ticked), ("control", control)]
        return self.post(form.action, fields)

    def decide(
        self,
        form: Form,
        control: str,
        event: str,
        *,
        granted: Iterable[str] = (),
        refused: Iterable[str] = (),
        on: Collection[str] | None = None,
    ) -> Seen:
        """Press a button by which something new is decided, and note what its record has to say."""
        seen = self.submit(form, control, on)
        expect(f"the choice {control!r} is taken", (seen.status, seen.header("location")), (303, self.at))
        self.note(form, event, granted=granted, refused=refused)
        return seen

    def note(
        self, form: Form, event: str, *, granted: Iterable[str] = (), refused: Iterable[str] = ()
    ) -> None:
        """Write down what the next record has to say."""
        posted = form.fields
        self.decisions.append(
            Decision(
                event,
                frozenset(granted),
                frozenset(refused),
                self.region,
                posted.get("notice", ""),
                posted.get("policy", ""),
                posted.get("signal") == "1",
            )
        )

    def state(self) -> dict[str, Any]:
        """Ask what holds, as a script does."""
        answer: dict[str, Any] = self.get("/consent/state", Accept="application/json").response.json()
        return answer

    def reason(self, name: str) -> str:
        """Ask why a category is as it is."""
        return str(self.state()["categories"][name]["reason"])

    def switch(self, **switches: str) -> None:
        """Turn a switch of the demo's panel."""
        seen = self.post("/demo/switch", switches.items())
        expect("the panel's switch is taken", seen.status, 303)
        if "region" in switches:
            self.region = None if switches["region"] == "unknown" else switches["region"]

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Seen:
        sent = {name: value for name, value in {"Accept": _HTML, **self.headers, **headers}.items() if value}
        if (cookies := self.jar.header(path)) and "Cookie" not in sent:
            sent["Cookie"] = cookies
        response = self.client.request(method, path, content=body, headers=sent)
        seen = Seen(response)
        self.jar.take(seen.cookies)
        return seen
