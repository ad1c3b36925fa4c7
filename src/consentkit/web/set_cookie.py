"""`Set-Cookie` read and written as browsers do (RFC 6265 section 5.2 and its successor, rfc6265bis)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from consentkit.consent.cookie import CONSENT_NAMES, ID_NAMES
from consentkit.policy import NECESSARY, Lifetime, Policy
from consentkit.web.request import Headers

__all__ = [
    "Filtered",
    "cookie_name",
    "declared_lifetime",
    "filter_set_cookies",
    "format_set_cookie",
    "is_cookie_domain",
    "is_deletion",
]

_MAX_PAIR = 4096  # browsers drop a cookie whose name and value are longer (rfc6265bis section 5.6)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_PATH = re.compile(r"/[\x20-\x3a\x3c-\x7e]*")
_LONGEST = 400 * 86_400  # seconds
_SAME_SITE = frozenset({"Strict", "Lax", "None"})

_OWN = frozenset((*CONSENT_NAMES, *ID_NAMES))


def cookie_name(raw: bytes) -> str:
    """Give the name that a browser would store a `Set-Cookie` value under; "" when there is none.

    Only space and tab are trimmed: whatever else surrounds a name makes it another name.
    """
    end = raw.find(b"=")
    name = raw[: max(end, 0)]
    return "" if b";" in name else name.strip(b" \t").decode("latin-1")


def is_deletion(raw: bytes, now: int) -> bool:
    """Tell whether a `Set-Cookie` value makes a browser delete, at `now` (UTC milliseconds)."""
    left = _left(raw, now)
    return left is not None and left <= 0


def declared_lifetime(raw: bytes, now: int) -> str:
    """Give the lifetime that a policy would declare for a `Set-Cookie` value: "session", or rounded up, "30 days"."""
    left = _left(raw, now)
    if left is None:
        return "session"
    minutes = max(1, -(-min(left, _LONGEST * 1000) // 60_000))
    for size, unit in ((1440, "day"), (60, "hour")):
        if minutes >= size:
            return str(Lifetime(-(-minutes // size), unit))
    return str(Lifetime(minutes, "minute"))


def _left(raw: bytes, now: int) -> int | None:
    """Give how long a browser keeps a cookie, in milliseconds from `now`; None until it is closed.

    `Max-Age` wins over `Expires`, and the last usable one of each counts (RFC 6265 section 5.3 step 3).
    """
    max_age: int | None = None
    expires: int | None = None
    for attribute in raw.split(b";")[1:]:
        key, _, value = attribute.partition(b"=")
        key, value = key.strip(b" \t").lower(), value.strip(b" \t")
        if key == b"max-age":
            max_age = _seconds(value, max_age)
        elif key == b"expires":
            expires = _cookie_date(value, expires)
    if max_age is not None:
        return max_age * 1000
    return None if expires is None else expires - now


def _seconds(value: bytes, fallback: int | None) -> int | None:
    digits = value.removeprefix(b"-")
    if not (digits.isdigit() and digits.isascii()):
        return fallback
    # A browser keeps nothing for longer (rfc6265bis section 5.5), and a number may have any length.
    count = min(int(digits.lstrip(b"0")[:9] or b"0"), _LONGEST)
    return -count if value.startswith(b"-") else count


_DATE_TOKENS = re.compile(rb"[^\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(rb"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY = re.compile(rb"[0-9]{1,2}(?![0-9])")
_YEAR = re.compile(rb"[0-9]{2,4}(?![0-9])")
_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")


def _cookie_date(value: bytes, fallback: int | None) -> int | None:
    """Read a date as browsers do, in whatever order its parts stand (RFC 6265 section 5.1.1)."""
    clock: re.Match[bytes] | None = None
    day = month = year = None
    for token in _DATE_TOKENS.findall(value):
        if clock is None and (match := _TIME.match(token)):
            clock = match
        elif day is None and (match := _DAY.match(token)):
            day = int(match[0])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _YEAR.match(token)):
            year = int(match[0])
    if clock is None or day is None or month is None or year is None:
        return fallback
    year += 1900 if 70 <= year <= 99 else 2000 if year <= 69 else 0
    try:
        moment = datetime(year, month, day, int(clock[1]), int(clock[2]), int(clock[3]), tzinfo=UTC)
    except ValueError:
        return fallback
    return int(moment.timestamp()) * 1000 if year >= 1601 else fallback


class Filtered(NamedTuple):
    """What is left of a response's header fields, and which cookies were kept from it or are not declared.

    `blocked` holds the cookie's name and its service ("" when undeclared), `undeclared` its name and the field's value.
    """

    headers: Headers
    blocked: tuple[tuple[str, str], ...] = ()
    undeclared: tuple[tuple[str, bytes], ...] = ()


def filter_set_cookies(headers: Headers, allows: Callable[[str], bool], policy: Policy, now: int) -> Filtered:
    """Take out of a response the `Set-Cookie` fields of services that `allows` denies.

    Each field is looked at by itself, none is merged or split, and the rest keeps its order. Deletions always
    pass, so that a site can clean up; so do consentkit's own cookies and those of necessary services, for
    which `allows` is not even asked. An undeclared name passes unless the policy says `block`.
    """
    kept: list[tuple[bytes, bytes]] = []
    blocked: list[tuple[str, str]] = []
    undeclared: list[tuple[str, bytes]] = []
    for header in headers:
        if len(header[0]) != 10 or header[0].lower() != b"set-cookie":
            kept.append(header)
            continue
        name = cookie_name(header[1])
        service = policy.service_for_cookie(name)
        if service is None:
            told = _undeclared(name, header[1], policy.undeclared, now)
            undeclared += [(name, header[1])] * told
            if told and policy.undeclared == "block":
                blocked.append((name, ""))
            else:
                kept.append(header)
        elif service.category == NECESSARY or allows(service.id) or is_deletion(header[1], now):
            kept.append(header)
        else:
            blocked.append((name, service.id))
    return Filtered(kept if blocked else headers, tuple(blocked), tuple(undeclared))


def _undeclared(name: str, raw: bytes, rule: str, now: int) -> bool:
    """Tell whether an undeclared cookie is one to tell of: not one of consentkit's own, and no deletion."""
    return rule != "allow" and name not in _OWN and not is_deletion(raw, now)


