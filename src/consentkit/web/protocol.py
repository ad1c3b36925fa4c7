"""The seam between `web` and the manager: what each may expect of the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import attrs

from consentkit.consent.cookie import IdCookie
from consentkit.consent.decision import Answer, Decisions, Event
from consentkit.consent.resolve import Consent
from consentkit.errors import InvalidOption
from consentkit.policy import Model, PolicyHistory
from consentkit.web.request import Request, parse_authority, split_site

if TYPE_CHECKING:
    from consentkit.banner import Notice

__all__ = ["Decided", "Manager", "Options", "Visit"]

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


def _web_origin(value: str) -> str:
    """Check a web origin as browsers write it in `Origin`, and drop a default port."""
    scheme, _, rest = value.lower().partition("://")
    authority = parse_authority(rest.encode("utf-8"), scheme)
    if scheme not in ("http", "https") or not authority:
        raise InvalidOption(
            f"site_origins: {value!r} is no web origin", remedy='write it as "https://example.com"'
        )
    return f"{scheme}://{authority}"


def _web_origins(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidOption(f"site_origins: {values!r} is one text", remedy=f"give a list: [{values!r}]")
    return tuple(map(_web_origin, values))


def _hosts(values: Iterable[str]) -> frozenset[str]:
    if isinstance(values, str):
        raise InvalidOption(f"insecure_hosts: {values!r} is one text", remedy=f"give a list: [{values!r}]")
    found = frozenset(value.lower() for value in values)
    for host in found:
        if parse_authority(host.encode("utf-8"), "") != host or split_site(f"http://{host}")[1] != host:
            raise InvalidOption(
                f"insecure_hosts: {host!r} is no host", remedy='write it as "dev.example.com", without a port'
            )
    return found


def _is_prefix(_: object, __: object, value: str) -> None:
    if not _PREFIX.fullmatch(value) or ".." in value:
        raise InvalidOption(
            f"prefix: {value!r} is no path", remedy='write it as "/consent", without a final slash'
        )


def _is_shared_domain(_: object, __: object, value: str | None) -> None:
    if value is not None and not _DOMAIN.fullmatch(value):
        raise InvalidOption(f"shared_domain: {value!r} is no domain", remedy='write it as "example.com"')


def _is_count(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise InvalidOption(f"{attribute.name}: {value!r} is too small", remedy="give a number from 1 up")


@attrs.frozen(kw_only=True)
class Options:
    """How consentkit behaves towards the web. Raises InvalidOption for a value that cannot work.

    `prefix` is where its endpoints live, below the application's mount point. `site_origins` are the web origins
    that visitors reach the site under: their pages may post decisions, and a request whose `Host` a proxy has changed
    is taken for theirs (none: the origin that was asked). `allow_originless` accepts
    decisions from clients that say nothing of where they come from: browsers of before 2020 without scripts.
    `inject` puts the banner into HTML pages by itself. `shared_domain` lets the hosts below it share one
    consent cookie. `insecure_hosts` are development hosts, besides loopback ones, that are reached over plain http.
    `serve_log` lets everybody read the public log
    below `log/`. `max_body` caps a posted decision, in bytes. `expire_cap` caps the cookies that one response
    expires.
    """

    prefix: str = attrs.field(default="/consent", validator=_is_prefix)
    site_origins: tuple[str, ...] = attrs.field(default=(), converter=_web_origins)
    allow_originless: bool = False
    inject: bool = True
    shared_domain: str | None = attrs.field(default=None, validator=_is_shared_domain)
    insecure_hosts: frozenset[str] = attrs.field(default=frozenset(), converter=_hosts)
    serve_log: bool = False
    max_body: int = attrs.field(default=8192, validator=_is_count)
    expire_cap: int = attrs.field(default=20, validator=_is_count)


@attrs.frozen
class Visit:
    """What the manager read from one request.

    `present` are the names of consentkit's own cookies that came with it. `set_cookies` are `Set-Cookie`
    values that any response to it must add: a refusal renewed, an unsigned one replaced, stray names expired.
    """

    decisions: Decisions
    consent: Consent
    id: IdCookie | None
    present: frozenset[str] = frozenset()
    set_cookies: tuple[bytes, ...] = ()
    grants: bool = attrs.field(init=False)
    """Whether the decisions grant anything."""

    @grants.default
    def _any_grants(self) -> bool:
        return self.decisions.grants


@attrs.frozen(kw_only=True)
class Decided:
    """What came of a posted decision.

    `recorded`: it is in the ledger, at `index`. `device_only`: a refusal is in force in this browser alone,
    since nothing durable could be written; `spooled`: it is durable on this machine and will be recorded.
    `conflict`: its idempotency key came with another request before. `retry_after`: so many seconds from now a
    grant may be tried again, since too many came at once. `grants_dropped`: what was to be granted is not; the
    visitor must try again. `withdrawn` names the categories and services whose cookies have to go. `ticket` leads to
    the receipt for an hour, for a visitor who carries nothing that would; it is stored nowhere.
    """

    consent: Consent
    set_cookies: tuple[bytes, ...] = ()
    event: Event | None = None
    index: int | None = None
    recorded: bool = False
    spooled: bool = False
    device_only: bool = False
    conflict: bool = False
    retry_after: int | None = None
    grants_dropped: bool = False
    withdrawn: frozenset[str] = frozenset()
    ticket: str | None = None


class Manager(Protocol):
    """What `web` asks of a manager. No method raises for anything that a visitor sent."""

    @property
    def history(self) -> PolicyHistory:
        """Every policy that was in force."""

    @property
    def options(self) -> Options:
        """How to behave towards the web."""

    @property
    def clock(self) -> Callable[[], int]:
        """Gives the time, in UTC milliseconds."""

    def visit(self, request: Request) -> Visit:
        """Read what a request says of its visitor. Writes nothing."""

    def decide_for(self, request: Request, answer: Answer, key: str | None = None) -> Decided:
        """Put an answer into force and record it, once for each idempotency key. Blocks until that is durable.

        Raises BadRequest for a grant whose key is too weak to be this visitor's alone.
        """

    async def adecide_for(self, request: Request, answer: Answer, key: str | None = None) -> Decided:
        """Do as `decide_for` does, without blocking the event loop."""

    def notice(self, language: str, model: Model) -> Notice:
        """Give the notice in force, as published."""

    def notice_by_digest(self, digest: str) -> Notice | None:
        """Give a notice that was published, by its digest; None when there is none."""

    def region(self, request: Request) -> str | None:
        """Tell where the visitor is, as `Policy.regime_for` takes it; None when unknown."""

    def language(self, request: Request) -> str:
        """Choose one of the policy's languages for a request."""

    def receipt(self, request: Request) -> bytes | None:
        """Give the receipt (JSON) of the decision that a request names, by ticket or id cookie; None without one."""

    def log_file(self, name: str) -> bytes | None:
        """Give one file of the public log, as c2sp.org/tlog-tiles names them; None for what is not there."""

    def rest(self) -> None:
        """Finish what is to be written, and let go of connections until the next request: the server stops."""

    def emit(self, event: str, **data: object) -> None:
        """Tell the site's event hook that something happened; `data` holds nothing personal."""
