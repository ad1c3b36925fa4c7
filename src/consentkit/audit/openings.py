"""The records behind a bundle's entries, checked without any state: a job in, findings and links out.

Jobs and results are plain values, so that any `concurrent.futures.Executor` can run them, in threads, in other
processes or on other machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from io import BytesIO

from attrs import Factory, define, frozen

from consentkit.audit.findings import FINDINGS
from consentkit.audit.pack import HOLDS
from consentkit.audit.reading import Claims, Opened, read_line
from consentkit.audit.report import Finding
from consentkit.audit.state import RECORD_PREFIX, Facts
from consentkit.errors import InvalidLog, InvalidRecord
from consentkit.evidence.entry import RecordEntry, entry_line, parse_entry
from consentkit.evidence.keyring import IntroducedKey
from consentkit.keys import verify_ed25519
from consentkit.tlog import TILE_WIDTH

__all__ = ["Job", "Link", "Result", "check_openings"]


@frozen
class Link:
    """What the history of a record is checked by; `history` is None where it is not disclosed."""

    index: int
    commitment: bytes
    time: datetime
    sequence: int
    previous: bytes | None
    history: str | None


@frozen
class Job:
    """The entries of one bundle and the file of their openings.

    Of the entries, those that are no records are empty, and None those that are not to be looked at because they
    are not the ones in the signed tree. `erased` and `held` have places in the bundle.
    """

    facts: Facts
    first: int
    entries: tuple[bytes | None, ...]
    erased: frozenset[int]
    held: frozenset[int]
    path: str
    bundle_path: str
    data: bytes | None


@define
class Result:
    """What came of a job.

    `closed` holds the commitments of records that cannot be read, whatever the reason; `unsure` counts references
    to what entries that could not be had may have introduced.
    """

    findings: list[Finding] = Factory(list)
    links: list[Link] = Factory(list)
    closed: list[bytes] = Factory(list)
    erased: int = 0
    expired: int = 0
    unsure: int = 0


def check_openings(job: Job) -> Result:
    """Check the records of a bundle: each one's opening, form, signature, and what it refers to."""
    return _Checker(job, Result()).run()


