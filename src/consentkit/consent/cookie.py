"""The consent cookie: bytes in, typed values out; never an exception for what a visitor sends.

    value    = "1." key-id "." section *("." section) "." tag
    section  = policy "~" slots 1*("~" story)
    story    = flags time

`policy` is a short digest (8 base64url characters); it fixes the order of `slots`: one character for the
refusal of everything, then one for each category (sorted, without `necessary`), then one for each service
(sorted). A slot is `-` for no story, else the number of a story of this section, as a base64url digit;
trailing `-` are left out. `flags` is one base64url digit: 1 granted, 2 acknowledged, 4 by signal, 8 the
signal was shown, 16 a refusal that reaches exempt categories, 32 only the day is known. `time` is 3 digits
(days since the epoch) or 7 (milliseconds), most significant first. `tag` is HMAC-SHA-256 over all before its
dot, a newline, and the value of the id cookie (empty where nothing is granted), under a key derived for the
cookie's scope.

`0.refused` is the unsigned refusal: everything but `necessary` is refused, exempt categories included.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from hmac import compare_digest
from typing import Final

from attrs import evolve, frozen

from consentkit.consent.decision import DAY, NOTHING, Basis, Decisions, Story, end_of_day
from consentkit.consent.resolve import SKEW
from consentkit.keys import CookieKeys
from consentkit.policy import Policy, PolicyHistory, short_digest

__all__ = [
    "CONSENT_NAMES",
    "ID_NAMES",
    "MAX_VALUE",
    "NO_COOKIES",
    "REFUSAL_LIFETIME",
    "UNSIGNED_REFUSAL",
    "CookieState",
    "IdCookie",
    "decode",
    "encode",
    "encode_id",
    "fit",
    "parse_cookie_headers",
    "parse_id",
    "read",
]

CONSENT_NAMES: Final = ("__Host-consent", "__Secure-consent", "consent")
"""The cookie's possible names: on one host, shared by subdomains, on an insecure development host."""

ID_NAMES: Final = tuple(f"{name}-id" for name in CONSENT_NAMES)
"""The name of the id cookie that goes with each."""

UNSIGNED_REFUSAL: Final = "0.refused"
"""What the script writes when it cannot reach the server."""

MAX_VALUE: Final = 400
"""Bytes that a value never exceeds; see `fit`."""

REFUSAL_LIFETIME: Final = 400 * 24 * 3600
"""Seconds that a refusal is kept: the longest that browsers allow (RFC 6265bis, section 5.5)."""

_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_SLOTS: Final = _DIGITS[:62]
_OF_DAY: Final = (12, 6, 0)
_OF_TIME: Final = (36, 30, 24, 18, 12, 6, 0)
_FRAME: Final = len("ppppppppb~")
_STORY: Final = len("~ftttttttt")
_NONE: Final = "-"
_TAG: Final = 43
_GRANTED, _ACKNOWLEDGED, _SIGNAL, _SHOWN, _EXEMPT, _DAY = (1 << bit for bit in range(6))
_BASES: Final = {0: Basis.EXPRESS, _ACKNOWLEDGED: Basis.ACKNOWLEDGED, _SIGNAL: Basis.SIGNAL}
_FLAGS: Final = {basis: flag for flag, basis in _BASES.items()}
_SHAPE: Final = re.compile(r"1\.([A-Za-z0-9_-]{4})\.([A-Za-z0-9_~.-]+)\.([A-Za-z0-9_-]{43})")
_ID: Final = re.compile(r"([A-Za-z0-9_-]{22})\.(0|[1-9][0-9]{0,15})\.([A-Za-z0-9_-]{2,342})")
_UNREADABLE: Final = evolve(NOTHING, unreadable=True)


@frozen
class IdCookie:
    """What the HttpOnly id cookie of a visitor who granted something holds.

    `history` is 128 random bits as 22 base64url characters; `index` and `log_name` name the log entry.
    """

    history: str
    index: int
    log_name: str


