"""Signed notes, checkpoints and cosignatures: what a log and its witnesses sign, and what that proves.

The formats are those of c2sp.org/signed-note, c2sp.org/tlog-checkpoint and c2sp.org/tlog-cosignature; the
package docstring shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from hashlib import sha256
from typing import Protocol

from attrs import Factory, evolve, field, frozen

from consentkit.errors import InvalidKey, InvalidNote
from consentkit.keys import check_public_key, verify_ed25519
from consentkit.tlog import _mldsa
from consentkit.tlog._text import MAX_INT, decode_base64, encode_base64, parse_decimal
from consentkit.tlog.merkle import EMPTY_ROOT, HASH_SIZE

__all__ = [
    "MAX_NOTE_BYTES",
    "MAX_SIGNATURES",
    "Algorithm",
    "Checkpoint",
    "Note",
    "NoteSigner",
    "Signature",
    "SigningKey",
    "VerifierKey",
    "add_signatures",
    "cosign",
    "open_checkpoint",
    "open_note",
    "parse_note",
    "parse_signatures",
    "sign_note",
]

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100

_DASH = "\N{EM DASH} "


class Algorithm(IntEnum):
    """The signature types understood here, by the identifier bytes of c2sp.org/signed-note."""

    ED25519 = 0x01
    """Ed25519 over the note text: a log's own signature."""
    COSIGNATURE_V1 = 0x04
    """Ed25519 over the text and a time: a witness's cosignature."""
    ML_DSA_44 = 0x06
    """ML-DSA-44 over cosigner, time, log, size and root: a cosignature that outlives quantum computers."""


_SIGNATURE_SIZES = {
    Algorithm.ED25519: 64,
    Algorithm.COSIGNATURE_V1: 8 + 64,
    Algorithm.ML_DSA_44: 8 + _mldsa.SIGNATURE_SIZE,
}


def _is_key_name(name: str) -> bool:
    return bool(name) and not any(char == "+" or char < " " or char.isspace() for char in name)


def _key_id(key: VerifierKey) -> bytes:
    """Derive the key id, which is where a name or a public key that cannot be used shows."""
    try:
        name = key.name.encode()
    except UnicodeEncodeError:
        raise InvalidKey("the name of a verifier key is not UTF-8") from None
    if not _is_key_name(key.name):
        raise InvalidKey(f"{key.name!r} cannot name a key", remedy="use a name without spaces and '+'")
    if key.algorithm != Algorithm.ML_DSA_44:
        check_public_key(key.public_key)
    elif len(key.public_key) != _mldsa.PUBLIC_KEY_SIZE:
        raise InvalidKey(f"an ML-DSA-44 public key has {_mldsa.PUBLIC_KEY_SIZE} bytes")
    return sha256(name + b"\n" + bytes([key.algorithm]) + key.public_key).digest()[:4]


@frozen
class VerifierKey:
    """A public key with the name that signature lines give it. Its text form is `name+key id+base64`.

    `public_key` holds 32 raw bytes for Ed25519 and 1312 for ML-DSA-44. Raises InvalidKey for a name with
    spaces, plus signs or control characters and for a public key that proves nothing
    (c2sp.org/signed-note, "Verifier keys").
    """

    name: str
    algorithm: Algorithm
    public_key: bytes = field(repr=False)
    key_id: bytes = field(init=False, default=Factory(_key_id, takes_self=True))

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Parse `name+key id+base64`. Raises InvalidKey unless `text` is the one way to write its key."""
        # At most two cuts: base64 may contain plus signs itself.
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        data = decode_base64(encoded)
        if not data:
            raise InvalidKey("a verifier key has the form name+key id+base64")
        if data[0] not in set(Algorithm):
            raise InvalidKey(f"the verifier key of {name!r} has the unknown signature type {data[0]:#04x}")
        key = cls(name, Algorithm(data[0]), data[1:])
        if key.key_id.hex() != key_id:
            raise InvalidKey(f"the key id of {name!r} should be {key.key_id.hex()}, not {key_id[:80]!r}")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.algorithm]) + self.public_key)}"

    @property
    def supported(self) -> bool:
        """Whether this installation can verify under the key; signatures of other keys are ignored."""
        return self.algorithm != Algorithm.ML_DSA_44 or _mldsa.load(self.public_key) is not None

    def verify(self, text: bytes, data: bytes) -> bool:
        """Say whether `data`, a signature without its key id, is one of this key over the note `text`."""
        if len(data) != _SIGNATURE_SIZES[self.algorithm]:
            return False
        if self.algorithm == Algorithm.ED25519:
            return verify_ed25519(self.public_key, text, data)
        time, signature = int.from_bytes(data[:8], "big"), data[8:]
        if time > MAX_INT:
            return False
        if self.algorithm == Algorithm.COSIGNATURE_V1:
            return verify_ed25519(self.public_key, _cosigned_text(text, time), signature)
        try:
            message = _cosigned_message(self.name, Checkpoint.parse(text), time)
        except InvalidNote:
            return False
        return _mldsa.verify(self.public_key, message, signature)


@frozen
class Signature:
    """One signature line. `time` is the POSIX second of a verified cosignature, else None."""

    name: str
    key_id: bytes
    data: bytes = field(repr=False)
    time: int | None = None

    def line(self) -> bytes:
        """Return the line as it stands in a note, newline included."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.data)}\n".encode()


