"""Receipts: one file that proves a record to whoever has the trust policy, and nothing to whoever changes it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from consentkit._data import schema_text
from consentkit.errors import InvalidReceipt, LedgerCorrupt
from consentkit.evidence.entry import KeyEntry, entry_line, format_entry
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.opening import Opening
from consentkit.evidence.receipt import Receipt, verify_receipt
from consentkit.tlog import (
    Algorithm,
    Checkpoint,
    Frontier,
    NoteSigner,
    TlogProof,
    TrustPolicy,
    VerifierKey,
    add_signatures,
    cosign,
    leaf_hash,
    prove_inclusion,
    sign_note,
    tree_root,
)
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, LOG, TRUST, build, draft, history, signer
from tests.evidence.test_faults import tamper


@pytest.fixture(scope="module")
def receipts(tmp_path_factory: pytest.TempPathFactory) -> list[Receipt]:
    """The receipts of some records in a log of 602 entries, among them the first and the last."""
    url = f"sqlite:///{tmp_path_factory.mktemp('receipts')}/consent.db"
    with Ledger.open(url, keys=KEYS, clock=lambda: 1_793_620_800_000) as ledger:
        futures = [ledger.submit(draft()) for _ in range(600)]
        indexes = [future.result().index for future in futures]
        made = [ledger.receipt(index) for index in (indexes[0], 255, 256, 511, indexes[-1])]
    return [receipt for receipt in made if receipt]


def test_a_receipt_verifies_offline(ledger: Ledger) -> None:
    """It says which log held what at which place, and what it leaves open."""
    name = history()
    ledger.append(draft(history=name, event="withdrawn"))
    ledger.append(draft())
    receipt = ledger.receipt(2)
    assert receipt is not None
    verified = verify_receipt(receipt.encode(), TRUST)
    assert (verified.log_name, verified.index, verified.size) == (LOG, 2, 4)
    assert (verified.claims["event"], verified.history, verified.cosigned) == ("withdrawn", name, ())
    assert any("revoked" in open_point for open_point in verified.not_checked)
    assert any("no witness" in open_point for open_point in verified.not_checked)


def test_receipts_verify_wherever_their_record_is(receipts: list[Receipt]) -> None:
    """At the edges of tiles, and at the right edge of the tree."""
    assert [verify_receipt(receipt.encode(), TRUST).index for receipt in receipts] == [2, 255, 256, 511, 601]


def test_a_receipt_is_what_its_schema_describes(receipts: list[Receipt]) -> None:
    """The published JSON Schema, with a description for every property."""
    schema = json.loads(schema_text("receipt"))
    Draft202012Validator.check_schema(schema)
    assert all(rule["description"] for rule in schema["properties"].values())
    Draft202012Validator(schema).validate(json.loads(receipts[0].encode()))


def test_a_receipt_survives_its_file(receipts: list[Receipt]) -> None:
    """What is written is what is read."""
    assert [Receipt.parse(receipt.encode()) for receipt in receipts] == receipts


def test_another_log_key_makes_it_worthless(receipts: list[Receipt]) -> None:
    """The verifier's trust decides, not the receipt."""
    other = TrustPolicy.parse(f"log {NoteSigner(LOG, signer('other')).verifier}\nquorum none\n")
    with pytest.raises(InvalidReceipt):
        verify_receipt(receipts[0].encode(), other)


def cosigned(receipt: Receipt) -> Receipt:
    note = receipt.proof.checkpoint
    note = add_signatures(note, cosign(note, "witness.example", signer("witness"), 1_793_620_800))
    return attrs.evolve(
        receipt,
        proof=attrs.evolve(receipt.proof, checkpoint=note),
        key_proof=attrs.evolve(receipt.key_proof, checkpoint=note),
    )


def test_a_demanded_witness_must_have_cosigned(receipts: list[Receipt]) -> None:
    """And when it has, the receipt no longer leaves a split log open."""
    witness = VerifierKey("witness.example", Algorithm.COSIGNATURE_V1, signer("witness").public_key)
    log = NoteSigner(LOG, KEYS.log).verifier
    trust = TrustPolicy.parse(f"log {log}\nwitness W {witness}\nquorum W\n")
    with pytest.raises(InvalidReceipt, match="cosignatures"):
        verify_receipt(receipts[0].encode(), trust)
    verified = verify_receipt(cosigned(receipts[0]).encode(), trust)
    assert verified.cosigned == ("W",)
    assert not any("witness" in open_point for open_point in verified.not_checked)


