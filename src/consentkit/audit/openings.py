"""The records behind a bundle's entries, checked without any state: a job in, findings and links out.

Jobs and results are plain values, so that any `concurrent.futures.Executor` can run them, in threads, in other
processes or on other machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from typing import Any

from attrs import Factory, define, frozen

from consentkit.audit.findings import FINDINGS
from consentkit.audit.report import Finding
from consentkit.audit.state import RECORD_PREFIX, Facts, KeyLife
from consentkit.errors import InvalidLog, InvalidRecord
from consentkit.evidence.entry import RecordEntry, entry_line, parse_entry
from consentkit.evidence.opening import Opening, parse_opening
from consentkit.evidence.record import ParsedRecord, disclosed, parse_record

__all__ = ["Job", "Link", "Result", "check_openings"]


@frozen
class Link:
    """What the history of a record is checked by; `history` is None where it is not disclosed."""

    index: int
    commitment: bytes
    time: datetime
    sequence: int
    previous: str | None
    history: str | None


@frozen
class Job:
    """The entries of one bundle and the file of their openings.

    An entry is None where it is not to be looked at, because it is not the one in the signed tree. `erased`
    holds places in the bundle.
    """

    facts: Facts
    first: int
    entries: tuple[bytes | None, ...]
    erased: frozenset[int]
    path: str
    bundle_path: str
    data: bytes | None


@define
class Result:
    """What came of a job. `closed` holds index and commitment of records that are erased or expired."""

    findings: list[Finding] = Factory(list)
    links: list[Link] = Factory(list)
    closed: list[tuple[int, bytes]] = Factory(list)
    erased: int = 0


def check_openings(job: Job) -> Result:
    """Check every record of a bundle: that it is opened, and by its own opening; its form, signature and references."""
    return _Checker(job, Result()).run()


@frozen
class _Checker:
    job: Job
    result: Result

    def run(self) -> Result:
        opened = self._parse()
        lost: list[int] = []
        for place, line in enumerate(self.job.entries):
            opening = opened.get(place)
            if line is None:
                continue
            if not line.startswith(RECORD_PREFIX):
                self._check_control(place, opening)
            elif place in self.job.erased or opening is None:
                self._check_closed(place, line, opening, lost)
            else:
                self._check_opening(opening, line)
        self._report_lost(lost)
        return self.result

    def _add(self, id: str, message: str, index: int, file: str | None = None) -> None:  # noqa: A002
        check, severity, _ = FINDINGS[id]
        self.result.findings.append(Finding(id, check, severity, message, file or self.job.path, index))

    def _parse(self) -> dict[int, Opening]:
        """Return the openings of the file by their place in the bundle."""
        opened: dict[int, Opening] = {}
        after = 0
        for number, line in enumerate(BytesIO(self.job.data or b""), 1):
            try:
                opening = _parse_line(line)
            except InvalidRecord as error:
                message = f"{self.job.path}, line {number}: {error.message}"
                self._add("opening-malformed", message, self.job.first + self._expected(after))
                after += 1
                continue
            place = opening.index - self.job.first
            if after <= place < len(self.job.entries):
                opened[place], after = opening, place + 1
            else:
                message = (
                    f"{self.job.path}, line {number}: an opening of index {opening.index} has no place here"
                )
                self._add("opening-misplaced", message, opening.index)
        return opened

    def _expected(self, after: int) -> int:
        """Return the place of the first record at or behind `after`: what a line that says nothing is about."""
        places = range(after, len(self.job.entries))
        return next((p for p in places if (self.job.entries[p] or b"").startswith(RECORD_PREFIX)), after)

    def _check_control(self, place: int, opening: Opening | None) -> None:
        index = self.job.first + place
        if opening is not None:
            self._add(
                "opening-superfluous", f"entry {index} is no record, and yet there is an opening", index
            )
        if place in self.job.erased:
            self._add(
                "tombstone-invalid", f"entry {index} was erased and is no record", index, self.job.bundle_path
            )

    def _check_closed(self, place: int, line: bytes, opening: Opening | None, lost: list[int]) -> None:
        """Look at a record that is not opened, or is erased and should not be."""
        index = self.job.first + place
        try:
            entry = parse_entry(line)
        except InvalidLog as error:
            message = f"entry {index} is malformed: {error.message}"
            self._add("entry-malformed", message, index, self.job.bundle_path)
            return
        if isinstance(entry, RecordEntry):
            self.result.closed.append((index, entry.commitment))
        if place in self.job.erased:
            self.result.erased += 1
            if opening is not None:
                self._add(
                    "opening-superfluous", f"record {index} was erased, and yet there is an opening", index
                )
        elif index >= self.job.facts.expired_below:
            lost.append(index)

    def _report_lost(self, lost: list[int]) -> None:
        if self.job.data is None and lost:
            message = f"{self.job.path} is not there: {len(lost)} records are not opened, erased or expired"
            self._add("opening-missing", message, lost[0])
            return
        for index in lost:
            self._add("opening-missing", f"record {index} is neither opened nor erased nor expired", index)

    def _check_opening(self, opening: Opening, line: bytes) -> None:
        commitment = opening.commitment
        if entry_line(commitment) != line:
            message = f"the opening of record {opening.index} does not open what the log committed to"
            self._add("opening-mismatch", message, opening.index)
            return
        try:
            record = parse_record(opening.record)
        except InvalidRecord as error:
            self._add("record-malformed", f"record {opening.index}: {error.message}", opening.index)
            return
        self._check_key(opening.index, record)
        self._check_references(opening.index, record.claims)
        self.result.links.append(self._link(opening, commitment, record.claims))

    def _link(self, opening: Opening, commitment: bytes, claims: Mapping[str, Any]) -> Link:
        history = None
        try:
            history = disclosed(claims, opening.disclosures).get("history")
        except InvalidRecord as error:
            self._add("disclosure-mismatch", f"record {opening.index}: {error.message}", opening.index)
        time = datetime.fromisoformat(claims["time"])
        return Link(opening.index, commitment, time, claims["sequence"], claims["previous"], history)

    def _check_key(self, index: int, record: ParsedRecord) -> None:
        life = self.job.facts.keys.get(record.key_id)
        if life is None:
            self._add(
                "key-unknown", f"record {index}: the log never introduced its key {record.key_id}", index
            )
            return
        if problem := _misused(index, life):
            self._add(problem[0], f"record {index}: its key {record.key_id} {problem[1]}", index)
        try:
            record.verify(life.public_key)
        except InvalidRecord as error:
            self._add("record-signature", f"record {index}: {error.message}", index)

    def _check_references(self, index: int, claims: Mapping[str, Any]) -> None:
        facts = self.job.facts
        if claims["log"] != facts.log_name:
            self._add("record-foreign", f"record {index} is of the log {claims['log']!r}", index)
        digest = claims["policy"]["digest"]
        published, version = facts.policies.get(digest, (index + 1, ""))
        if published > index:
            self._add(
                "policy-unpublished", f"record {index}: its policy {digest} was not published then", index
            )
        elif version != claims["policy"]["version"]:
            self._add(
                "policy-version", f"record {index} gives its policy another version than the log", index
            )
        notice = claims["notice"]
        if notice and facts.notices.get(notice["digest"], index + 1) > index:
            message = f"record {index}: its notice {notice['digest']} was not published then"
            self._add("notice-unpublished", message, index)


def _parse_line(line: bytes) -> Opening:
    if not line.endswith(b"\n"):
        raise InvalidRecord("the line is cut short")
    return parse_opening(line)


def _misused(index: int, life: KeyLife) -> tuple[str, str] | None:
    """Return id and words of what is wrong with a key being used at `index`."""
    if index < life.added:
        return "key-early", f"was only introduced at index {life.added}"
    if life.distrusted is not None and index >= life.distrusted:
        return "key-revoked", f"was revoked from index {life.distrusted} on"
    if life.retired is not None and index >= life.retired:
        return "key-retired", f"was retired at index {life.retired}"
    return None
