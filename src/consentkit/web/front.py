"""What one manager shows to the web, worked out once and looked up by every request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from consentkit.banner import Notice, Urls, render_banner, render_control, render_script
from consentkit.consent.resolve import Consent, Reason
from consentkit.policy import NECESSARY, Model, Policy, Regime, Service
from consentkit.web.expire import expirations
from consentkit.web.jar import Jar
from consentkit.web.origin import mount_point
from consentkit.web.place import Place
from consentkit.web.protocol import Manager, Options
from consentkit.web.request import Request

__all__ = ["GPC_PATH", "MAX_NAME", "Front", "Fronts", "notice_model", "signal_shown"]

_log = logging.getLogger("consentkit.web")

GPC_PATH = "/.well-known/gpc.json"
_INSECURE = (
    "consent is kept in a cookie without the __Host- prefix and without Secure, since this host is reached over "
    "plain http: other hosts and anybody on the network can write it, so this is for development only"
)
_PLAIN = (
    "as far as this server is told, %r is reached over plain http, and there browsers drop the consent cookie, so that "
    "no choice is kept: have the proxy that speaks TLS pass on the scheme (X-Forwarded-Proto, with a server that "
    "trusts it), or name a host for development in the option insecure_hosts"
)
_ELSEWHERE = (
    "the host %r is none of the option site_origins, so it is taken for %s: have the proxy pass on Host, or name the "
    "origin there if visitors reach the site under it"
)
K = TypeVar("K")
V = TypeVar("V")
_KEPT = 1024  # fragments, addresses, cookie names: whatever a visitor could make grow
MAX_NAME = 128
"""How much of a cookie's name is remembered or logged."""
_NO = frozenset({Reason.REFUSED, Reason.SIGNAL})
_STRICTEST = (Model.OPT_IN, Model.OPT_OUT, Model.IMPLIED, Model.NOTICE)


def notice_model(regime: Regime, categories: tuple[str, ...]) -> Model:
    """Choose the model of the notice that asks `categories`: the strictest of theirs, or the regime's for none."""
    models = {regime.model_for(category) for category in categories}
    return next((model for model in _STRICTEST if model in models), regime.model)


