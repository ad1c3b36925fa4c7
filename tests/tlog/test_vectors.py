"""What other people's logs, witnesses and verifiers agree on: their published vectors, taken as data."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consentkit import tlog
from consentkit.errors import InvalidKey, InvalidNote, InvalidProof
from tests.tlog.logs import SeedKey, reader_of

GOLDEN_TIME = 1_767_225_600
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


@pytest.fixture(scope="module")
def folder(vectors: Path) -> Path:
    """The vectors of the C2SP formats and of RFC 6962."""
    return vectors / "tlog"


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def decode(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def path_fetch(root: Path) -> Callable[[str], bytes]:
    return lambda path: (root / path).read_bytes()


# --- Merkle proofs ------------------------------------------------------------------------------------------


def check_probe(kind: str, case: dict[str, Any]) -> None:
    proof = [decode(value) for value in case["proof"] or []]
    if kind == "inclusion":
        leaf, root = decode(case["leafHash"]), decode(case["root"])
        tlog.check_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)
    elif kind == "subtreeinclusion":
        leaf, root = decode(case["leafHash"]), decode(case["root"])
        tlog.check_subtree_inclusion(leaf, case["leafIdx"], range(case["start"], case["end"]), proof, root)
    elif kind == "consistency":
        old, new = decode(case["root1"]), decode(case["root2"])
        tlog.check_consistency(case["size1"], case["size2"], old, new, proof)
    else:
        part, root = decode(case["root1"]), decode(case["root2"])
        tlog.check_subtree_consistency(range(case["start"], case["end"]), case["size"], part, root, proof)


# Where the probes ask for success and get an error, on purpose: hashes of 12 bytes, and subtrees without leaves,
# which "are in" any tree whatever its root.
STRICTER = {
    "consistency": {"additional/sizes-are-equal-one-and-proof-is-empty.json"},
    "subtreeconsistency": {
        "additional/sizes-are-equal-one-and-proof-is-empty.json",
        "additional/subtree-is-empty-sizes-are-equal-one-subtree-root-valid-proof-is-empty.json",
        "additional/subtree-is-empty-sizes-are-equal-one-subtree-root-valid-tree-root-random-proof-is-empty.json",
        "additional/subtree-is-empty-sizes-are-equal-zero-subtree-root-valid-proof-is-empty.json",
        "additional/subtree-is-empty-sizes-are-equal-zero-subtree-root-valid-tree-root-random-proof-is-empty.json",
        "additional/subtree-is-empty-subtree-root-valid-proof-is-empty.json",
        "additional/subtree-is-empty-subtree-root-valid-tree-root-random-proof-is-empty.json",
    },
}


@pytest.mark.parametrize(
    ("kind", "count"),
    [("inclusion", 98), ("consistency", 98), ("subtreeinclusion", 204), ("subtreeconsistency", 118)],
)
def test_merkle_probes(folder: Path, kind: str, count: int) -> None:
    """Every probe comes out as it says, but for those where 32-byte hashes and leaves are insisted on."""
    root = folder / "merkle-probes" / "testdata" / kind
    files = sorted(root.rglob("*.json"))
    assert len(files) == count
    different = set()
    for file in files:
        case = load(file)
        try:
            check_probe(kind, case)
            refused = False
        except InvalidProof:
            refused = True
        if refused != case["wantErr"]:
            assert refused, file
            different.add(file.relative_to(root).as_posix())
    assert different == STRICTER.get(kind, set())


def test_empty_hashes_prove_nothing(folder: Path) -> None:
    """The inclusion probe that fails for the length of its hashes alone."""
    case = load(folder / "merkle-probes/testdata/inclusion/single-entry/empty-root-and-leaf.json")
    assert case["leafHash"] == case["root"] == ""
    with pytest.raises(InvalidProof, match="32 bytes"):
        check_probe("inclusion", case)


def test_the_tree_of_eight_leaves(folder: Path) -> None:
    """Leaf hashes, roots, every inclusion and every consistency proof."""
    tree = load(folder / "rfc6962-tree8.json")
    leaves = [tlog.leaf_hash(bytes.fromhex(value)) for value in tree["leaf_inputs_hex"]]
    assert [leaf.hex() for leaf in leaves] == tree["leaf_hashes"]
    frontiers = [tlog.Frontier.empty().append(leaves[:size]) for size in range(9)]
    assert [frontier.root().hex() for frontier in frontiers] == tree["roots_by_size"]
    read = reader_of(leaves)
    for case in tree["inclusion"]:
        proof = tlog.prove_inclusion(case["index"], case["size"], read)
        assert [value.hex() for value in proof] == case["proof"]
    for case in tree["consistency"]:
        old, new = (case[key] for key in case if key != "proof")
        assert [value.hex() for value in tlog.prove_consistency(old, new, read)] == case["proof"]


def test_single_hashes(folder: Path) -> None:
    """The four hash vectors of the transparency-dev implementation."""
    vectors = load(folder / "rfc6962-tree8.json")["hash"]
    assert tlog.EMPTY_ROOT.hex() == vectors["empty_root"]
    assert tlog.leaf_hash(b"").hex() == vectors["empty_leaf"]
    assert tlog.leaf_hash(b"L123456").hex() == vectors["leaf_L123456"]
    assert tlog.node_hash(b"N123", b"N456").hex() == vectors["node_N123_N456"]


# --- Notes and cosignatures ---------------------------------------------------------------------------------


def test_signed_notes(folder: Path) -> None:
    """Fifteen notes: accepted with these verified names, or refused."""
    cases = load(folder / "signed-note.json")["cases"]
    assert len(cases) == 15
    for case in cases:
        data = bytes.fromhex(case["note_hex"]) if "note_hex" in case else case["note"].encode()
        try:
            note = tlog.open_note(data, [tlog.VerifierKey.parse(key) for key in case["vkeys"]])
        except InvalidNote:
            assert not case["ok"], case["name"]
        else:
            assert case["ok"], case["name"]
            assert [signature.name for signature in note.verified] == case["verified"], case["name"]


def test_bad_verifier_keys(folder: Path) -> None:
    """One of an unknown type, one with bytes too many."""
    for text in load(folder / "signed-note.json")["bad_vkeys"]:
        with pytest.raises(InvalidKey):
            tlog.VerifierKey.parse(text)


def test_a_known_signature_is_made_again(folder: Path) -> None:
    """Ed25519 is deterministic: key id, base64 and line are byte for byte those of golang.org/x/mod."""
    case = load(folder / "signed-note.json")["deterministic_signing"]
    encoded = case["skey_note"].split("+", 4)[4]

    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(encoded)[1:])

    class Signer:
        public_key = private.public_key().public_bytes_raw()
        sign = staticmethod(private.sign)

    text = case["text"].encode()
    assert tlog.NoteSigner("PeterNeumann", Signer()).sign(text) == case["line"].encode()


@pytest.mark.parametrize("name", ["mirror", "witness", "witness2"])
def test_published_cosignatures(folder: Path, name: str) -> None:
    """Three witnesses' checkpoints verify under the keys they publish; a line of another type is ignored."""
    keys = load(folder / "cosignature-v1" / f"{name}.v0.json")["verifier_keys"]
    data = (folder / "cosignature-v1" / f"{name}.checkpoint").read_bytes()
    note = tlog.open_note(data, [tlog.VerifierKey.parse(key) for key in keys])
    assert [signature.time for signature in note.verified] == [1_767_139_200]
    assert len(note.unverified) == (1 if name == "witness" else 0)
    assert tlog.Checkpoint.parse(note.text).size == 300


