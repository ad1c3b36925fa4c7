"""What the log says about itself: keys, policies, notices and tombstones, from its own entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from hashlib import sha256

from attrs import define, field, frozen

from consentkit.audit.findings import Findings
from consentkit.audit.pack import bundle_path
from consentkit.audit.tree import Bundle
from consentkit.errors import InvalidKey, InvalidLog
from consentkit.evidence.entry import (
    Entry,
    ErasedEntry,
    ExpiredEntry,
    HoldEntry,
    KeyEntry,
    KeyRevocation,
    NoticeEntry,
    PolicyEntry,
    PredecessorEntry,
    parse_entry,
)
from consentkit.evidence.keyring import IntroducedKey, KeyRing
from consentkit.keys import check_public_key
from consentkit.tlog import TILE_WIDTH

__all__ = ["RECORD_PREFIX", "Bits", "Facts", "LogState"]

RECORD_PREFIX = b"consentkit/1 record "

_TOLD = 1000  # reasons and days that are told apart: a log may have any number
_OTHERS = "other reasons"


@frozen
class Facts:
    """What records are judged by: record keys by id, index and version of policies, and index of notices, by digest.

    `complete` is False when some entries could not be had: what is missing here may be said there.
    """

    log_name: str
    keys: Mapping[str, IntroducedKey]
    policies: Mapping[str, tuple[int, str]]
    notices: Mapping[str, int]
    expired_below: int
    complete: bool


class Bits:
    """A set of indexes, one bit each."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, index: int) -> None:
        """Put `index` in."""
        if (missing := index // 8 + 1 - len(self._bytes)) > 0:
            self._bytes.extend(bytes(missing))
        self._bytes[index // 8] |= 1 << index % 8

    def __contains__(self, index: int) -> bool:
        place = index // 8
        return place < len(self._bytes) and bool(self._bytes[place] >> index % 8 & 1)


@define
class LogState:
    """Gathers what the entries say, bundle by bundle in order.

    `predecessor` is the entry about the log that this one carries on after. `digests` holds SHA-256 of every bundle
    (32 bytes each), so that a bundle which reads differently the next time is noticed. `kinds` counts entries.
    """

    findings: Findings
    keys: KeyRing = field(factory=KeyRing)
    policies: dict[str, tuple[int, str]] = field(factory=dict)
    notices: dict[str, int] = field(factory=dict)
    erased: Bits = field(factory=Bits)
    expired_below: int = 0
    erasures: Counter[tuple[str, date | None]] = field(factory=Counter)
    expiries: dict[int, date] = field(factory=dict)
    holds: dict[str, tuple[int, int | None]] = field(factory=dict)
    predecessor: PredecessorEntry | None = None
    kinds: Counter[str] = field(factory=Counter)
    digests: dict[int, bytes] = field(factory=dict)
    wrong: dict[int, frozenset[int]] = field(factory=dict)

    def facts(self, log_name: str, *, complete: bool) -> Facts:
        """Return what all records of the log are judged by, once all bundles were taken in."""
        complete = complete and not self.wrong
        keys = {key_id: key for (purpose, key_id), key in self.keys.keys.items() if purpose == "record"}
        return Facts(log_name, keys, self.policies, self.notices, self.expired_below, complete)

    def take(self, bundle: Bundle) -> None:
        """Take in the entries of a bundle that are those of the signed tree."""
        self.digests[bundle.number] = sha256(bundle.data).digest()
        if bundle.wrong:
            self.wrong[bundle.number] = bundle.wrong
        first = bundle.number * TILE_WIDTH
        others = [place for place, line in enumerate(bundle.entries) if not line.startswith(RECORD_PREFIX)]
        self.kinds["record"] += len(bundle.entries) - len(others)
        path = bundle_path(bundle.number, len(bundle.entries))
        for place in others:
            if place not in bundle.wrong:
                self._take_line(_Place(path, first + place), bundle.entries[place])

    def _take_line(self, place: _Place, line: bytes) -> None:
        try:
            entry = parse_entry(line)
        except InvalidLog as error:
            self._add("entry-malformed", f"entry {place.index} is malformed: {error.message}", place)
            self.kinds["malformed"] += 1
            return
        self.kinds[_KINDS.get(type(entry), "unknown")] += 1
        self._take_entry(place, entry)

    def _take_entry(self, place: _Place, entry: Entry) -> None:
        match entry:
            case PolicyEntry(digest, version):
                if self.policies.setdefault(digest, (place.index, version))[1] != version:
                    self._add("policy-version", f"entry {place.index} gives a policy another version", place)
            case NoticeEntry(digest):
                self.notices.setdefault(digest, place.index)
            case KeyEntry() | KeyRevocation():
                self._take_key(place, entry)
            case ErasedEntry(index):
                if index < place.index:
                    self._erase(entry)
                else:
                    self._add("tombstone-invalid", f"entry {place.index} erases index {index}", place)
            case ExpiredEntry(size, day):
                if size <= place.index:
                    self._expire(size, day)
                else:
                    self._add("tombstone-invalid", f"entry {place.index} expires up to index {size}", place)
            case _:
                self._take_other(place, entry)

    def _take_other(self, place: _Place, entry: Entry) -> None:
        match entry:
            case HoldEntry():
                self._take_hold(place, entry)
            case PredecessorEntry(log_name, size, _) if not place.index:
                self.predecessor = entry
                self._add("log-continued", f"the log carries on after {size} entries of {log_name!r}", place)
            case PredecessorEntry(log_name, _, _):
                message = f"entry {place.index} says that the log carries on after {log_name!r}"
                self._add("predecessor-misplaced", message, place)
            case _:
                self._add("entry-unknown", f"entry {place.index} is of an unknown kind", place)

    def _erase(self, entry: ErasedEntry) -> None:
        self.erased.add(entry.index)
        told: tuple[str, date | None] = entry.reason, entry.date
        if told not in self.erasures and len(self.erasures) >= _TOLD:
            told = _OTHERS, None
        self.erasures[told] += 1

    def _expire(self, size: int, day: date) -> None:
        if size > self.expired_below:
            self.expired_below = size
            self.expiries = {size: day} if len(self.expiries) >= _TOLD else {**self.expiries, size: day}

    def _take_hold(self, place: _Place, entry: HoldEntry) -> None:
        placed, released = self.holds.get(entry.hold_id, (None, None))
        if entry.action == "hold" and placed is None:
            self.holds[entry.hold_id] = place.index, None
        elif entry.action == "release" and placed is not None and released is None:
            self.holds[entry.hold_id] = placed, place.index
        else:
            words = (
                "places a hold that was there before"
                if placed is not None and entry.action == "hold"
                else ("releases a hold that is not in force")
            )
            self._add("hold-invalid", f"entry {place.index} {words}: {entry.hold_id}", place)

    def _take_key(self, place: _Place, entry: KeyEntry | KeyRevocation) -> None:
        if problem := _key_problem(entry, self.keys.find(entry.purpose, entry.key_id)):
            self._add("key-invalid", f"entry {place.index}: {problem}", place)
        else:
            self.keys = self.keys.after(place.index, entry)

    def _add(self, id: str, message: str, place: _Place) -> None:  # noqa: A002
        self.findings.add(id, message, place.file, place.index)


@frozen
class _Place:
    file: str
    index: int


def _key_problem(entry: KeyEntry | KeyRevocation, known: IntroducedKey | None) -> str:
    """Say what is wrong with an entry about a key, given what the log said of it before; "" if nothing."""
    if isinstance(entry, KeyRevocation):
        return "" if known else "the key was never introduced"
    if entry.action == "retire":
        if known is None or known.public_key != entry.public_key:
            return "the key was never introduced"
        return "" if known.retired is None else "the key is retired already"
    try:
        check_public_key(entry.public_key)
    except InvalidKey as error:
        return error.message
    return "a key that was given up is introduced again" if known and not known.active else ""


_KINDS = {
    PolicyEntry: "policy",
    NoticeEntry: "notice",
    KeyEntry: "key",
    KeyRevocation: "key",
    ErasedEntry: "erased",
    ExpiredEntry: "expired",
    HoldEntry: "hold",
    PredecessorEntry: "predecessor",
}
