"""A .tlog-proof file: what an offline verifier is handed, and believes only as far as it proves itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit import tlog
from consentkit.errors import InvalidNote, InvalidProof
from tests.tlog.logs import checkpoint_of, cosigned, entries_of, flip, log_signer, reader_of, witness_key

ENTRIES = entries_of(11)
KEY = log_signer().verifier
TRUST = tlog.TrustPolicy.parse(f"log {KEY}\nwitness w {witness_key('w')}\nquorum w\n")


def proof_of(index: int, *witnesses: str) -> tlog.TlogProof:
    hashes = tlog.prove_inclusion(index, len(ENTRIES), reader_of(tlog.leaf_hashes(ENTRIES)))
    return tlog.TlogProof(index, hashes, cosigned(checkpoint_of(ENTRIES), *witnesses))


PROOF = proof_of(6, "w")
FILE = PROOF.encode()


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple),
    st.binary(min_size=1),
    st.none() | st.binary(min_size=1),
)
def test_the_file_round_trips(
    index: int, hashes: tuple[bytes, ...], checkpoint: bytes, extra: bytes | None
) -> None:
    """The checkpoint is kept byte for byte."""
    proof = tlog.TlogProof(index, hashes, checkpoint, extra)
    assert tlog.TlogProof.parse(proof.encode()) == proof


@pytest.mark.parametrize("index", range(len(ENTRIES)))
def test_it_proves_its_entry(index: int) -> None:
    """Under a trust policy with a quorum, and under the log's key alone."""
    proof = tlog.TlogProof.parse(proof_of(index, "w").encode())
    assert proof.check(ENTRIES[index], TRUST).found == ("w",)
    assert proof.check_log(ENTRIES[index], KEY).size == len(ENTRIES)


def test_it_proves_no_other_entry() -> None:
    """Though that is in the log as well."""
    with pytest.raises(InvalidProof):
        PROOF.check(ENTRIES[5], TRUST)
    with pytest.raises(InvalidProof):
        PROOF.check_log(ENTRIES[5], KEY)


@given(st.integers(0, len(FILE) * 8 - 1))
def test_one_changed_bit_is_noticed(bit: int) -> None:
    """Everything in the file is authenticated, extra data excepted, of which it has none."""
    with pytest.raises((InvalidProof, InvalidNote)):
        tlog.TlogProof.parse(flip(FILE, bit)).check(ENTRIES[6], TRUST)


def test_without_its_witness_it_proves_nothing_under_a_quorum() -> None:
    """But does to somebody who trusts the log alone."""
    proof = proof_of(6)
    with pytest.raises(InvalidProof, match="cosignatures of w; found: none"):
        proof.check(ENTRIES[6], TRUST)
    proof.check(ENTRIES[6], tlog.TrustPolicy.parse(f"log {KEY}\nquorum none\n"))
    proof.check_log(ENTRIES[6], KEY)


def test_another_log_cannot_vouch_for_it() -> None:
    """The key decides, not the name in the file."""
    with pytest.raises(InvalidNote):
        PROOF.check_log(ENTRIES[6], log_signer("example.com/other").verifier)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"tlog-proof@v1", b"tlog-proof@v2"),
        (b"index 6", b"index 06"),
        (b"index 6", b"index +6"),
        (b"index 6", b"Index 6"),
        (b"index 6", b"index 6\nindex 6"),
        (b"index 6", b"extra \nindex 6"),
        (b"index 6", b"extra AB==\nindex 6"),
        (b"index 6", b"extra AA==\nextra AA==\nindex 6"),
        (b"index 6\n", b"index 6\nAAAA\n"),
        (b"index 6\n", b"index 6\n\xff\n"),
        (b"index 6\n", b"index 6\n" + b"A" * 43 + b"=\n" * 1 + (b"A" * 43 + b"=\n") * 63),
        (b"\n", b"\r\n"),
        (FILE, b""),
        (FILE, b"c2sp.org/tlog-proof@v1"),
        (FILE, b"c2sp.org/tlog-proof@v1\n\nx"),
        (FILE, b"c2sp.org/tlog-proof@v1\nindex 6\n\n"),
    ],
)
def test_a_malformed_file_is_refused(old: bytes, new: bytes) -> None:
    """There is one way to write a proof."""
    assert old in FILE
    with pytest.raises(InvalidProof):
        tlog.TlogProof.parse(FILE.replace(old, new))


@given(st.binary() | st.binary().map(lambda tail: b"c2sp.org/tlog-proof@v1\n" + tail))
def test_arbitrary_bytes_never_raise_anything_else(data: bytes) -> None:
    """Receipts are uploaded by strangers."""
    with pytest.raises((InvalidProof, InvalidNote)):
        tlog.TlogProof.parse(data).check(b"", TRUST)
