"""Inclusion proofs as files: all that an offline verifier needs besides the entry and a trust policy.

The format is c2sp.org/tlog-proof@v1; such a file is called something.tlog-proof.
"""

from __future__ import annotations

from attrs import field, frozen

from consentkit.errors import InvalidProof
from consentkit.tlog._text import decode_base64, encode_base64, parse_decimal
from consentkit.tlog.merkle import HASH_SIZE, check_inclusion, leaf_hash
from consentkit.tlog.note import Checkpoint, VerifierKey, open_checkpoint
from consentkit.tlog.witness import QuorumResult, TrustPolicy

__all__ = ["TlogProof"]

_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_HASHES = 63


@frozen
class TlogProof:
    """A proof that a log has an entry at `index`: the inclusion proof and the signed checkpoint.

    `extra` is data that nothing authenticates; None where there is none.
    """

    index: int
    hashes: tuple[bytes, ...] = field(repr=False)
    checkpoint: bytes = field(repr=False)
    extra: bytes | None = None

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """Parse a .tlog-proof file. Raises InvalidProof unless it is the one way to write its content.

        The checkpoint is taken as it stands; only `check` opens it.
        """
        head, blank, checkpoint = data.partition(b"\n\n")
        try:
            header, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise InvalidProof("the head of a .tlog-proof file is ASCII") from None
        if header != _HEADER or not blank or not checkpoint:
            raise InvalidProof(f"a .tlog-proof file begins with {_HEADER} and ends in a checkpoint")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra "))
            if not extra:
                raise InvalidProof("the extra data of the proof is not base64")
        return cls(_parse_index(lines[:1]), _parse_hashes(lines[1:]), checkpoint, extra)

    def encode(self) -> bytes:
        """Return the content of the .tlog-proof file, as `parse` reads it."""
        lines = [_HEADER]
        if self.extra:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines += [f"index {self.index}", *map(encode_base64, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint

    def check(self, entry: bytes, trust: TrustPolicy) -> QuorumResult:
        """Check that `entry` is in a log that `trust` accepts, under a checkpoint with the quorum it demands.

        Raises InvalidNote for the checkpoint and its signatures, InvalidProof for all else.
        """
        result = trust.require_quorum(self.checkpoint)
        self._check_entry(entry, result.checkpoint)
        return result

    def check_log(self, entry: bytes, log_key: VerifierKey) -> Checkpoint:
        """Check that `entry` is in the log of `log_key`, whoever else cosigned. Raises as `check` does."""
        checkpoint = open_checkpoint(self.checkpoint, log_key)
        self._check_entry(entry, checkpoint)
        return checkpoint

    def _check_entry(self, entry: bytes, checkpoint: Checkpoint) -> None:
        check_inclusion(leaf_hash(entry), self.index, checkpoint.size, self.hashes, checkpoint.root)


def _parse_index(lines: list[str]) -> int:
    keyword, _, number = lines[0].partition(" ") if lines else ("", "", "")
    index = parse_decimal(number)
    if keyword != "index" or index is None:
        raise InvalidProof("the proof does not say the index of its entry")
    return index


def _parse_hashes(lines: list[str]) -> tuple[bytes, ...]:
    if len(lines) > _MAX_HASHES:
        raise InvalidProof(f"an inclusion proof has at most {_MAX_HASHES} hashes")
    hashes = []
    for line in lines:
        value = decode_base64(line)
        if value is None or len(value) != HASH_SIZE:
            raise InvalidProof(f"{line[:80]!r} is not a hash in base64")
        hashes.append(value)
    return tuple(hashes)