class TinyWitness:
    """The rules of c2sp.org/tlog-witness in a dozen lines: enough to replay a conversation with a real one."""

    def __init__(self, log_key: tlog.VerifierKey) -> None:
        self.log_key = log_key
        self.size, self.root = 0, tlog.EMPTY_ROOT

    def add_checkpoint(self, request: str) -> tuple[int, str]:
        head, _, note = request.partition("\n\n")
        old, *proof = head.split("\n")
        try:
            checkpoint = tlog.open_checkpoint(note.encode(), self.log_key)
        except InvalidNote:
            return 403, ""
        if int(old.removeprefix("old ")) != self.size:
            return 409, f"{self.size}\n"
        try:
            if self.size:
                hashes = [decode(line) for line in proof]
                tlog.check_consistency(self.size, checkpoint.size, self.root, checkpoint.root, hashes)
        except InvalidProof:
            return 422, ""
        self.size, self.root = checkpoint.size, checkpoint.root
        return 200, tlog.cosign(note.encode(), "example.com/witness", SeedKey("witness"), 1).decode()


def test_a_conversation_with_a_witness(folder: Path) -> None:
    """Nine requests in order: forged signature, unknown log, missing and wrong proof, replay, and the good ones."""
    vectors = load(folder / "witness-add-checkpoint.json")
    name = vectors["cases"][0]["request"].split("\n\n")[1].partition("\n")[0]
    key = tlog.VerifierKey(name, tlog.Algorithm.ED25519, bytes.fromhex(vectors["log_ed25519_pubkey_hex"]))
    witness = TinyWitness(key)
    for case in vectors["cases"]:
        status, body = witness.add_checkpoint(case["request"])
        assert status == case["status"]
        if status == 200:
            assert case["body_contains"] in body
        assert body == case.get("body_equals", body)


# --- Tiles and whole logs -----------------------------------------------------------------------------------


def test_tile_paths(folder: Path) -> None:
    """Indexes up to nine digits, full and partial."""
    vectors = load(folder / "tile-paths.json")
    for case in vectors["paths"]:
        path = f"tile/5/{case['path']}"
        assert tlog.tile_path(5, case["n"], case["width"]) == path
        assert tlog.entries_path(case["n"], case["width"]) == f"tile/entries/{case['path']}"
        assert tlog.parse_tile_path(path) == tlog.Tile(5, case["n"], case["width"])


