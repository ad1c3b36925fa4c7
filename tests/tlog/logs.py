"""Keys and logs that the tests of the transparency log share; every key is public and for tests only."""

from collections.abc import Callable, Sequence
from hashlib import sha256

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consentkit import tlog

LOG_NAME = "example.com/log"


@frozen
class SeedKey:
    """An Ed25519 key made from a name."""

    seed: str
    private: Ed25519PrivateKey = field(init=False)
    public_key: bytes = field(init=False)

    @private.default
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(sha256(self.seed.encode()).digest())

    @public_key.default
    def _public_key(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data)


def log_signer(name: str = LOG_NAME) -> tlog.NoteSigner:
    """The signer of a test log."""
    return tlog.NoteSigner(name, SeedKey(f"log {name}"))


def witness_key(name: str) -> tlog.VerifierKey:
    """The cosignature key of a test witness, which `cosigned` signs under."""
    return tlog.VerifierKey(name, tlog.Algorithm.COSIGNATURE_V1, SeedKey(f"witness {name}").public_key)


def cosigned(note: bytes, *names: str, time: int = 1_767_225_600) -> bytes:
    """The checkpoint with the cosignatures of test witnesses."""
    lines = [tlog.cosign(note, name, SeedKey(f"witness {name}"), time) for name in names]
    return tlog.add_signatures(note, b"".join(lines)) if lines else note


def entries_of(size: int) -> list[bytes]:
    """The entries of a test log."""
    return [b"entry %d\n" % index for index in range(size)]


def checkpoint_of(entries: Sequence[bytes], signer: tlog.NoteSigner | None = None) -> bytes:
    """The signed checkpoint of a log with these entries."""
    signer = signer or log_signer()
    root = tlog.tree_root(tlog.leaf_hashes(entries))
    return tlog.sign_note(tlog.Checkpoint(signer.name, len(entries), root).text(), signer)


def reader_of(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """A reader of hashes straight from the leaves, by the definition; it refuses incomplete subtrees."""

    def read(level: int, index: int, /) -> bytes:
        part = leaves[index << level : (index + 1) << level]
        if len(part) != 1 << level:
            raise AssertionError(f"subtree {index} of level {level} is not complete")
        return tlog.tree_root(part)

    return read


def split_root(leaves: Sequence[bytes]) -> bytes:
    """The root by the recursive definition of RFC 6962 section 2.1, however slow."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return sha256(b"\1" + split_root(leaves[:middle]) + split_root(leaves[middle:])).digest()


def flip(data: bytes, bit: int) -> bytes:
    """The same bytes with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
