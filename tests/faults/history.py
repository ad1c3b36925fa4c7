"""The history checker: what the world was told of a ledger, against what the ledger turns out to hold.

It stands outside of whatever is made to fail. It knows what writers were answered, the receipts they were handed
and the checkpoints that anybody saw, and it learns nothing else while faults go on. Afterwards the ledger has to
bear out every word of it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

from attrs import Factory, define, frozen

from consentkit.audit import Severity, audit
from consentkit.errors import ConsentkitError, InvalidNote, InvalidReceipt
from consentkit.evidence._encoding import parse_time
from consentkit.evidence.batch import Appended
from consentkit.evidence.entry import entry_line, record_commitment
from consentkit.evidence.export import export, openings_path
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.opening import Opening, parse_opening
from consentkit.evidence.receipt import Receipt, verify_receipt
from consentkit.evidence.record import RecordDraft, parse_record
from consentkit.keys import Keys
from consentkit.tlog import (
    Checkpoint,
    Frontier,
    decode_bundle,
    entries_path,
    leaf_hash,
    open_checkpoint,
    tiles_for,
)
from tests.evidence.samples import KEYS, TRUST, draft, history

(LOG_KEY,) = TRUST.log_keys
NOTICE = b"<!doctype html><title>Privacy</title>"


def digest(data: bytes) -> str:
    """SHA-256 in hex, by which policies and notices are named."""
    return sha256(data).hexdigest()


def policy(version: str) -> Any:
    """What a ledger needs of a policy."""
    body = f'{{"schema":"consentkit-policy/1","version":"{version}"}}'.encode()
    return SimpleNamespace(version=version, canonical=body, digest=digest(body))


POLICY = policy("2026-11")


def decision(marker: str, **changes: Any) -> RecordDraft:
    """A decision that carries a mark of its own, by which it can be told from every other."""
    notice = (digest(NOTICE), "en", "consentkit/1", "bar")
    parts = {"policy": (POLICY.digest, POLICY.version), "notice": notice, "extra": {"marker": marker}}
    return draft(**(parts | changes))


@frozen
class Ack:
    """An answer that says: this record is in the log, durably. `begun` and `told` are one monotonic clock's."""

    marker: str
    index: int
    record: str
    time: int
    begun: int
    told: int

    @classmethod
    def of(cls, marker: str, appended: Appended, begun: int, told: int) -> Ack:
        """Take it from what a ledger returned."""
        return cls(marker, appended.index, appended.record.jwt, appended.time, begun, told)


@define
class Seen:
    """All that was told. `denied` holds marks of which it was said that nothing was recorded, `spooled` those that
    were to be recorded as soon as that could be.

    `unsure` counts answers that leave it open, `failed` errors by their text. After `stop` nothing counts any more:
    `late` keeps what was acknowledged all the same.
    """

    acks: list[Ack] = Factory(list)
    denied: set[str] = Factory(set)
    spooled: set[str] = Factory(set)
    unsure: int = 0
    heads: set[bytes] = Factory(set)
    receipts: list[bytes] = Factory(list)
    published: set[tuple[str, str]] = Factory(set)
    failed: Counter[str] = Factory(Counter)
    late: list[Ack] = Factory(list)
    _stopped: int | None = None
    _lock: Lock = Factory(Lock)

    def stop(self) -> int:
        """Let nothing count that is told from now on; returns the time."""
        with self._lock:
            self._stopped = time.monotonic_ns()
            return self._stopped

    def take(self, line: str) -> None:
        """Take what a writer printed; a line that was cut by its death says nothing."""
        if line.endswith("\n"):
            at, *words = json.loads(line)
            with self._lock:
                self._take(words, counts=self._stopped is None or at < self._stopped)

    def _take(self, words: list[Any], *, counts: bool) -> None:
        match words:
            case ["failed", str(why)]:
                self.failed[why] += 1
            case ["ack", *fields]:
                (self.acks if counts else self.late).append(Ack(*fields))
            case _ if not counts:
                return
            case ["denied", str(marker)]:
                self.denied.add(marker)
            case ["spooled", str(marker)]:
                self.spooled.add(marker)
            case ["unsure"]:
                self.unsure += 1
            case ["head", str(note)]:
                self.heads.add(note.encode())
            case ["receipt", str(receipt)]:
                self.receipts.append(receipt.encode())
            case ["published", str(kind), str(name)]:
                self.published.add((kind, name))
            case unknown:
                raise ValueError(f"a writer said {unknown!r}")


@frozen
class Log:
    """What a pack holds: its checkpoint, every entry, and the openings by index."""

    checkpoint: Checkpoint
    entries: tuple[bytes, ...]
    openings: dict[int, Opening]
    published: frozenset[tuple[str, str]]

    @classmethod
    def read(cls, folder: Path) -> Log:
        """Read a pack, believing nothing but the signature."""
        checkpoint = open_checkpoint((folder / "log/checkpoint").read_bytes(), LOG_KEY)
        entries: list[bytes] = []
        openings: dict[int, Opening] = {}
        for tile in tiles_for(checkpoint.size):
            if tile.level is None:
                path = entries_path(tile.index, tile.width)
                entries += decode_bundle((folder / "log" / path).read_bytes(), tile.width, path)
                lines = (folder / openings_path(tile.index)).read_bytes().splitlines()
                openings |= {one.index: one for one in map(parse_opening, lines)}
        files = [("policy", path) for path in folder.glob("policies/*")]
        files += [("notice", path) for path in folder.glob("notices/*")]
        return cls(checkpoint, tuple(entries), openings, frozenset((kind, path.stem) for kind, path in files))