def test_both_proofs_are_under_the_same_checkpoint(ledger: Ledger) -> None:
    """Two heads of a log, each genuine, need not belong to one past."""
    ledger.append(draft())
    early = ledger.receipt(2)
    ledger.append(draft())
    late = ledger.receipt(2)
    assert early
    assert late
    mixed = attrs.evolve(late, key_proof=early.key_proof)
    with pytest.raises(InvalidReceipt, match="same checkpoint"):
        verify_receipt(mixed.encode(), TRUST)


def test_a_record_that_its_key_did_not_sign_is_refused(open_ledger: OpenLedger) -> None:
    """Even if the log commits to it: the log key alone cannot make a visitor's record."""
    own, other = build(draft()), build(draft(), signer=signer("other"))
    lying = ".".join((own.jwt.split(".")[0], *other.jwt.split(".")[1:]))
    receipt = forge(open_ledger, Opening(2, lying, other.disclosures, b"b" * 64))
    with pytest.raises(InvalidReceipt, match="signature is wrong"):
        verify_receipt(receipt.encode(), TRUST)


def test_a_store_that_forgot_its_keys_makes_no_receipt(ledger: Ledger, tmp_path: Path) -> None:
    """Rather an error than a receipt that does not verify."""
    ledger.append(draft())
    tamper(tmp_path / "consent.db", "DELETE FROM key_entry")
    with pytest.raises(LedgerCorrupt, match="never introduced"):
        ledger.receipt(2)


def other_key_entry(receipt: Receipt) -> Receipt:
    key = signer("other")
    return attrs.evolve(
        receipt, key_entry=format_entry(KeyEntry("add", "record", key.key_id, key.public_key))
    )


def swap_openings(receipts: list[Receipt]) -> Receipt:
    return attrs.evolve(
        receipts[0], opening=attrs.evolve(receipts[1].opening, index=receipts[0].opening.index)
    )


TAMPERINGS: dict[str, Callable[[list[Receipt]], Receipt]] = {
    "another record": swap_openings,
    "another index": lambda r: attrs.evolve(r[0], opening=attrs.evolve(r[0].opening, index=3)),
    "another index in the proof": lambda r: attrs.evolve(r[0], proof=attrs.evolve(r[0].proof, index=3)),
    "another blind": lambda r: attrs.evolve(r[0], opening=attrs.evolve(r[0].opening, blind=bytes(64))),
    "another record's disclosure": lambda r: attrs.evolve(
        r[0], opening=attrs.evolve(r[0].opening, disclosures=r[1].opening.disclosures)
    ),
    "another proof": lambda r: attrs.evolve(r[0], proof=r[1].proof),
    "a shortened proof": lambda r: attrs.evolve(
        r[0], proof=attrs.evolve(r[0].proof, hashes=r[0].proof.hashes[1:])
    ),
    "a key that the log does not have": lambda r: other_key_entry(r[0]),
    "the log key in place of the record key": lambda r: attrs.evolve(
        r[0],
        key_entry=format_entry(KeyEntry("add", "log", KEYS.log.key_id, KEYS.log.public_key)),
        key_proof=attrs.evolve(r[0].key_proof, index=0),
    ),
    "a proof of something else for the key": lambda r: attrs.evolve(r[0], key_proof=r[1].proof),
}


@pytest.mark.parametrize("name", sorted(TAMPERINGS))
def test_a_receipt_that_was_tampered_with_is_refused(receipts: list[Receipt], name: str) -> None:
    """Every part of it is needed and bound to the others."""
    with pytest.raises(InvalidReceipt):
        verify_receipt(TAMPERINGS[name](receipts).encode(), TRUST)


