"""What an audit says: checks, findings, what it could not see, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from attrs import frozen

__all__ = ["AuditReport", "Check", "Finding", "LogSummary", "Outcome", "Severity"]


class Severity(StrEnum):
    """How much a finding weighs: `error` fails the audit, `unchecked` leaves it incomplete, `note` informs."""

    ERROR = "error"
    UNCHECKED = "unchecked"
    NOTE = "note"


class Outcome(StrEnum):
    """How a check ended. `incomplete`: nothing wrong, but something could not be checked. `skipped`: not asked."""

    PASSED = "passed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    SKIPPED = "skipped"


@frozen
class Finding:
    """One thing that an audit found.

    `id` is stable, and `FINDINGS` lists them all; `file` is relative to the pack, `index` counts log entries from 0,
    and either is None where it does not apply. `message` is one sentence without its full stop.
    """

    id: str
    check: str
    severity: Severity
    message: str
    file: str | None = None
    index: int | None = None

    @property
    def place(self) -> str:
        """Where it is, in words; empty where the finding is about the pack as a whole."""
        index = "" if self.index is None else f"index {self.index}"
        return ", ".join(filter(None, (self.file, index)))


@frozen
class Check:
    """One line of the report: what was checked, how it ended, and the figures behind it."""

    id: str
    title: str
    outcome: Outcome
    detail: str


@frozen
class LogSummary:
    """The log that was audited: its name, its size in entries, its root, and its entries by kind."""

    name: str
    size: int
    root: bytes
    entries: Mapping[str, int]


@frozen
class AuditReport:
    """The result of an audit; iterating gives the findings, those about no single entry first, then by index.

    `log` is None when no checkpoint could be trusted. `more` counts, by id, findings beyond the number that is
    kept of each. `exit_code` is 0 when all that was demanded holds, 1 when something is wrong, 3 when nothing is
    wrong but something demanded could not be checked.
    """

    log: LogSummary | None
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    more: Mapping[str, int]
    not_checked: tuple[str, ...]
    verdict: str
    exit_code: int

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def passed(self) -> bool:
        """Whether all that was demanded holds."""
        return self.exit_code == 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object that follows the schema `audit-report`."""
        return {
            "schema": "consentkit-audit-report/1",
            "verdict": {"exit_code": self.exit_code, "sentence": self.verdict},
            "log": None if self.log is None else _log_json(self.log),
            "checks": [
                {"id": one.id, "title": one.title, "outcome": str(one.outcome), "detail": one.detail}
                for one in self.checks
            ],
            "findings": [_finding_json(finding) for finding in self.findings],
            "more": dict(self.more),
            "not_checked": list(self.not_checked),
        }


def _log_json(log: LogSummary) -> dict[str, Any]:
    return {"name": log.name, "size": log.size, "root": log.root.hex(), "entries": dict(log.entries)}


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "check": finding.check,
        "severity": str(finding.severity),
        "file": finding.file,
        "index": finding.index,
        "message": finding.message,
    }
