"""Receipts: what a visitor is handed, one JSON file that proves a record without asking anybody.

It holds the record and what opens its log entry, the proof that the entry is in the log, and the entry that
introduced the key the record is signed with, proven under the same checkpoint. Whoever verifies it brings the
trust policy, which names the log key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from attrs import field, frozen

from consentkit.errors import ConsentkitError, InvalidReceipt, LedgerCorrupt
from consentkit.evidence._encoding import format_json, parse_json
from consentkit.evidence.entry import KeyEntry, entry_line, format_entry, parse_entry
from consentkit.evidence.hashes import StoredHashes
from consentkit.evidence.heads import best_covering
from consentkit.evidence.keyring import KeyRing
from consentkit.evidence.opening import Opening, opening_members, read_opening
from consentkit.evidence.record import disclosed, parse_record
from consentkit.evidence.store import Head, View
from consentkit.tlog import TlogProof, TrustPolicy, prove_inclusion

__all__ = ["RECEIPT_SCHEMA", "Receipt", "VerifiedReceipt", "make_receipt", "verify_receipt"]

RECEIPT_SCHEMA: Final = "consentkit-receipt/1"
MAX_RECEIPT_BYTES: Final = 1_000_000
_NOT_CHECKED: Final = (
    "whether the record's key was retired or revoked after this checkpoint",
    "whether the entry was erased since",
    "that the digests of policy and notice are those of the texts that were shown",
)
_NO_WITNESS: Final = "that the log shows everyone the same entries: the trust policy demands no witness"


@frozen
class Receipt:
    """A record's opening and proof, and the entry of the record's key with its proof."""

    opening: Opening
    proof: TlogProof
    key_entry: bytes
    key_proof: TlogProof

    def encode(self) -> bytes:
        """Return the receipt as the JSON that `schemas/receipt.schema.json` describes."""
        document = {
            "schema": RECEIPT_SCHEMA,
            **opening_members(self.opening),
            "proof": self.proof.encode().decode(),
            "key": {"entry": self.key_entry.decode(), "proof": self.key_proof.encode().decode()},
        }
        return format_json(document) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """Read a receipt without believing it. Raises InvalidReceipt for whatever is none."""
        if len(data) > MAX_RECEIPT_BYTES:
            raise InvalidReceipt(f"a receipt has at most {MAX_RECEIPT_BYTES} bytes")
        try:
            members = parse_json(data)
        except ValueError as error:
            raise InvalidReceipt(f"the receipt is not JSON as receipts have it: {error}") from None
        match members:
            case {
                "schema": "consentkit-receipt/1",
                "proof": str(proof),
                "key": {"entry": str(entry), "proof": str(key_proof), **more},
                **opening,
            } if not more:
                with _refusing():
                    return cls(
                        read_opening(opening),
                        TlogProof.parse(proof.encode()),
                        entry.encode(),
                        TlogProof.parse(key_proof.encode()),
                    )
        raise InvalidReceipt(f"this is no {RECEIPT_SCHEMA} file")


@frozen
class VerifiedReceipt:
    """What a receipt proves: that `log_name` held this record at `index` when it had `size` entries.

    `claims` is what the record says, `history` the pseudonym if it is disclosed, `cosigned` the names of the
    witnesses that vouch for the log's head, `not_checked` what no receipt can show.
    """

    log_name: str
    index: int
    size: int
    claims: Mapping[str, Any]
    history: str | None = field(repr=False)
    cosigned: tuple[str, ...]
    not_checked: tuple[str, ...]


def verify_receipt(data: bytes, trust: TrustPolicy) -> VerifiedReceipt:
    """Verify a receipt offline under a trust policy. Raises InvalidReceipt for whatever does not hold."""
    receipt = Receipt.parse(data)
    opening, proof = receipt.opening, receipt.proof
    with _refusing():
        result = proof.check(entry_line(opening.commitment), trust)
        if receipt.key_proof.checkpoint != proof.checkpoint:
            raise InvalidReceipt("the proofs of record and key are not under the same checkpoint")
        receipt.key_proof.check(receipt.key_entry, trust)
        record = parse_record(opening.record)
        record.verify(_record_key(receipt))
        told = disclosed(record.claims, opening.disclosures)
    checkpoint = result.checkpoint
    if record.claims["log"] != checkpoint.log_name or opening.index != proof.index:
        raise InvalidReceipt("the record names another log, or another place in it, than the proof")
    not_checked = _NOT_CHECKED if result.cosigned else (*_NOT_CHECKED, _NO_WITNESS)
    return VerifiedReceipt(
        checkpoint.log_name, proof.index, checkpoint.size, record.claims, told.get("history"), result.found,
        not_checked,
    )  # fmt: skip


def _record_key(receipt: Receipt) -> bytes:
    match parse_entry(receipt.key_entry):
        case KeyEntry("add", "record", _, public_key):
            if receipt.key_proof.index < receipt.proof.index:
                return public_key
            raise InvalidReceipt("the record's key was introduced after the record")
    raise InvalidReceipt("the entry about the key does not introduce a record key")


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever a part of the receipt fails with into InvalidReceipt."""
    try:
        yield
    except InvalidReceipt:
        raise
    except ConsentkitError as error:
        raise InvalidReceipt(f"the receipt does not hold: {error.message}", remedy=error.remedy) from error
    except UnicodeEncodeError:
        raise InvalidReceipt("a text of the receipt is not Unicode: it has a lone surrogate") from None


def make_receipt(view: View, head: Head, index: int) -> Receipt | None:
    """Make the receipt of the record at `index` from a store's view; None if there is no opening for it.

    Raises LedgerCorrupt when the store does not hold what the receipt needs.
    """
    opening = next(view.openings(index, index + 1), None)
    if opening is None or not index < head.size:
        return None
    read, key_id = StoredHashes(view), parse_record(opening.record).key_id
    size, checkpoint = best_covering(view, head, index)
    key = KeyRing.of((at, parse_entry(line)) for at, line in view.key_entries()).find("record", key_id)
    if key is None:
        raise LedgerCorrupt(f"the log never introduced key {key_id}, which signed record {index}")

    def prove(place: int) -> TlogProof:
        return TlogProof(place, prove_inclusion(place, size, read), checkpoint)

    key_entry = format_entry(KeyEntry("add", "record", key_id, key.public_key))
    return Receipt(opening, prove(index), key_entry, prove(key.added))
