"""Cosignatures with ML-DSA-44: verified where the cryptography library offers it, ignored where it does not."""

import base64
import runpy
import sys

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st

from consentkit import tlog
from consentkit.errors import InvalidNote
from consentkit.tlog import _mldsa
from tests.tlog.logs import checkpoint_of, entries_of, flip, log_signer

mldsa = pytest.importorskip(
    "cryptography.hazmat.primitives.asymmetric.mldsa", reason="no ML-DSA in cryptography"
)

CHECKPOINT = checkpoint_of(entries_of(5))


class PostQuantumKey:
    """An ML-DSA-44 key made from a number."""

    def __init__(self, seed: int) -> None:
        self.private = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32)
        self.public_key: bytes = self.private.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        signature: bytes = self.private.sign(data)
        return signature


PQ = PostQuantumKey(1)
VERIFIER = tlog.VerifierKey("w", tlog.Algorithm.ML_DSA_44, PQ.public_key)


def test_a_cosignature_verifies() -> None:
    """And tells its time."""
    note = tlog.add_signatures(CHECKPOINT, tlog.cosign(CHECKPOINT, "w", PQ, 12345))
    assert [signature.time for signature in tlog.open_note(note, [VERIFIER]).verified] == [12345]


@given(st.integers(0, 2428 * 8 - 1))
def test_one_changed_bit_is_noticed(bit: int) -> None:
    """In the time as in the signature."""
    line = tlog.cosign(CHECKPOINT, "w", PQ, 2**62)
    data = flip(base64.b64decode(line.split()[2])[4:], bit)
    assert not VERIFIER.verify(tlog.parse_note(CHECKPOINT)[0], data)


def test_it_is_bound_to_the_witness_name() -> None:
    """Unlike cosignature/v1."""
    line = tlog.cosign(CHECKPOINT, "w", PQ, 1)
    data = base64.b64decode(line.split()[2])[4:]
    other = tlog.VerifierKey("v", tlog.Algorithm.ML_DSA_44, PQ.public_key)
    assert not other.verify(tlog.parse_note(CHECKPOINT)[0], data)


def test_it_verifies_on_checkpoints_only() -> None:
    """The signed structure has no place for other texts."""
    assert not VERIFIER.verify(b"some text\n", bytes(2428))


def test_names_that_do_not_fit_are_refused() -> None:
    """The structure gives a name's length one byte."""
    with pytest.raises(InvalidNote, match="255"):
        tlog.cosign(CHECKPOINT, "w" * 256, PQ, 1)


@pytest.mark.parametrize("missing", ["module", "backend"])
def test_without_ml_dsa_its_lines_are_ignored(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older installation verifies the rest, and says which keys it does not support."""

    class Absent:
        @staticmethod
        def from_public_bytes(data: bytes) -> None:
            raise UnsupportedAlgorithm("not here")

    note = tlog.add_signatures(CHECKPOINT, tlog.cosign(CHECKPOINT, "w", PQ, 1))
    monkeypatch.setattr(_mldsa, "MLDSA44PublicKey", None if missing == "module" else Absent)
    _mldsa.load.cache_clear()
    try:
        assert not VERIFIER.supported
        assert not _mldsa.verify(PQ.public_key, b"", bytes(2420))
        opened = tlog.open_note(note, [log_signer().verifier, VERIFIER])
        assert [signature.name for signature in opened.unverified] == ["w"]
    finally:
        _mldsa.load.cache_clear()


def test_the_package_loads_without_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap: older versions of the cryptography library have no mldsa module at all."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mldsa", None)
    assert runpy.run_path(_mldsa.__file__)["MLDSA44PublicKey"] is None
