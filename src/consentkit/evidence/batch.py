"""From drafts to a batch: what the sequencer signs between reading the store and writing to it. No I/O.

A batch is built on a snapshot of the store. When the log has moved on before it is written, it is built again
on a new snapshot; records whose history has not moved are kept as they were signed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from attrs import define, field, frozen

from consentkit.errors import ConsentkitError, InvalidKey, KeyReused, LedgerUnavailable
from consentkit.evidence.entry import (
    BLIND_BYTES,
    Entry,
    HoldEntry,
    KeyEntry,
    NoticeEntry,
    PolicyEntry,
    PredecessorEntry,
    commitment,
    entry_line,
    format_entry,
)
from consentkit.evidence.hashes import tile_nodes
from consentkit.evidence.keyring import KeyRing
from consentkit.evidence.opening import Opening
from consentkit.evidence.record import Record, RecordDraft, build_record, uuid7
from consentkit.evidence.removal import MAX_SKEW, Action, Plan
from consentkit.evidence.store import (
    Answered,
    Batch,
    Head,
    Hold,
    NewOpening,
    Published,
    Removal,
    Tail,
)
from consentkit.keys import Keys
from consentkit.tlog import Checkpoint, Frontier, NoteSigner, leaf_hash

__all__ = [
    "MAX_SKEW",
    "Appended",
    "Builder",
    "Built",
    "Once",
    "Publication",
    "RecordWork",
    "Repeated",
    "Snapshot",
    "Work",
    "remembered",
]

_DAY: Final = 86_400_000
_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})
_RANDOM_BYTES: Final = 10 + 16 + BLIND_BYTES


@frozen
class Appended:
    """A record that is in the log, durably: what opens its entry, and its time in UTC milliseconds.

    `repeated` says that it was there before: the request had been made already.
    """

    opening: Opening
    time: int
    repeated: bool = False

    @property
    def index(self) -> int:
        """The entry's index."""
        return self.opening.index

    @property
    def record(self) -> Record:
        """The record itself."""
        return Record(self.opening.record, self.opening.disclosures)


class Once(NamedTuple):
    """What tells a request that is repeated from a new one; see `consentkit.evidence.store.Answered`."""

    key: bytes
    digest: bytes
    expires: int


@frozen
class Repeated:
    """The outcome for a request that came before: the index of what was recorded then."""

    index: int


def remembered(known: Answered | None, once: Once, time: int) -> Repeated | None:
    """Return what the same request led to before, given what is known of its key at `time`, UTC milliseconds.

    Raises KeyReused when the key came with another request.
    """
    if known is None or known.expires <= time:
        return None
    if known.digest != once.digest:
        raise KeyReused(
            "this idempotency key came with another request before",
            remedy="give every request a key of its own",
        )
    return Repeated(known.at)


class _Signed(NamedTuple):
    """A record signed for a place behind `tail` in its history."""

    tail: Tail | None
    record: Record
    blind: bytes
    new_tail: Tail


@define(eq=False)
class RecordWork:
    """A draft on its way into the log. `signed` keeps what was signed for it, in case it can stay.

    `attempted` are index and line of the entry that is this record's already, if the log has it there.
    """

    draft: RecordDraft
    time: int
    once: Once | None = None
    attempted: tuple[int, bytes] | None = None
    signed: _Signed | None = field(default=None, repr=False)


@frozen(eq=False)
class Publication:
    """Something to be entered once: a policy or a notice with its body, a key, or what the log carries on after."""

    entry: PolicyEntry | NoticeEntry | KeyEntry | PredecessorEntry
    body: bytes = field(default=b"", repr=False)


Work = RecordWork | Publication | Action
Outcome = Appended | Repeated | tuple[int, ...] | int | ConsentkitError | None


@frozen
class Snapshot:
    """What a batch is built on: the head, the tails of its histories, the keys, and what was published.

    `answered` is what is remembered of the requests behind its records, `landed` what was attempted before and is
    there, `plans` what its actions come to.
    """

    head: Head | None
    tails: dict[str, Tail]
    keys: KeyRing
    published: frozenset[str]
    answered: Mapping[bytes, Answered] = _NOTHING
    plans: Mapping[Action, Plan] = _NOTHING
    landed: frozenset[tuple[int, bytes]] = frozenset()


@frozen
class Built:
    """A batch, or None when nothing is to be written, and an outcome for each work, in order.

    An outcome is what the caller gets once the batch is durable: the record appended, the index of what was
    published (None when it was there already), the indexes that an action was about, or the error.
    """

    batch: Batch | None
    outcomes: tuple[Outcome, ...]


