"""Evidence: what proves, years later, who was shown what and what they chose.

A decision becomes a *record* (signed, an SD-JWT), which is committed to by an *entry* of an append-only log and
revealed by an *opening* kept beside it. The *ledger* holds all three; a *receipt* is one record with its proof;
a *pack* is what an auditor gets. Opening a ledger and appending to it::

    with Ledger.open("sqlite:///consent.db", keys=Keys.load("keys/")) as ledger:
        appended = ledger.append(draft)

`ledger` is the way in; `record`, `entry`, `opening`, `receipt` and `keyring` are the formats, each of them
usable without a ledger; `store` is the seam to databases, `sqlite` the embedded one.
"""

from consentkit.evidence.batch import Appended
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.opening import Opening
from consentkit.evidence.receipt import Receipt, VerifiedReceipt, verify_receipt
from consentkit.evidence.record import Choice, Record, RecordDraft, verify_record

__all__ = [
    "Appended",
    "Choice",
    "Ledger",
    "Opening",
    "Receipt",
    "Record",
    "RecordDraft",
    "VerifiedReceipt",
    "verify_receipt",
    "verify_record",
]