@frozen
class _Checker:
    job: Job
    result: Result

    def run(self) -> Result:
        # One opening at a time from the line to the signature: verifying releases the interpreter's lock, and
        # another thread that parsed a whole file in one go would keep it from being taken back for milliseconds.
        opened = set()
        for place, opening in self._openings():
            opened.add(place)
            self._check_opened(place, opening)
        lost: list[int] = []
        for place, line in enumerate(self.job.entries):
            if line is not None and line.startswith(RECORD_PREFIX) and place not in opened:
                self._check_closed(place, line, lost)
        self._report_lost(lost)
        for place in self.job.erased:
            self._check_tombstone(place)
        for place in self.job.held:
            self._check_held(place)
        return self.result

    def _check_tombstone(self, place: int) -> None:
        line, index = self.job.entries[place], self.job.first + place
        if line is not None and not line.startswith(RECORD_PREFIX):
            message = f"entry {index} was erased and is no record"
            self._add("tombstone-invalid", message, index, self.job.bundle_path)

    def _check_held(self, place: int) -> None:
        line, index = self.job.entries[place], self.job.first + place
        if line is not None and not line.startswith(RECORD_PREFIX):
            self._add("hold-broken", f"entry {index} is said to be on hold and is no record", index, HOLDS)

    def _add(self, id: str, message: str, index: int, file: str | None = None) -> None:  # noqa: A002
        check, severity, _ = FINDINGS[id]
        self.result.findings.append(Finding(id, check, severity, message, file or self.job.path, index))

    def _openings(self) -> Iterator[tuple[int, Opened]]:
        """Yield the openings of the file, each with its place in the bundle, in ascending order."""
        after = 0
        for number, line in enumerate(BytesIO(self.job.data or b""), 1):
            if number > TILE_WIDTH:
                message = f"{self.job.path} has more lines than a bundle has entries; the rest was not read"
                self._add("opening-misplaced", message, self.job.first + after)
                return
            try:
                opening = read_line(line)
            except InvalidRecord as error:
                message = f"{self.job.path}, line {number}: {error.message}"
                self._add("opening-malformed", message, self.job.first + self._next_record(after))
                after += 1
                continue
            place = opening.index - self.job.first
            if after <= place < len(self.job.entries):
                after = place + 1
                yield place, opening
            else:
                message = (
                    f"{self.job.path}, line {number}: an opening of index {opening.index} has no place here"
                )
                self._add("opening-misplaced", message, opening.index)

    def _next_record(self, after: int) -> int:
        """Return the place of the first record at or behind `after`: what a line that says nothing is about."""
        places = range(after, len(self.job.entries))
        return next((p for p in places if (self.job.entries[p] or b"").startswith(RECORD_PREFIX)), after)

    def _check_opened(self, place: int, opening: Opened) -> None:
        """Look at an entry that has an opening, and may not be one that should."""
        line, index = self.job.entries[place], opening.index
        if line is None:
            return
        if not line.startswith(RECORD_PREFIX):
            self._add(
                "opening-superfluous", f"entry {index} is no record, and yet there is an opening", index
            )
        elif place in self.job.erased:
            self._add("opening-superfluous", f"record {index} was erased, and yet there is an opening", index)
            self._check_closed(place, line, [])
        elif index < self.job.facts.expired_below and place not in self.job.held:
            message = f"record {index} expired and is not on hold, and yet there is an opening"
            self._add("opening-superfluous", message, index)
            self._check_closed(place, line, [])
        else:
            self._check_opening(opening, line)

    def _check_closed(self, place: int, line: bytes, lost: list[int]) -> None:
        """Look at a record that is not opened."""
        index = self.job.first + place
        if not self._close(index, line):
            return
        if place in self.job.erased:
            self.result.erased += 1
        elif index < self.job.facts.expired_below and place not in self.job.held:
            self.result.expired += 1
        else:
            lost.append(index)

    def _close(self, index: int, line: bytes) -> bool:
        """Remember the commitment of a record that cannot be read. False: the entry has none."""
        try:
            entry = parse_entry(line)
        except InvalidLog as error:
            message = f"entry {index} is malformed: {error.message}"
            self._add("entry-malformed", message, index, self.job.bundle_path)
            return False
        if isinstance(entry, RecordEntry):
            self.result.closed.append(entry.commitment)
        return True

    def _report_lost(self, lost: list[int]) -> None:
        if self.job.data is None and lost:
            message = f"{self.job.path} is not there: {len(lost)} records are not opened, erased or expired"
            self._add("opening-missing", message, lost[0])
            return
        for index in lost:
            self._add("opening-missing", f"record {index} is neither opened nor erased nor expired", index)

    def _check_opening(self, opening: Opened, line: bytes) -> None:
        index, claims = opening.index, opening.claims
        if entry_line(opening.commitment) != line:
            message = f"the opening of record {index} does not open what the log committed to"
            self._add("opening-mismatch", message, index)
            self._close(index, line)
            return
        if claims is None:
            self._add("record-malformed", f"record {index}: {opening.problem}", index)
            self._close(index, line)
            return
        if opening.undisclosed:
            self._add("disclosure-mismatch", f"record {index}: {opening.undisclosed}", index)
        self._check_key(index, claims)
        self._check_references(index, claims)
        link = Link(index, opening.commitment, claims.time, claims.sequence, claims.previous, opening.history)
        self.result.links.append(link)

    def _check_key(self, index: int, claims: Claims) -> None:
        key = self.job.facts.keys.get(claims.key_id)
        if key is None:
            self._miss(
                "key-unknown", f"record {index}: the log never introduced its key {claims.key_id}", index
            )
            return
        if problem := _misused(index, key):
            report = self._miss if problem[0] == "key-early" else self._add
            report(problem[0], f"record {index}: its key {claims.key_id} {problem[1]}", index)
        if not verify_ed25519(key.public_key, claims.signed, claims.signature):
            self._add("record-signature", f"record {index}: its signature is wrong", index)

    def _miss(self, id: str, message: str, index: int) -> None:  # noqa: A002
        """Add that something was not introduced in time, unless an entry that is gone may have done so."""
        if self.job.facts.complete:
            self._add(id, message, index)
        else:
            self.result.unsure += 1

    def _check_references(self, index: int, claims: Claims) -> None:
        facts = self.job.facts
        if claims.log != facts.log_name:
            self._add("record-foreign", f"record {index} is of the log {claims.log!r}", index)
        published, version = facts.policies.get(claims.policy, (None, claims.version))
        self._check_published("policy", claims.policy, published, index)
        if version != claims.version:
            self._add(
                "policy-version", f"record {index} gives its policy another version than the log", index
            )
        if claims.notice is not None:
            self._check_published("notice", claims.notice, facts.notices.get(claims.notice), index)

    def _check_published(self, what: str, digest: str, published: int | None, index: int) -> None:
        if published is None:
            self._miss(
                f"{what}-unpublished", f"record {index}: its {what} {digest} was never published", index
            )
        elif published > index:
            message = f"record {index}: its {what} {digest} was only published at index {published}"
            self._miss(f"{what}-unpublished", message, index)


def _misused(index: int, key: IntroducedKey) -> tuple[str, str] | None:
    """Return id and words of what is wrong with a key being used at `index`."""
    if key.signs(index):
        return None
    if index < key.added:
        return "key-early", f"was only introduced at index {key.added}"
    if key.first_distrusted is not None and index >= key.first_distrusted:
        return "key-revoked", f"was revoked from index {key.first_distrusted} on"
    return "key-retired", f"was retired at index {key.retired}"