@given(st.data())
def test_a_receipt_with_one_character_changed_is_refused_or_the_same(
    receipts: list[Receipt], data: Any
) -> None:
    """No change in any value of the file goes unnoticed; white space in the JSON is none."""
    text = receipts[1].encode().decode()
    place = data.draw(st.integers(0, len(text) - 2))
    char = data.draw(st.sampled_from('Aa09-_"\\{}[], :.\u2014\n').filter(lambda char: char != text[place]))
    changed = (text[:place] + char + text[place + 1 :]).encode()
    try:
        verified = verify_receipt(changed, TRUST)
    except InvalidReceipt:
        return
    assert json.loads(changed) == json.loads(text)
    assert verified == verify_receipt(text.encode(), TRUST)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_receipt(data: bytes) -> None:
    """Nothing but InvalidReceipt comes out of reading one."""
    with pytest.raises(InvalidReceipt):
        verify_receipt(data, TRUST)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "consentkit-receipt/2"},
        {"proof": 1},
        {"proof": "c2sp.org/tlog-proof@v1\nindex 2\n\n"},
        {"proof": "\ud800"},
        {"key": {}},
        {"key": {"entry": "x", "proof": "y", "more": 1}},
        {"key": {"entry": "consentkit/1 key add\n", "proof": "\ud800"}},
        {"index": "2"},
        {"more": True},
    ],
)
def test_a_receipt_with_a_wrong_member_is_refused(receipts: list[Receipt], change: dict[str, Any]) -> None:
    """Each member as it must be, and no others."""
    document = json.loads(receipts[0].encode())
    with pytest.raises(InvalidReceipt):
        verify_receipt(json.dumps(document | change).encode(), TRUST)


def test_a_receipt_has_a_largest_size() -> None:
    """A verifier that is handed a gigabyte says no."""
    with pytest.raises(InvalidReceipt, match="at most"):
        verify_receipt(b" " * 1_000_001, TRUST)


def test_a_record_that_names_another_log_is_refused(open_ledger: OpenLedger) -> None:
    """A signed record smuggled into a log that is not its own, by whoever holds both keys."""
    foreign = build(draft(), log_name="example.com/other")
    blind = b"b" * 64
    receipt = forge(open_ledger, Opening(2, foreign.jwt, foreign.disclosures, blind))
    with pytest.raises(InvalidReceipt, match="names another log"):
        verify_receipt(receipt.encode(), TRUST)


def test_a_key_introduced_after_the_record_proves_nothing(open_ledger: OpenLedger) -> None:
    """Or a thief could introduce a key and predate records with it."""
    ledger = open_ledger()
    late = signer("late")
    record = build(draft(), signer=late)
    opening = Opening(2, record.jwt, record.disclosures, b"b" * 64)
    receipt = forge(open_ledger, opening, KeyEntry("add", "record", late.key_id, late.public_key))
    assert ledger.size == 2
    with pytest.raises(InvalidReceipt, match="introduced after"):
        verify_receipt(receipt.encode(), TRUST)


def forge(open_ledger: OpenLedger, opening: Opening, key: KeyEntry | None = None) -> Receipt:
    """Make the receipt of a log of four entries: two keys, an entry for `opening`, and one more key."""
    ledger = open_ledger()
    last = format_entry(key) if key else b"consentkit/1 novel\n"
    lines = [*ledger.entries(0, 2), entry_line(opening.commitment), last]
    leaves = [leaf_hash(line) for line in lines]
    root = Frontier.empty().append(leaves).root()
    note = sign_note(Checkpoint(LOG, 4, root).text(), NoteSigner(LOG, KEYS.log))

    def read(level: int, index: int) -> bytes:
        return tree_root(leaves[index << level : (index + 1) << level])

    def prove(index: int) -> TlogProof:
        return TlogProof(index, prove_inclusion(index, 4, read), note)

    return Receipt(opening, prove(2), lines[3] if key else lines[1], prove(3 if key else 1))


def test_the_pseudonym_is_not_in_a_receipt_without_its_disclosure(receipts: list[Receipt]) -> None:
    """Whoever passes a receipt on may leave it out; the rest still verifies."""
    silent = attrs.evolve(receipts[0], opening=attrs.evolve(receipts[0].opening, disclosures=()))
    verified = verify_receipt(silent.encode(), TRUST)
    assert verified.history is None
    assert verify_receipt(receipts[0].encode(), TRUST).history is not None