@frozen
class CookieState:
    """All that the cookies of one request say.

    `present` names those of consentkit's cookies that the request carried; `value` is the value under the
    name in use, if there was exactly one. `unsigned` says that an unsigned refusal was among them, `strays`
    that other names than those in use came along.
    """

    decisions: Decisions
    id: IdCookie | None
    present: frozenset[str]
    value: str | None
    unsigned: bool = False
    strays: bool = False


NO_COOKIES: Final = CookieState(NOTHING, None, frozenset(), None)
"""What the cookies of a request say that carries none of ours."""


def parse_cookie_headers(raw: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Split every `Cookie` header into raw pairs, in order, duplicates kept.

    Only spaces and tabs are stripped: wider stripping lets a forged name pass for a `__Host-` one.
    """
    pairs = []
    for header in raw:
        for part in header.split(b";"):
            name, equals, value = part.partition(b"=")
            if equals:
                pairs.append((name.strip(b" \t"), value.strip(b" \t")))
    return pairs


def encode_id(cookie: IdCookie) -> str:
    """Write the id cookie's value."""
    log_name = urlsafe_b64encode(cookie.log_name.encode()).rstrip(b"=").decode()
    return f"{cookie.history}.{cookie.index}.{log_name}"


def parse_id(value: str) -> IdCookie | None:
    """Read the id cookie's value; None if it is not one."""
    match = _ID.fullmatch(value)
    if not match:
        return None
    try:
        raw = urlsafe_b64decode(match[3] + "=" * (-len(match[3]) % 4))
        cookie = IdCookie(match[1], int(match[2]), raw.decode())
    except ValueError:
        return None
    return cookie if encode_id(cookie) == value else None


def fit(decisions: Decisions, history: PolicyHistory) -> Decisions:
    """Give what of these decisions a cookie can hold: usually all.

    Where they are too many, the oldest grants go first. Refusals that are still too many become a refusal of
    everything, exempt categories included.
    """
    room = MAX_VALUE - len("1.kkkk..") - _TAG
    while not _surely_fits(decisions, history, room) and _length(decisions, history) > room:
        if not decisions.grants:
            newest = max(story.time for story in decisions.stories())
            refusal = Story(False, Basis.EXPRESS, end_of_day(newest), history.current.digest, day=True)
            return evolve(NOTHING, blanket=refusal, blanket_exempt=True)
        oldest = min(story.time for story in decisions.stories() if story.granted)
        decisions = evolve(
            decisions,
            categories=_without(decisions.categories, oldest),
            services=_without(decisions.services, oldest),
        )
    return decisions


def encode(
    decisions: Decisions, history: PolicyHistory, keys: CookieKeys, scope: str, id_value: str | None
) -> str:
    """Write and sign a consent cookie, at most MAX_VALUE bytes of `[A-Za-z0-9._~-]`.

    `decisions` are what `fit` gives, and not unreadable. `scope` is what the key is derived for:
    `host:example.com` or `domain:example.com`. Raises ValueError for a grant without an `id_value`, and for
    decisions that are empty or do not fit.
    """
    if decisions.grants and not id_value:
        raise ValueError("a grant needs the id cookie that it is bound to")
    sections = _sections(decisions, history)
    value = _sign(sections, keys, scope, id_value if decisions.grants else None)
    if not sections or len(value) > MAX_VALUE:
        raise ValueError("there is nothing to write" if not sections else "the decisions do not fit a cookie")
    return value


def _surely_fits(decisions: Decisions, history: PolicyHistory, room: int) -> bool:
    """Whether they would fit even if no two stories were alike, which is quicker to tell than to write them."""
    stories = list(decisions.stories())
    slots = len(history.current.names) + _FRAME
    policies = {story.policy for story in stories}
    return policies <= {history.current.digest} and slots + len(stories) * _STORY <= room


def _length(decisions: Decisions, history: PolicyHistory) -> int:
    return len(".".join(_sections(decisions, history)))


def _without(stories: Mapping[str, Story], granted_at: int) -> dict[str, Story]:
    return {name: s for name, s in stories.items() if not (s.granted and s.time == granted_at)}


def _sections(decisions: Decisions, history: PolicyHistory) -> list[str]:
    digests = sorted({story.policy for story in decisions.stories()})
    return [_section(decisions, policy) for digest in digests if (policy := history.find(digest))]


def _section(decisions: Decisions, policy: Policy) -> str:
    blanket, digest = decisions.blanket, policy.digest
    places: dict[str, str] = {}
    known: dict[
        int, str
    ] = {}  # an answer gives the same story to all that it speaks of, so most are written once
    slots = [_NONE]
    if blanket is not None and blanket.policy == digest:
        text = _write_story(blanket, exempt=decisions.blanket_exempt)
        slots = [places.setdefault(text, _SLOTS[0])]
    for stories, names in (
        (decisions.categories, policy.category_ids),
        (decisions.services, policy.service_ids),
    ):
        for name in names:
            story = stories.get(name)
            if story is None or story.policy != digest:
                slots.append(_NONE)
                continue
            if (slot := known.get(id(story))) is None:
                text = _write_story(story)
                slot = known[id(story)] = places.get(text) or places.setdefault(text, _SLOTS[len(places)])
            slots.append(slot)
    return "~".join([short_digest(digest), "".join(slots).rstrip(_NONE), *places])


def _write_story(story: Story, *, exempt: bool = False) -> str:
    flags = (
        _GRANTED * story.granted
        | _FLAGS[story.basis]
        | _SHOWN * story.signal_shown
        | _EXEMPT * exempt
        | _DAY * story.day
    )
    count, shifts = (story.time // DAY, _OF_DAY) if story.day else (story.time, _OF_TIME)
    return _DIGITS[flags] + "".join([_DIGITS[count >> shift & 63] for shift in shifts])


def _sign(sections: Sequence[str], keys: CookieKeys, scope: str, id_value: str | None) -> str:
    key_id = keys.signing.key_id
    value = ".".join(["1", key_id, *sections])
    return f"{value}.{_tag(value, keys, key_id, scope, id_value)}"


def _tag(value: str, keys: CookieKeys, key_id: str, scope: str, id_value: str | None) -> str:
    mac = keys.mac(key_id, scope, f"{value}\n{id_value or ''}".encode())
    return urlsafe_b64encode(mac)[:43].decode()


def decode(
    value: str,
    id_value: str | None,
    *,
    history: PolicyHistory,
    keys: CookieKeys,
    scope: str,
    now: int,
) -> Decisions:
    """Read one consent cookie; whatever cannot be used gives decisions that are `unreadable`."""
    if value == UNSIGNED_REFUSAL:
        refusal = Story(False, Basis.EXPRESS, end_of_day(now), history.current.digest, day=True)
        return evolve(NOTHING, blanket=refusal, blanket_exempt=True)
    match = _SHAPE.fullmatch(value) if len(value) <= MAX_VALUE else None
    if match is None or keys.find(match[1]) is None:
        return _UNREADABLE
    try:
        decisions = _parse(match[2], history)
    except (KeyError, IndexError, ValueError):
        return _UNREADABLE
    bound = id_value if decisions.grants else None
    tag = _tag(value[:-44], keys, match[1], scope, bound)
    ahead = any((s.time - DAY if s.day else s.time) > now + SKEW for s in decisions.stories())
    if (decisions.grants and not bound) or ahead or not compare_digest(tag, match[3]):
        return _UNREADABLE
    return decisions


def _parse(sections: str, history: PolicyHistory) -> Decisions:
    categories: dict[str, Story] = {}
    services: dict[str, Story] = {}
    blanket, exempt = None, False
    for section in sections.split("."):
        short, slots, *texts = section.split("~")
        policy = history.find(short)
        if policy is None:
            raise ValueError("a policy that was never in force here")
        stories = [_read_story(text, policy.digest) for text in texts]
        split = 1 + len(policy.category_ids)
        if slots[:1] not in ("", _NONE):
            at = _SLOTS.index(slots[0])
            blanket, exempt = stories[at], bool(_VALUES[texts[at][0]] & _EXEMPT)
        categories |= _named(policy.category_ids, slots[1:split], stories)
        services |= _named(policy.service_ids, slots[split:], stories)
    if blanket is not None and blanket.granted:
        raise ValueError("a blanket can only refuse")
    return Decisions(categories, services, blanket, exempt)


def _named(names: Sequence[str], slots: str, stories: Sequence[Story]) -> dict[str, Story]:
    if len(slots) > len(names):
        raise ValueError("more slots than the policy has names")
    pairs = zip(names, slots, strict=False)
    return {name: stories[_SLOTS.index(slot)] for name, slot in pairs if slot != _NONE}


def _read_story(text: str, policy: str) -> Story:
    flags = _VALUES[text[0]]
    day = bool(flags & _DAY)
    if len(text) != (4 if day else 8):
        raise ValueError("a time of another length")
    count = 0
    for digit in text[1:]:
        count = count << 6 | _VALUES[digit]
    basis = (
        Basis.ACKNOWLEDGED if flags & _ACKNOWLEDGED else Basis.SIGNAL if flags & _SIGNAL else Basis.EXPRESS
    )
    time = count * DAY + DAY - 1 if day else count
    return Story(bool(flags & _GRANTED), basis, time, policy, bool(flags & _SHOWN), day)


def read(
    pairs: Iterable[tuple[bytes, bytes]],
    *,
    history: PolicyHistory,
    keys: CookieKeys,
    scopes: Mapping[str, str],
    name: str,
    now: int,
) -> CookieState:
    """Read every cookie that could be ours.

    `name` is the consent cookie's name in use and `scopes` gives each possible name's scope. Grants count
    under `name` alone; any refusal counts under any name; a name that comes twice is unreadable.
    """
    found: dict[str, list[str]] = {}
    for raw_name, raw_value in pairs:
        if raw_name in _OURS:
            value = raw_value.decode("latin-1")
            if raw_name != _PLAIN or name == _PLAIN.decode() or _like_ours(value):
                found.setdefault(raw_name.decode(), []).append(value)
    if not found:
        return NO_COOKIES

    def one(cookie: str) -> str | None:
        values = found.get(cookie, ())
        return values[0] if len(values) == 1 else None

    def decisions(cookie: str) -> Decisions:
        value = one(cookie)
        if value is None:
            return _UNREADABLE if cookie in found else NOTHING
        return decode(value, one(f"{cookie}-id"), history=history, keys=keys, scope=scopes[cookie], now=now)

    merged = decisions(name)
    for other in CONSENT_NAMES:
        if other != name and other in found:
            merged = _with_refusals(merged, decisions(other), now)
    id_cookie = parse_id(one(f"{name}-id") or "")
    unsigned = any(UNSIGNED_REFUSAL in found.get(cookie, ()) for cookie in CONSENT_NAMES)
    strays = not found.keys() <= {name, f"{name}-id"}
    return CookieState(merged, id_cookie, frozenset(found), one(name), unsigned, strays)


_PLAIN: Final = CONSENT_NAMES[2].encode()


def _like_ours(value: str) -> bool:
    """Whether a value can be a consent cookie's: other software calls its own cookies `consent` as well."""
    return value == UNSIGNED_REFUSAL or _SHAPE.fullmatch(value) is not None


_OURS: Final = frozenset(name.encode() for name in (*CONSENT_NAMES, *ID_NAMES))


def _with_refusals(decisions: Decisions, other: Decisions, now: int) -> Decisions:
    """Add another cookie's refusals, as if they were made now; its grants never count."""
    refused = {n: evolve(s, time=now, day=False) for n, s in other.categories.items() if not s.granted}
    services = {n: evolve(s, time=now, day=False) for n, s in other.services.items() if not s.granted}
    blanket = other.blanket and evolve(other.blanket, time=now, day=False)
    return Decisions(
        categories={**decisions.categories, **refused},
        services={**decisions.services, **services},
        blanket=blanket or decisions.blanket,
        blanket_exempt=decisions.blanket_exempt or other.blanket_exempt,
        unreadable=decisions.unreadable or other.unreadable,
    )
