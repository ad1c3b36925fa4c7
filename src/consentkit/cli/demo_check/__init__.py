"""``consentkit demo --check``: visits the demo, exports its ledger, audits it, tampers with copies, and compares.

Server, export and audit are processes of their own. Visitors are a real HTTP client that keeps cookies and reads
pages with code of its own, so that nothing is judged by the code under judgement.
"""

from consentkit.cli.demo_check.runner import run

__all__ = ["run"]