class Builder:
    """Builds batches for one site: with its keys, its clock (UTC milliseconds) and its source of randomness."""

    def __init__(self, keys: Keys, clock: Callable[[], int], random: Callable[[int], bytes]) -> None:
        self._keys, self._clock, self._random = keys, clock, random
        self._note_signer = NoteSigner(keys.log_name, keys.log)

    def build(self, snapshot: Snapshot, works: Sequence[Work]) -> Built:
        """Sign the records and the head that `works` make on top of the snapshot."""
        draft = _Draft(snapshot, self._keys.record.key_id)
        outcomes = tuple([self._add(draft, work) for work in works])
        if not draft.lines:
            return Built(None, outcomes)
        old = snapshot.head
        frontier, growth = (old.frontier if old else Frontier.empty()).grow(map(leaf_hash, draft.lines))
        text = Checkpoint(self._keys.log_name, frontier.size, frontier.root()).text()
        new = Head(frontier, text + b"\n" + self._note_signer.sign(text), draft.time)
        batch = Batch(
            old,
            new,
            tuple(draft.lines),
            tile_nodes(growth),
            tuple(draft.openings),
            tuple(draft.published),
            tuple(draft.keys),
            self._clock() // _DAY,
            tuple(draft.removals),
            tuple(draft.spared),
            tuple(draft.holds),
            tuple(draft.released),
            tuple(draft.answers),
        )
        return Built(batch, outcomes)

    def _add(self, draft: _Draft, work: Work) -> Outcome:
        try:
            if isinstance(work, Publication):
                return draft.publish(work)
            if not isinstance(work, RecordWork):
                return draft.carry_out(draft.plans[work])
            if work.attempted in draft.landed:
                return Repeated(work.attempted[0])
            if work.once is not None and (
                known := remembered(draft.answered.get(work.once.key), work.once, work.time)
            ):
                return known
            draft.check(work)
            tail = draft.tails.get(work.draft.history)
            if work.signed is None or work.signed.tail != tail:
                work.signed = self._sign(work, tail)
            return draft.record(work, work.signed)
        except ConsentkitError as error:
            return error

    def _sign(self, work: RecordWork, tail: Tail | None) -> _Signed:
        random = self._random(_RANDOM_BYTES)
        sequence, previous = (tail.sequence + 1, tail.commitment) if tail else (0, None)
        record = build_record(
            work.draft,
            id=uuid7(work.time, random[:10]),
            time=work.time,
            log_name=self._keys.log_name,
            sequence=sequence,
            previous=previous,
            signer=self._keys.record,
            salt=random[10:26],
        )
        blind = random[26:]
        return _Signed(tail, record, blind, Tail(sequence, commitment(record.jwt.encode(), blind)))


class _Draft:
    """A batch while it is being built."""

    def __init__(self, snapshot: Snapshot, record_key: str) -> None:
        key = snapshot.keys.find("record", record_key)
        self.signs = key is not None and key.active
        head = snapshot.head
        self.first = head.size if head else 0
        self.time = head.time if head else 0
        self.tails = dict(snapshot.tails)
        self.keyring = snapshot.keys
        self.known = set(snapshot.published)
        self.lines: list[bytes] = []
        self.openings: list[NewOpening] = []
        self.published: list[Published] = []
        self.keys: list[int] = []
        self.plans, self.answered = snapshot.plans, dict(snapshot.answered)
        self.landed = snapshot.landed
        self.answers: list[Answered] = []
        self.removals: list[Removal] = []
        self.spared: list[int] = []
        self.holds: list[Hold] = []
        self.released: list[tuple[str, int]] = []

    def check(self, work: RecordWork) -> None:
        """Refuse a record whose key is not in use, or whose time is too far out of order."""
        if not self.signs:
            raise InvalidKey(
                "the log does not take records signed with this site's record key",
                remedy="introduce the key, or use the one that replaced it",
            )
        if work.time < self.time - MAX_SKEW:
            raise LedgerUnavailable(
                f"the decision's time is {(self.time - work.time) // 1000} s behind the newest record's",
                remedy="set the clocks of all servers that write to this ledger",
            )

    def record(self, work: RecordWork, signed: _Signed) -> Appended:
        """Add a signed record."""
        index, history, (sequence, c) = self.first + len(self.lines), work.draft.history, signed.new_tail
        opening = Opening(index, signed.record.jwt, signed.record.disclosures, signed.blind)
        self.lines.append(entry_line(c))
        self.openings.append(NewOpening(opening, history, sequence))
        self.tails[history] = signed.new_tail
        self.time = max(self.time, work.time)
        if work.once is not None:
            self.answered[work.once.key] = answer = Answered(*work.once[:2], index, work.once.expires)
            self.answers.append(answer)
        return Appended(opening, work.time)

    def append(self, line: bytes) -> int:
        """Add any other entry; returns its index."""
        self.lines.append(line)
        return self.first + len(self.lines) - 1

    def carry_out(self, plan: Plan) -> tuple[int, ...]:
        """Enter what was planned; returns the indexes that it is about."""
        for entry, gone in plan.entries:
            index = self.append(format_entry(entry))
            if gone is not None:
                self.removals.append(Removal(index, *gone))
            if isinstance(entry, HoldEntry) and entry.action == "hold":
                self.holds.append(Hold(entry.hold_id, index, None, plan.indexes))
            elif isinstance(entry, HoldEntry):
                self.released.append((entry.hold_id, index))
        self.spared += plan.spared
        return plan.indexes

    def publish(self, work: Publication) -> int | None:
        """Add what is to be entered once; None if it is there already."""
        match work.entry:
            case KeyEntry() as entry:
                return self._enter_key(entry)
            case PolicyEntry(digest) as entry:
                return self._enter("policy", digest, entry, work.body)
            case NoticeEntry(digest) as entry:
                return self._enter("notice", digest, entry, work.body)
            case PredecessorEntry() as entry:
                return self.append(format_entry(entry)) if not self.first + len(self.lines) else None

    def _enter(self, kind: str, digest: str, entry: Entry, body: bytes) -> int | None:
        if digest in self.known:
            return None
        index = self.append(format_entry(entry))
        self.known.add(digest)
        self.published.append(Published(kind, digest, index, body))
        return index

    def _enter_key(self, entry: KeyEntry) -> int | None:
        known = self.keyring.find(entry.purpose, entry.key_id)
        if known is not None and not known.active and entry.action == "add":
            raise InvalidKey(
                f"key {entry.key_id} was retired or revoked",
                remedy="a new key is needed: consentkit keys new",
            )
        if (known is not None and known.active) == (entry.action == "add"):
            return None
        index = self.append(format_entry(entry))
        self.keys.append(index)
        self.keyring = self.keyring.after(index, entry)
        return index