@frozen
class Note:
    """A note of which at least one signature was verified. `text` ends in a newline."""

    text: bytes
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...]

    def signed_by(self, key: VerifierKey) -> Signature | None:
        """Return the verified signature of `key`, if there is one."""
        return next((s for s in self.verified if (s.name, s.key_id) == (key.name, key.key_id)), None)


def _decode(data: bytes) -> str:
    """Decode UTF-8 without control characters, the only text that notes may hold."""
    if len(data) > MAX_NOTE_BYTES:
        raise InvalidNote(f"the note has more than {MAX_NOTE_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidNote(f"the note is not UTF-8: {error.reason} at byte {error.start}") from None
    if any(char < " " and char != "\n" for char in text):
        raise InvalidNote("the note contains a control character")
    return text


def _parse_signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = decode_base64(encoded) or b""
    if not line.startswith(_DASH) or not _is_key_name(name) or len(data) < 5:
        raise InvalidNote(f"{line[:80]!r} is not a signature line")
    return Signature(name, data[:4], data[4:])


def _parse_signatures(lines: str) -> tuple[Signature, ...]:
    if not lines.endswith("\n"):
        raise InvalidNote("the note does not end in a signature line and a newline")
    if lines.count("\n") > MAX_SIGNATURES:
        raise InvalidNote(f"the note has more than {MAX_SIGNATURES} signatures")
    return tuple(map(_parse_signature, lines[:-1].split("\n")))


def parse_signatures(data: bytes) -> tuple[Signature, ...]:
    """Parse signature lines that come without their note, as a witness sends them, and verify none of them.

    Raises InvalidNote when any of them is malformed.
    """
    return _parse_signatures(_decode(data))


def parse_note(data: bytes) -> tuple[bytes, tuple[Signature, ...]]:
    """Split a signed note into its text and its signatures, without verifying any of them.

    Raises InvalidNote when it is malformed (c2sp.org/signed-note, "Format").
    """
    text, blank, lines = _decode(data).rpartition("\n\n")
    if not blank:
        raise InvalidNote("the note has no blank line before its signatures")
    return f"{text}\n".encode(), _parse_signatures(lines)


def open_note(data: bytes, verifiers: Sequence[VerifierKey]) -> Note:
    """Verify a signed note under the keys known to the caller.

    Lines of other keys are kept as `unverified`, even where they share a name or a key id with a known one.
    Raises InvalidNote when the note is malformed, when a known key's signature is wrong, when no known key
    signed, and when two `verifiers` share both name and key id (c2sp.org/signed-note, "Signatures").
    """
    known = {(key.name, key.key_id): key for key in verifiers}
    if len(known) != len(verifiers):
        raise InvalidNote("two of the known keys share their name and key id", remedy="list each key once")
    text, signatures = parse_note(data)
    verified: dict[tuple[str, bytes], Signature] = {}
    unverified: list[Signature] = []
    for signature in signatures:
        place = signature.name, signature.key_id
        key = known.get(place)
        if key is None or not key.supported:
            unverified.append(signature)
        elif not key.verify(text, signature.data):
            raise InvalidNote(f"the signature of {key.name} on the note is wrong")
        else:
            verified.setdefault(place, _timed(signature, key))
    if not verified:
        raise InvalidNote("the note has no signature of a known key")
    return Note(text, tuple(verified.values()), tuple(unverified))


def _timed(signature: Signature, key: VerifierKey) -> Signature:
    if key.algorithm == Algorithm.ED25519:
        return signature
    return evolve(signature, time=int.from_bytes(signature.data[:8], "big"))


class SigningKey(Protocol):
    """What signs: any object with a raw public key and a method that signs bytes (a KMS, an HSM, a file)."""

    @property
    def public_key(self) -> bytes:
        """The raw public key: 32 bytes for Ed25519."""
        ...

    def sign(self, data: bytes, /) -> bytes:
        """Return the raw signature over `data`."""
        ...


def _verifier(signer: NoteSigner) -> VerifierKey:
    return VerifierKey(signer.name, Algorithm.ED25519, signer.key.public_key)


@frozen
class NoteSigner:
    """A log's Ed25519 key with the name it signs under. `verifier` is what others need to check it."""

    name: str
    key: SigningKey = field(repr=False)
    verifier: VerifierKey = field(init=False, default=Factory(_verifier, takes_self=True))

    def sign(self, text: bytes) -> bytes:
        """Return the signature line over `text`, which must be what a note may hold."""
        return Signature(self.name, self.verifier.key_id, self.key.sign(text)).line()


def sign_note(text: bytes, *signers: NoteSigner) -> bytes:
    """Return the note that carries `text`, signed by each of `signers`.

    Raises InvalidNote unless `text` is UTF-8 without control characters and ends in a newline.
    """
    if not _decode(text).endswith("\n"):
        raise InvalidNote("the text of a note ends in a newline")
    return text + b"\n" + b"".join(signer.sign(text) for signer in signers)


def add_signatures(note: bytes, lines: bytes) -> bytes:
    """Return `note` with further signature lines, such as a witness returns; lines it has are left out.

    Raises InvalidNote when either is malformed. Verifies nothing: open the result.
    """
    text, old = parse_note(note)
    signatures = dict.fromkeys((*old, *parse_signatures(lines)))
    if len(signatures) > MAX_SIGNATURES:
        raise InvalidNote(f"the note would have more than {MAX_SIGNATURES} signatures")
    return text + b"\n" + b"".join(signature.line() for signature in signatures)


@frozen
class Checkpoint:
    """A log's tree at one moment: its name, its size in leaves, its 32-byte root (c2sp.org/tlog-checkpoint).

    `extensions` are further lines, kept but without meaning here; a log should not have any.
    """

    log_name: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: bytes) -> Checkpoint:
        """Parse the text of a note as a checkpoint. Raises InvalidNote unless every line is as it must be."""
        lines = _decode(text).split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise InvalidNote("a checkpoint has at least three lines, none of them empty")
        size, root = parse_decimal(lines[1]), decode_base64(lines[2])
        if size is None:
            raise InvalidNote(f"{lines[1][:40]!r} is not a tree size")
        if root is None or len(root) != HASH_SIZE:
            raise InvalidNote("the third line of a checkpoint is a root hash in base64")
        if not size and root != EMPTY_ROOT:
            raise InvalidNote("the checkpoint gives the empty tree a root that it cannot have")
        return cls(lines[0], size, root, tuple(lines[3:]))

    def text(self) -> bytes:
        """Return the text that the log signs, as `parse` reads it."""
        lines = (self.log_name, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()


def open_checkpoint(data: bytes, log_key: VerifierKey, *, log_name: str | None = None) -> Checkpoint:
    """Verify that `log_key` signed the checkpoint `data` and return it.

    Raises InvalidNote otherwise, and when the checkpoint is of another log than `log_name`, which is the
    key's name unless given.
    """
    checkpoint = Checkpoint.parse(open_note(data, [log_key]).text)
    expected = log_key.name if log_name is None else log_name
    if checkpoint.log_name != expected:
        raise InvalidNote(f"the checkpoint is of the log {checkpoint.log_name!r}, not {expected!r}")
    return checkpoint


def _cosigned_text(text: bytes, time: int) -> bytes:
    return b"cosignature/v1\ntime %d\n%b" % (time, text)


def _cosigned_message(name: str, checkpoint: Checkpoint, time: int) -> bytes:
    cosigner, log = name.encode(), checkpoint.log_name.encode()
    if max(len(cosigner), len(log)) > 255:
        raise InvalidNote("names longer than 255 bytes cannot be cosigned with ML-DSA-44")
    parts: Iterable[bytes] = (
        b"subtree/v1\n\0",
        bytes([len(cosigner)]) + cosigner,
        time.to_bytes(8, "big"),
        bytes([len(log)]) + log,
        bytes(8),
        checkpoint.size.to_bytes(8, "big"),
        checkpoint.root,
    )
    return b"".join(parts)


def cosign(note: bytes, name: str, key: SigningKey, time: int) -> bytes:
    """Return the signature line by which a witness called `name` cosigns the checkpoint `note`.

    `time` is in POSIX seconds. An Ed25519 key makes a cosignature/v1, an ML-DSA-44 key a subtree/v1
    (c2sp.org/tlog-cosignature). The caller has verified the log's signature and the tree's consistency: that
    is what a cosignature says. Raises InvalidNote when `note` is no checkpoint.
    """
    text = parse_note(note)[0]
    checkpoint = Checkpoint.parse(text)
    if not 0 <= time <= MAX_INT:
        raise InvalidNote(f"{time} is not a POSIX time")
    post_quantum = len(key.public_key) == _mldsa.PUBLIC_KEY_SIZE
    algorithm = Algorithm.ML_DSA_44 if post_quantum else Algorithm.COSIGNATURE_V1
    verifier = VerifierKey(name, algorithm, key.public_key)
    message = _cosigned_message(name, checkpoint, time) if post_quantum else _cosigned_text(text, time)
    return Signature(name, verifier.key_id, time.to_bytes(8, "big") + key.sign(message)).line()
