"""Transparency logs in the C2SP formats: bytes in, bytes out, and nothing in between is trusted.

This package knows nothing of consent and does no I/O: what it needs from storage or network it takes as a
function. Proofs come in pairs, `prove_x` for the log and `check_x` for everyone else.

Hashes (RFC 6962 section 2.1, SHA-256)::

    leaf = H(00 || entry)      node = H(01 || left || right)      empty tree = H("")

A signed note (c2sp.org/signed-note): a text, a blank line, signature lines. The key id is the first four
bytes of `SHA-256(name || 0A || type || key)`; a verifier key is written `name+key id+base64(type || key)`::

    <text, ending in a newline>
    <blank line>
    <em dash> <key name> base64(key id || signature)

A checkpoint (c2sp.org/tlog-checkpoint) is a note whose text is log name, tree size and root::

    example.com/consent
    70000
    <base64 of the 32-byte root>

A cosignature (c2sp.org/tlog-cosignature) is a signature line whose signature begins with a time, eight
big-endian bytes of POSIX seconds. A witness signs, with Ed25519 (type 04), `cosignature/v1`, `time <t>` and
the text, a line each; or, with ML-DSA-44 (type 06), a binary structure of its name, the time, the log name,
the size and the root.

A log in files (c2sp.org/tlog-tiles)::

    checkpoint
    tile/<level>/<index>[.p/<width>]       256 hashes of level 8 * <level>, or <width> at the right edge
    tile/entries/<index>[.p/<width>]       as many entries, each behind its length as two big-endian bytes

The index is written in groups of three digits, all but the last behind an `x`: 1234067 is `x001/x234/067`.

A proof that stands alone (c2sp.org/tlog-proof@v1), the leaf's sibling first::

    c2sp.org/tlog-proof@v1
    index <n>
    <base64 of one hash on each line>
    <blank line>
    <the checkpoint with its signatures>

A trust policy (c2sp.org/tlog-policy) says whom a verifier believes::

    log <vkey>
    witness W1 <vkey>
    witness W2 <vkey>
    group both all W1 W2
    quorum both

A request by which a log asks a witness for its cosignature (c2sp.org/tlog-witness), and its answer::

    old <size that the witness cosigned last>
    <base64 of one hash of the consistency proof on each line>
    <blank line>
    <the checkpoint>

    200 and signature lines, 409 and another size, or a refusal
"""

from consentkit.tlog.merkle import (
    EMPTY_ROOT,
    HASH_SIZE,
    Frontier,
    Growth,
    HashReader,
    check_consistency,
    check_inclusion,
    check_subtree_consistency,
    check_subtree_inclusion,
    leaf_hash,
    leaf_hashes,
    node_hash,
    prove_consistency,
    prove_inclusion,
    prove_subtree_consistency,
    tree_root,
)
from consentkit.tlog.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    Algorithm,
    Checkpoint,
    Note,
    NoteSigner,
    Signature,
    SigningKey,
    VerifierKey,
    add_signatures,
    cosign,
    open_checkpoint,
    open_note,
    parse_note,
    parse_signatures,
    sign_note,
)
from consentkit.tlog.proof import TlogProof
from consentkit.tlog.tiles import (
    MAX_ENTRY_BYTES,
    TILE_WIDTH,
    Tile,
    TileReader,
    build_tiles,
    decode_bundle,
    encode_bundle,
    entries_path,
    new_tiles,
    parse_tile_path,
    partial_tiles,
    tile_data,
    tile_path,
    tiles_for,
)
from consentkit.tlog.witness import (
    NO_QUORUM,
    Group,
    LogKey,
    QuorumResult,
    TrustPolicy,
    Witness,
    add_checkpoint_body,
    monitoring_path,
    parse_size,
)

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "MAX_ENTRY_BYTES",
    "MAX_NOTE_BYTES",
    "MAX_SIGNATURES",
    "NO_QUORUM",
    "TILE_WIDTH",
    "Algorithm",
    "Checkpoint",
    "Frontier",
    "Group",
    "Growth",
    "HashReader",
    "LogKey",
    "Note",
    "NoteSigner",
    "QuorumResult",
    "Signature",
    "SigningKey",
    "Tile",
    "TileReader",
    "TlogProof",
    "TrustPolicy",
    "VerifierKey",
    "Witness",
    "add_checkpoint_body",
    "add_signatures",
    "build_tiles",
    "check_consistency",
    "check_inclusion",
    "check_subtree_consistency",
    "check_subtree_inclusion",
    "cosign",
    "decode_bundle",
    "encode_bundle",
    "entries_path",
    "leaf_hash",
    "leaf_hashes",
    "monitoring_path",
    "new_tiles",
    "node_hash",
    "open_checkpoint",
    "open_note",
    "parse_note",
    "parse_signatures",
    "parse_size",
    "parse_tile_path",
    "partial_tiles",
    "prove_consistency",
    "prove_inclusion",
    "prove_subtree_consistency",
    "sign_note",
    "tile_data",
    "tile_path",
    "tiles_for",
    "tree_root",
]
