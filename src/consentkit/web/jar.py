"""Where a visitor's consent is kept: which cookies, under which name and key, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import attrs

from consentkit.consent.cookie import CONSENT_NAMES, REFUSAL_LIFETIME
from consentkit.web.place import Place
from consentkit.web.protocol import Options
from consentkit.web.request import Request
from consentkit.web.set_cookie import format_set_cookie, is_cookie_domain

__all__ = ["Jar"]

_HOST, _SHARED, _PLAIN = CONSENT_NAMES


@attrs.frozen
class Jar:
    """The consent cookie and its id cookie on one host: `name` is in use, `scopes` keys every possible name."""

    host: str
    name: str
    scopes: Mapping[str, str]
    secure: bool
    domain: str | None

    @staticmethod
    def of(request: Request, options: Options) -> Jar:
        """Choose by host: the plain name for insecure development hosts, the shared one below a shared domain."""
        place = Place.of(request, options)
        return _jar(place.host, place.secure, options.shared_domain)

    @property
    def scope(self) -> str:
        """What the key of the cookie in use is derived for."""
        return self.scopes[self.name]

    @property
    def own(self) -> frozenset[str]:
        """The names in use."""
        return frozenset((self.name, f"{self.name}-id"))

    def set(self, value: str) -> bytes:
        """Write the consent cookie, readable by the page's script."""
        return self._write(self.name, value, max_age=REFUSAL_LIFETIME, http_only=False)

    def set_id(self, value: str) -> bytes:
        """Write the id cookie of a visitor who granted something."""
        return self._write(f"{self.name}-id", value, max_age=REFUSAL_LIFETIME, http_only=True)

    def drop_id(self) -> bytes:
        """Expire the id cookie."""
        return self._write(f"{self.name}-id", "", max_age=0, http_only=True)

    def drop_others(self, present: frozenset[str]) -> tuple[bytes, ...]:
        """Expire what came under other names, for each domain that it can have been set for."""
        return tuple(
            format_set_cookie(
                name, "", secure=name.startswith("__"), http_only=False, max_age=0, domain=domain
            )
            for name in sorted(present - self.own)
            for domain in ([None] if name.startswith("__Host-") else _domains(self.host))
        )

    def _write(self, name: str, value: str, *, max_age: int, http_only: bool) -> bytes:
        return format_set_cookie(
            name, value, secure=self.secure, http_only=http_only, max_age=max_age, domain=self.domain
        )


@lru_cache(maxsize=1024)
def _jar(host: str, secure: bool, domain: str | None) -> Jar:
    scopes = {_HOST: f"host:{host}", _PLAIN: f"host:{host}", _SHARED: f"domain:{domain or ''}"}
    if not secure:
        return Jar(host, _PLAIN, scopes, secure=False, domain=None)
    shared = domain is not None and f".{host}".endswith(f".{domain}")
    return Jar(host, _SHARED if shared else _HOST, scopes, secure=True, domain=domain if shared else None)


def _domains(host: str) -> list[str | None]:
    """No domain, then the host and each parent that a cookie's Domain may name."""
    labels = host.split(".")
    if len(labels) == 1 or labels[-1].isdigit() or host.startswith("["):
        return [None]
    parents = [".".join(labels[at:]) for at in range(len(labels) - 1)]
    return [None, *(parent for parent in parents if is_cookie_domain(parent))]