def test_the_tiles_of_a_tree_of_70000(folder: Path) -> None:
    """The example of the specification."""
    expected = load(folder / "tile-paths.json")["tree_70000"]
    tiles = list(tlog.tiles_for(70_000))
    for level in range(3):
        widths = [tile.width for tile in tiles if tile.level == level]
        assert widths.count(256) == expected[f"level{level}_full"]
        assert sum(width for width in widths if width < 256) == expected[f"level{level}_partial"]


def test_the_tessera_log(folder: Path) -> None:
    """Sixteen checkpoints of one log: each matches its own tiles, and all are consistent with one another."""
    log = folder / "tessera-log" / "testdata" / "log"
    key = tlog.VerifierKey.parse(TESSERA_KEY)
    heads = [tlog.open_checkpoint((log / f"checkpoint.{size}").read_bytes(), key) for size in range(16)]
    assert [head.size for head in heads] == list(range(16))
    assert tlog.open_checkpoint((log / "checkpoint").read_bytes(), key) == heads[15]
    readers = [tlog.TileReader(path_fetch(log), head.size, head.root) for head in heads]
    entries = readers[15].bundle(0)
    assert dict(tlog.build_tiles(entries, root=heads[15].root)).keys() <= {
        path.relative_to(log).as_posix() for path in log.rglob("*")
    }
    for new in heads[1:]:
        assert readers[new.size].bundle(0) == entries[: new.size]
        for old in heads[1 : new.size + 1]:
            proof = tlog.prove_consistency(old.size, new.size, readers[new.size])
            tlog.check_consistency(old.size, new.size, old.root, new.root, proof)


def golden_trust(log: Path, quorum: str) -> tlog.TrustPolicy:
    keys = {name: (log / f"{name}.vkey").read_text().strip() for name in ("log", "witness", "witness-pq")}
    return tlog.TrustPolicy.parse(
        f"log {keys['log']}\nwitness W {keys['witness']}\nwitness PQ {keys['witness-pq']}\n"
        f"group both all W PQ\nquorum {quorum}\n"
    )


@pytest.mark.parametrize("size", [0, 1, 5, 257])
def test_golden_logs_are_accepted(folder: Path, size: int) -> None:
    """Signatures of the log and of both witnesses, tiles, bundles and the proof file."""
    log = folder / "golden" / str(size)
    trust = golden_trust(log, "both")
    supported = trust.witnesses[1].key.supported
    result = golden_trust(log, "both" if supported else "W").check_quorum((log / "checkpoint").read_bytes())
    assert result.satisfied
    assert set(result.cosigned.values()) == {GOLDEN_TIME}
    reader = tlog.TileReader(path_fetch(log), size, result.checkpoint.root)
    assert [reader.entry(index) for index in range(size)] == [b'{"i":%d}' % index for index in range(size)]
    for file in log.glob("*.tlog-proof"):
        proof = tlog.TlogProof.parse(file.read_bytes())
        assert proof.encode() == file.read_bytes()
        assert proof.index == int(file.stem.removeprefix("entry-"))
        proof.check(reader.entry(proof.index), golden_trust(log, "both" if supported else "W"))


@pytest.mark.parametrize("size", [0, 1, 5, 257])
def test_golden_logs_are_made_again(folder: Path, size: int) -> None:
    """Checkpoint, Ed25519 cosignature, tiles, bundles and proof come out byte for byte."""
    log = folder / "golden" / str(size)
    entries = [b'{"i":%d}' % index for index in range(size)]
    leaves = tlog.leaf_hashes(entries)
    signer = tlog.NoteSigner("example.com/consentkit/golden", SeedKey("consentkit golden log"))
    assert str(signer.verifier) == (log / "log.vkey").read_text().strip()
    note = tlog.sign_note(tlog.Checkpoint(signer.name, size, tlog.tree_root(leaves)).text(), signer)
    line = tlog.cosign(note, "witness.example/w1", SeedKey("consentkit golden witness"), GOLDEN_TIME)
    assert (log / "checkpoint").read_bytes().startswith(tlog.add_signatures(note, line))
    files = dict(tlog.build_tiles(entries))
    assert files == {
        path.relative_to(log).as_posix(): path.read_bytes()
        for path in (log / "tile").rglob("*")
        if path.is_file()
    }
    for file in log.glob("*.tlog-proof"):
        index = int(file.stem.removeprefix("entry-"))
        hashes = tlog.prove_inclusion(index, size, reader_of(leaves))
        proof = tlog.TlogProof(index, hashes, (log / "checkpoint").read_bytes())
        assert proof.encode() == file.read_bytes()


def test_proof_files(folder: Path) -> None:
    """Three that are written and read alike, eight that are refused."""
    vectors = load(folder / "tlog-proof.json")
    for case in vectors["marshal"]:
        extra = decode(case["extra"]) if "extra" in case else None
        hashes = tuple(map(decode, case["hashes"]))
        proof = tlog.TlogProof(case["index"], hashes, case["checkpoint"].encode(), extra)
        assert proof.encode() == case["want"].encode()
        assert tlog.TlogProof.parse(case["want"].encode()) == proof
    assert len(vectors["malformed"]) == 8
    for _, text in vectors["malformed"]:
        with pytest.raises(InvalidProof):
            tlog.TlogProof.parse(text.encode())
