"""Expiring what refused services have left in the browser, in every variant a cookie can have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from consentkit.policy import CookieDeclaration, Service
from consentkit.policy.patterns import compile_pattern
from consentkit.web.set_cookie import format_set_cookie

__all__ = ["expirations"]

_MAX_LEVELS = 3  # of the request's path; a cookie set by a page lives in that page's folder or above
_MAX_NAME = 256


def expirations(
    carried: Iterable[tuple[str, Service]], *, host: str, path: str, secure: bool, cap: int, turn: int = 0
) -> tuple[bytes, ...]:
    """Give `Set-Cookie` values that delete the cookies `carried`, each with the service that declares it.

    A browser names its cookies only, not where they live: so each is deleted for the host itself and every
    parent domain, for the root and every folder of `path`, unless its declaration says where it lives. At most
    `cap` at once; `turn` chooses which when there are more, so that counting it up reaches all.
    """
    likely: list[bytes] = []
    unlikely: list[bytes] = []
    for name, service in carried:
        for at_root, value in _variants(name, service, host, path, secure=secure):
            (likely if at_root else unlikely).append(value)
    found = list(dict.fromkeys(likely + unlikely))
    turns = -(-len(found) // cap) or 1
    first = turn % turns * cap
    return tuple(found[first : first + cap])


def _variants(
    name: str, service: Service, host: str, path: str, *, secure: bool
) -> Iterator[tuple[bool, bytes]]:
    declared = [d for d in service.cookies if compile_pattern(d.name).fullmatch(name)]
    prefix = name.lower()
    if len(name) > _MAX_NAME or (prefix.startswith("__") and not secure):
        return
    if prefix.startswith("__host-"):
        declared = [d for d in declared if d.domain is None][:1]
    for declaration in declared:
        bare = prefix.startswith("__host-")
        domains = [None] if bare else _domains(declaration, host)
        paths = ["/"] if bare else _paths(declaration, path)
        for partitioned in (False, True) if declaration.partitioned and secure else (False,):
            for where in paths:
                for domain in domains:
                    value = _delete(name, domain, where, secure=secure, partitioned=partitioned)
                    if value is not None:
                        yield where == paths[0], value


def _delete(name: str, domain: str | None, path: str, *, secure: bool, partitioned: bool) -> bytes | None:
    """Write one deletion; None for a name or path that no `Set-Cookie` can carry."""
    try:
        return format_set_cookie(
            name, "", secure=secure, http_only=False, max_age=0, domain=domain, path=path,
            same_site="None" if partitioned else "Lax", partitioned=partitioned,
        )  # fmt: skip
    except ValueError:
        return None


def _domains(declaration: CookieDeclaration, host: str) -> list[str | None]:
    """Give the domains a cookie of `host` can have: None for the host alone, and its parents of two labels up."""
    if _is_address(host) or not host:
        return [None]
    labels = host.split(".")
    parents = [".".join(labels[start:]) for start in range(len(labels) - 1)]
    if declaration.domain is None:
        return [None, *parents]
    wanted = declaration.domain.lstrip(".").lower()
    # A third party's domain cannot be reached from here; what carries its cookie's name here is ours.
    return [wanted] if wanted in parents else [None, *parents]


def _paths(declaration: CookieDeclaration, path: str) -> list[str]:
    if declaration.path is not None:
        return [declaration.path]
    folders = path.split("/")[1:-1][:_MAX_LEVELS]
    return ["/", *("/" + "/".join(folders[:depth]) for depth in range(1, len(folders) + 1))]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
