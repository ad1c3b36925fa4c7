"""What an auditor runs: a folder and a trust file in, a verdict out that says what it could not see.

::

    report = audit("pack/", TrustPolicy.parse(Path("trust.txt").read_bytes()))
    assert report.passed, report.verdict

Nothing in the folder is believed unless the trusted log's signature leads to it: the checkpoint is signed, the
tree hashes to the checkpoint's root, the tree's entries commit to the records and name the keys, policies and
notices that those use. `FINDINGS` lists everything that can be found.
"""

from consentkit.audit.auditor import Progress, audit
from consentkit.audit.findings import CHECKS, FINDINGS
from consentkit.audit.report import AuditReport, Check, Finding, LogSummary, Outcome, Severity

__all__ = [
    "CHECKS",
    "FINDINGS",
    "AuditReport",
    "Check",
    "Finding",
    "LogSummary",
    "Outcome",
    "Progress",
    "Severity",
    "audit",
]
