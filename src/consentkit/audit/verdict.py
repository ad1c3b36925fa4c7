"""From findings to a report: how each check ended, what nobody could have seen, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import define, field

from consentkit.audit.findings import CHECKS, FINDINGS, Findings
from consentkit.audit.heads import Heads
from consentkit.audit.report import AuditReport, Check, Finding, LogSummary, Outcome, Severity
from consentkit.tlog import NO_QUORUM, TrustPolicy

__all__ = ["Summary", "make_report"]

_NEVER_CHECKED = (
    "Decisions that were never recorded: a log shows what is in it, not what was left out.",
    "Entries after the newest checkpoint in the pack; compare its size with a checkpoint kept elsewhere.",
    "Keys that are revoked later: a later pack may distrust what this one still accepts.",
    "Whether the clock of the log's operator was right, and whether the site behaved as its records say.",
    "Whether the policies and notices were lawful.",
    "Whether the pack keeps every checkpoint that the log signed; the newest covers all entries.",
    "README.md, and the names and dates that the file system gives to files.",
)


@define
class Summary:
    """What an audit counted.

    `details` has the figures of every check that was made: one that has none was skipped. `entries` counts
    entries by kind, `remarks` say what this pack in particular does not show.
    """

    details: dict[str, str] = field(factory=dict)
    entries: dict[str, int] = field(factory=dict)
    remarks: list[str] = field(factory=list)


def make_report(trust: TrustPolicy, heads: Heads, findings: Findings, summary: Summary) -> AuditReport:
    """Sum up an audit."""
    newest = heads.newest
    log = LogSummary(newest.log_name, newest.size, newest.root, dict(summary.entries)) if newest else None
    found = findings.sorted()
    severities = {check: _severities(findings, check) for check in CHECKS}
    checks = tuple(_check(check, summary.details.get(check), severities[check]) for check in CHECKS)
    not_checked = (*_witness_remarks(trust, heads), *summary.remarks, *_NEVER_CHECKED)
    verdict, exit_code = _verdict(found, log, trust)
    return AuditReport(log, checks, found, findings.more(), not_checked, verdict, exit_code)


def _severities(findings: Findings, check: str) -> Counter[Severity]:
    counts: Counter[Severity] = Counter()
    for id, count in findings.counts.items():  # noqa: A001
        if FINDINGS[id][0] == check:
            counts[FINDINGS[id][1]] += count
    return counts


def _check(check: str, detail: str | None, severities: Counter[Severity]) -> Check:
    if errors := severities[Severity.ERROR]:
        return Check(check, CHECKS[check], Outcome.FAILED, f"{errors} wrong")
    if unchecked := severities[Severity.UNCHECKED]:
        return Check(check, CHECKS[check], Outcome.INCOMPLETE, f"{unchecked} not checked")
    if detail is None:
        return Check(check, CHECKS[check], Outcome.SKIPPED, _SKIPPED.get(check, "not reached"))
    notes = f"; {severities[Severity.NOTE]} worth a look" if severities[Severity.NOTE] else ""
    return Check(check, CHECKS[check], Outcome.PASSED, detail + notes)


_SKIPPED = {
    "witnesses": "the trust file demands none",
    "previous": "no earlier checkpoint was given",
}


def _witness_remarks(trust: TrustPolicy, heads: Heads) -> Iterable[str]:
    if trust.quorum == NO_QUORUM:
        yield "Whether the operator ever rewrote the log: the trust file demands no witness who would have noticed."
    else:
        yield "What the operator rewrote before the first checkpoint that a witness cosigned."
    if heads.previous is None:
        yield "Whether this is the log that was seen before: no earlier checkpoint was given."


def _verdict(found: Sequence[Finding], log: LogSummary | None, trust: TrustPolicy) -> tuple[str, int]:
    errors = [one for one in found if one.severity == Severity.ERROR]
    if errors or log is None:
        first = errors[0]
        return f"FAILED at {first.place or 'the pack as a whole'}: {first.message}.", 1
    unchecked = [one for one in found if one.severity == Severity.UNCHECKED]
    if unchecked:
        more = f" (and {len(unchecked) - 1} more)" if len(unchecked) > 1 else ""
        return f"INCOMPLETE: nothing wrong was found, but {unchecked[0].message}{more}.", 3
    witness = " No witness was demanded." if trust.quorum == NO_QUORUM else ""
    return (
        f"VERIFIED: all that the trust file demands holds for {log.size} entries of {log.name}.{witness}",
        0,
    )