@frozen
class Verdict:
    """What came of it: how much was acknowledged, how much of that is lost, and all that is wrong, in words."""

    acknowledged: int
    lost: int
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((f"{self.acknowledged} acknowledged, {self.lost} lost", *self.wrong[:20]))


def judge(seen: Seen, url: str, folder: Path, *, keys: Keys = KEYS, audited: bool = True) -> Verdict:
    """Open the ledger, append to it once more, export it into `folder`, audit that, and compare all of it."""
    try:
        with Ledger.open(url, keys=keys) as ledger:
            ledger.publish_policy(POLICY)
            ledger.publish_notice(NOTICE)
            marker = f"judge {history()}"
            appended = ledger.append(decision(marker))
            receipt = ledger.receipt(appended.index)
            seen.heads.add(ledger.checkpoint())
        export(url, folder)
        log = Log.read(folder)
    except ConsentkitError as error:
        return Verdict(len(seen.acks), len(seen.acks), (f"it cannot be used any more: {error.message}",))
    wrong = list(differences(seen, log))
    if receipt is None or receipt.opening != log.openings.get(appended.index):
        wrong.append("a record that was appended afterwards has no receipt, or another")
    if audited:
        report = audit(folder, TRUST)
        wrong += [f"audit: {one.message}" for one in report if one.severity is Severity.ERROR]
        if report.exit_code:
            wrong.append(f"audit: {report.verdict}")
    missing = seen.spooled - set(map(_marker, log.openings.values()))
    return Verdict(
        len(seen.acks) + len(seen.spooled), sum(1 for _ in lost(seen.acks, log)) + len(missing), tuple(wrong)
    )


def differences(seen: Seen, log: Log) -> Iterator[str]:
    """Say in words whatever the log does not bear out."""
    markers = Counter(map(_marker, log.openings.values()))
    for ack in lost(seen.acks, log):
        found = "is another" if ack.marker in markers else "is lost"
        yield f"record {ack.marker} was acknowledged at index {ack.index}, and {found}"
    for marker in seen.spooled - markers.keys():
        yield f"refusal {marker} was kept in the spool, and was never recorded"
    for marker in seen.denied & markers.keys():
        yield f"record {marker} is there, although it was said that nothing was recorded"
    for kind, name in seen.published - log.published:
        yield f"{kind} {name} was published, and is not there"
    yield from _twice("mark", markers.elements())
    yield from _twice("record id", (parse_record(one.record).claims["id"] for one in log.openings.values()))
    yield from _twice("entry", filter(record_commitment, log.entries))
    yield from _gaps(log)
    yield from _false_receipts(seen.receipts, log)
    yield from _forks(seen.heads | {Receipt.parse(one).proof.checkpoint for one in seen.receipts}, log)
    yield from _misordered(seen.acks)


def lost(acks: Iterable[Ack], log: Log) -> Iterator[Ack]:
    """Yield what was acknowledged and is not in the log at its index, as it was acknowledged."""
    for ack in acks:
        opening = log.openings.get(ack.index)
        if (
            opening is None
            or opening.record != ack.record
            or parse_time(parse_record(ack.record).claims["time"]) != ack.time
            or log.entries[ack.index] != entry_line(opening.commitment)
        ):
            yield ack


def _marker(opening: Opening) -> str:
    return str(parse_record(opening.record).claims["extra"]["marker"])


def _twice(what: str, values: Iterable[object]) -> Iterator[str]:
    for value, count in Counter(values).items():
        if count > 1:
            yield f"the {what} {value!r} is there {count} times"


def _gaps(log: Log) -> Iterator[str]:
    if len(log.entries) != log.checkpoint.size:
        yield f"the log signed {log.checkpoint.size} entries, and there are {len(log.entries)}"
    records = {index for index, line in enumerate(log.entries) if record_commitment(line)}
    for index in records ^ log.openings.keys():
        yield f"entry {index} and its opening are not both there"


def _forks(notes: Iterable[bytes], log: Log) -> Iterator[str]:
    """Every checkpoint that anybody ever saw is of a beginning of the log."""
    heads = [log.checkpoint]
    for note in notes:
        try:
            heads.append(open_checkpoint(note, LOG_KEY))
        except InvalidNote as error:
            yield f"a checkpoint was handed out that does not verify: {error.message}"
    frontier = Frontier.empty()
    for head in sorted(heads, key=lambda one: one.size):
        frontier = frontier.append(map(leaf_hash, log.entries[frontier.size : head.size]))
        if (frontier.size, frontier.root()) != (head.size, head.root):
            yield f"a checkpoint of {head.size} entries was signed that the log does not continue"


def _false_receipts(receipts: Iterable[bytes], log: Log) -> Iterator[str]:
    for data in receipts:
        try:
            told = verify_receipt(data, TRUST)
        except InvalidReceipt as error:
            yield f"a receipt does not verify: {error.message}"
            continue
        if Receipt.parse(data).opening != log.openings.get(told.index):
            yield f"the receipt of record {told.index} is for another record than the log's"


def _misordered(acks: Iterable[Ack]) -> Iterator[str]:
    """What was told before something else began comes before it in the log."""
    first: Ack | None = None
    for ack in sorted(acks, key=lambda one: -one.index):
        if first is not None and first.told < ack.begun:
            yield f"record {ack.index} began after record {first.index} was acknowledged"
        if first is None or ack.told < first.told:
            first = ack