def format_set_cookie(
    name: str,
    value: str,
    *,
    secure: bool,
    http_only: bool,
    max_age: int | None,
    domain: str | None = None,
    path: str = "/",
    same_site: str = "Lax",
    partitioned: bool = False,
) -> bytes:
    """Write a `Set-Cookie` value; `max_age` is in seconds, None lasts until the browser closes.

    Raises ValueError for anything that a browser would refuse or read otherwise than meant: characters that
    end a field or an attribute, a name prefix whose rules are not kept, `None` or `Partitioned` without
    `Secure`, more than 4096 bytes of name and value.
    """
    _check_pair(name, value)
    attributes = _attributes(
        name, secure=secure, http_only=http_only, max_age=max_age, domain=domain, path=path, same_site=same_site,
        partitioned=partitioned,
    )  # fmt: skip
    return f"{name}={value}{attributes}".encode("ascii")


@lru_cache(maxsize=1024)
def _attributes(
    name: str,
    *,
    secure: bool,
    http_only: bool,
    max_age: int | None,
    domain: str | None,
    path: str,
    same_site: str,
    partitioned: bool,
) -> str:
    """Write what follows a cookie's value, which is the same for all visitors."""
    _check_prefix(name, secure=secure, domain=domain, path=path)
    if same_site not in _SAME_SITE:
        raise ValueError(f"SameSite is Strict, Lax or None, not {same_site!r}")
    if (same_site == "None" or partitioned) and not secure:
        raise ValueError("a cookie with SameSite=None or Partitioned must be Secure")
    if domain is not None and not is_cookie_domain(domain):
        raise ValueError(f"{domain!r} is no domain of a cookie")
    if not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} is no path of a cookie")
    parts = ["", f"Path={path}", f"SameSite={same_site}"]
    parts += [f"Domain={domain}"] if domain else []
    parts += [f"Max-Age={max_age}"] if max_age is not None else []
    # A browser too old for Max-Age keeps a cookie that only says Max-Age=0.
    parts += ["Expires=Thu, 01 Jan 1970 00:00:00 GMT"] if max_age is not None and max_age <= 0 else []
    flags = (("Secure", secure), ("HttpOnly", http_only), ("Partitioned", partitioned))
    parts += [flag for flag, wanted in flags if wanted]
    return "; ".join(parts)


def is_cookie_domain(domain: str) -> bool:
    """Tell whether a cookie's `Domain` can name this host."""
    return _DOMAIN.fullmatch(domain) is not None


def _check_pair(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no cookie name (RFC 6265 section 4.1.1)")
    if not _VALUE.fullmatch(value):
        raise ValueError(
            f"the value of {name} holds characters that a cookie cannot (RFC 6265 section 4.1.1)"
        )
    if len(name) + len(value) > _MAX_PAIR:
        raise ValueError(f"{name} and its value take {len(name) + len(value)} bytes, more than {_MAX_PAIR}")


def _check_prefix(name: str, *, secure: bool, domain: str | None, path: str) -> None:
    # Browsers compare prefixes without regard to case (rfc6265bis section 5.6).
    prefix = name.lower()
    if prefix.startswith(("__secure-", "__host-")) and not secure:
        raise ValueError(f"{name} must be Secure, or no browser keeps it")
    if prefix.startswith("__host-") and (domain is not None or path != "/"):
        raise ValueError(f"{name} must have the path / and no domain, or no browser keeps it")