class Front:
    """One manager's policy, options and rendered fragments, for requests to share."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self.options: Options = manager.options
        self.policy: Policy = manager.history.current
        self.prefix: str = self.options.prefix
        self.opened: int = manager.clock()
        self._fragments: dict[tuple[int, str, int], tuple[Consent, Urls, bytes]] = {}
        self._services: dict[bytes, Service | None] = {}
        self._urls: dict[tuple[str, str, str | None], Urls] = {}
        self._optional = [s.id for s in self.policy.services if s.category != NECESSARY]
        self._refusals: dict[int, tuple[Consent, frozenset[str]]] = {}
        self._warned: set[str] = set()
        self._told: set[tuple[str, str]] = set()

    def owns(self, path: str) -> bool:
        """Tell whether an endpoint of consentkit lives at `path`."""
        if path.startswith(self.prefix):
            return len(path) == len(self.prefix) or path[len(self.prefix)] == "/"
        return path == GPC_PATH

    def urls(self, request: Request) -> Urls:
        """Give the addresses of the endpoints, as the page's browser has to write them."""
        place = Place.of(request, self.options)
        if place.doubt is not None:
            self._doubt(request, place)
        jar = Jar.of(request, self.options)
        key = request.root_path, jar.name, jar.domain
        found = self._urls.get(key)
        if found is None:
            home = mount_point(request)
            found = Urls.under(f"{home[:-1]}{self.prefix}", home=home, cookie=jar.name, domain=jar.domain)
            if not jar.secure:
                self.warn_once("insecure", _INSECURE)
            _remember(self._urls, key, found)
        return found

    def _doubt(self, request: Request, place: Place) -> None:
        if place.doubt == "scheme":
            self.tell_once(logging.WARNING, _PLAIN, place.host)
        else:
            self.tell_once(logging.WARNING, _ELSEWHERE, request.host, place.site)

    def notice(self, consent: Consent, language: str, *, every: bool = False) -> Notice:
        """Give the notice for what a consent has to ask, or for `every` category."""
        categories = self.policy.category_ids if every or not consent.prompt else consent.prompt
        return self.manager.notice(language, notice_model(consent.regime, categories))

    def fragment(self, consent: Consent, request: Request) -> bytes:
        """Render all that a page needs: banner if there is something to ask, permanent control, script."""
        language = self.manager.language(request)
        urls = self.urls(request)
        # A manager gives many requests one and the same consent, which is quicker to look up than to compare.
        key = id(consent), language, id(urls)
        found = self._fragments.get(key)
        if found is None or found[0] is not consent or found[1] is not urls:
            found = consent, urls, self._render(consent, language, urls)
            _remember(self._fragments, key, found)
        return found[2]

    def _render(self, consent: Consent, language: str, urls: Urls) -> bytes:
        return render_banner(
            self.policy,
            self.notice(consent, language),
            asked=consent.prompt,
            consent=consent,
            signals_shown=signal_shown(consent),
            urls=urls,
        )

    def control(self, consent: Consent, request: Request) -> bytes:
        """Render the link that reopens the choices."""
        notice = self.notice(consent, self.manager.language(request))
        return render_control(self.policy, notice, consent=consent, urls=self.urls(request))

    def script(self, consent: Consent, request: Request) -> bytes:
        """Render the element that loads the script."""
        return render_script(self.policy, consent=consent, urls=self.urls(request))

    def deletions(
        self,
        request: Request,
        consent: Consent,
        withdrawn: frozenset[str] = frozenset(),
        *,
        first: bool = False,
    ) -> tuple[bytes, ...]:
        """Give `Set-Cookie` values that delete what refused services have left with this visitor.

        `withdrawn` names further categories and services. At most `options.expire_cap` at once: `first` begins
        with the likeliest, any other response takes its turn by the clock, so that a few of them reach all.
        """
        refused = self._refused(consent) | withdrawn if withdrawn else self._refused(consent)
        if not refused:
            return ()
        carried = [(n, s) for n, s in self._carried(request) if s.id in refused or s.category in refused]
        if not carried:
            return ()
        place = Place.of(request, self.options)
        return expirations(
            carried,
            host=place.host,
            path=f"{request.root_path}{request.path}",
            secure=place.secure,
            cap=self.options.expire_cap,
            turn=0 if first else self.manager.clock() // 1000,
        )

    def _refused(self, consent: Consent) -> frozenset[str]:
        """Give the services that were refused, by the visitor or by the browser's signal."""
        found = self._refusals.get(id(consent))
        if found is None or found[0] is not consent:
            found = consent, frozenset(s for s in self._optional if consent.reason(s) in _NO)
            _remember(self._refusals, id(consent), found)
        return found[1]

    def _carried(self, request: Request) -> list[tuple[str, Service]]:
        """Give the declared cookies that a request carries, but for those of necessary services."""
        found = {}
        for name, _ in request.cookies:
            try:
                service = self._services[name]
            except KeyError:
                service = self.policy.service_for_cookie(name.decode("latin-1"))
                if len(name) <= MAX_NAME:
                    _remember(self._services, name, service)
            if service is not None and service.category != NECESSARY:
                found[name.decode("latin-1")] = service
        return list(found.items())

    def warn_once(self, what: str, message: str) -> None:
        """Write a warning to the log, the first time that `what` comes up."""
        if what not in self._warned:
            self._warned.add(what)
            _log.warning(message)

    def tell_once(self, level: int, message: str, name: str, *more: object) -> None:
        """Write to the log what is to be said of a name, the first time that it comes up; of so many names at most."""
        if (message, name) not in self._told and len(self._told) < _KEPT:
            self._told.add((message, name))
            _log.log(level, message, name[:MAX_NAME], *more)


def signal_shown(consent: Consent) -> bool:
    """Tell whether a notice has the line about the browser's signal: it is on, and this regime honours it."""
    return consent.signals.gpc and bool(consent.regime.gpc)


class Fronts:
    """Finds the front for a request: always the same one, or by host where one application serves many sites."""

    def __init__(self, manager: Manager | Callable[[str], Manager | None]) -> None:
        self.single: Front | None = None if _by_host(manager) else Front(manager)  # type: ignore[arg-type]
        self._find = manager
        self._fronts: dict[int, Front] = {}
        self._missed: set[str] = set()

    def at(self, host: str) -> Front | None:
        """Give the front for a host, or None if the site's callable knows no manager for it.

        The callable says so with None or a LookupError. It must give the same manager for a host each time.
        """
        if self.single is not None:
            return self.single
        try:
            manager = self._find(host)  # type: ignore[operator]
        except LookupError:
            manager = None
        if manager is None:
            self._miss(host)
            return None
        front = self._fronts.get(id(manager))
        if front is None:
            front = self._fronts[id(manager)] = Front(manager)  # which keeps it, and with it its id
        return front

    def rest(self) -> None:
        """Have every manager that served a request finish what it writes: the server stops."""
        for front in (self.single, *self._fronts.values()):
            if front is not None:
                front.manager.rest()

    def _miss(self, host: str) -> None:
        if host not in self._missed and len(self._missed) < _KEPT:
            self._missed.add(host)
            _log.error(
                "no consent manager for host %r: nothing but what is necessary is allowed there, and no banner "
                "is shown (give the middleware a callable that knows it)", host,
            )  # fmt: skip


def _by_host(manager: object) -> bool:
    return callable(manager) and not hasattr(manager, "visit")


def _remember(kept: dict[K, V], key: K, value: V) -> None:
    """Keep a value, forgetting all others once there are too many."""
    if len(kept) >= _KEPT:
        kept.clear()
    kept[key] = value
