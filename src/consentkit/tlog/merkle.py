"""The Merkle tree of RFC 6962 section 2.1: roots, proofs and their checks, over SHA-256.

A leaf hash is `SHA-256(00 || entry)`, a node hash `SHA-256(01 || left || right)`, the root of the empty tree
`SHA-256("")`. A tree of n leaves splits at the largest power of two below n; no node is ever duplicated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Protocol

from attrs import frozen

from consentkit.errors import InvalidProof

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "Frontier",
    "Growth",
    "HashReader",
    "check_consistency",
    "check_inclusion",
    "check_subtree_consistency",
    "check_subtree_inclusion",
    "leaf_hash",
    "leaf_hashes",
    "node_hash",
    "prove_consistency",
    "prove_inclusion",
    "prove_subtree_consistency",
    "tree_root",
]

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


class HashReader(Protocol):
    """Where proofs take their hashes from: any function of a level and an index."""

    def __call__(self, level: int, index: int, /) -> bytes:
        """Return the 32-byte hash of the subtree over leaves `index * 2**level` up to `(index + 1) * 2**level`."""
        ...


def leaf_hash(entry: bytes) -> bytes:
    """Hash one log entry into a leaf (RFC 6962 section 2.1)."""
    return sha256(b"\0" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Hash many log entries into leaves, faster than one by one."""
    return [sha256(b"\0" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent (RFC 6962 section 2.1)."""
    return sha256(b"\1" + left + right).digest()


def _parents(nodes: Sequence[bytes]) -> list[bytes]:
    # The hot path of append, export and audit: node_hash written out, one call less for each node.
    pairs = iter(nodes)
    return [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]


def tree_root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over `leaf_hashes`; the same function joins equally sized complete subtrees."""
    nodes = list(leaf_hashes)
    if not nodes:
        return EMPTY_ROOT
    while len(nodes) > 1:
        lonely = nodes[-1:] if len(nodes) % 2 else []
        nodes = _parents(nodes) + lonely
    return nodes[0]


@frozen
class Growth:
    """The complete subtrees of one level that an append created: number `first` and those after it."""

    level: int
    first: int
    hashes: tuple[bytes, ...]


@frozen
class Frontier:
    """All that a log must remember of its tree to go on: the roots of its complete subtrees, largest first.

    One hash for each bit set in `size`: transparency logs call it a compact range.
    """

    size: int
    hashes: tuple[bytes, ...]

    def __attrs_post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise InvalidProof(f"{len(self.hashes)} subtree hashes do not make a tree of size {self.size}")
        _check_hashes(self.hashes)

    @classmethod
    def empty(cls) -> Frontier:
        """Return the frontier of a tree without leaves."""
        return cls(0, ())

    def root(self) -> bytes:
        """Return the root of the tree."""
        return _join(self.hashes)

    def append(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """Return the frontier after appending leaves in order."""
        return self.grow(leaf_hashes)[0]

    def grow(self, leaf_hashes: Iterable[bytes]) -> tuple[Frontier, tuple[Growth, ...]]:
        """Append leaves and return, besides the new frontier, every subtree they completed, level by level.

        Level 0 holds the leaves themselves; level 8 the hashes that go into tiles of level 1.
        """
        waiting = list(self.hashes)
        created = list(leaf_hashes)
        size, first = self.size + len(created), self.size
        growth: list[Growth] = []
        loose: list[bytes] = []
        while created:
            growth.append(Growth(len(growth), first, tuple(created)))
            # An odd start: the subtree on its left is still waiting for its sibling.
            nodes = [waiting.pop(), *created] if first % 2 else created
            if len(nodes) % 2:
                loose.append(nodes[-1])
            created = _parents(nodes)
            first //= 2
        return Frontier(size, (*waiting, *reversed(loose))), tuple(growth)


def _join(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def _split(size: int) -> int:
    """Return the largest power of two below `size` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _complete_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _subtree_root(start: int, end: int, read: HashReader) -> bytes:
    return _join([read(level, index) for level, index in _complete_subtrees(start, end)])


def prove_inclusion(index: int, size: int, read: HashReader) -> tuple[bytes, ...]:
    """Return the proof that leaf `index` is in the tree of `size` leaves, its sibling first.

    Raises InvalidProof when the tree has no such leaf (RFC 6962 section 2.1.1).
    """
    if not 0 <= index < size:
        raise InvalidProof(f"a tree of size {size} has no leaf {index}")
    proof = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_subtree_root(middle, end, read))
            end = middle
        else:
            proof.append(_subtree_root(start, middle, read))
            start = middle
    return tuple(reversed(proof))


def prove_consistency(old_size: int, new_size: int, read: HashReader) -> tuple[bytes, ...]:
    """Return the proof that the tree of `new_size` leaves begins with the tree of `old_size`.

    It is empty for equal sizes and for `old_size` 0: every tree extends the empty one, and a witness that has
    seen nothing yet is sent `old 0` without a proof (c2sp.org/tlog-witness). Raises InvalidProof when the
    sizes are not in order (RFC 6962 section 2.1.2).
    """
    if not 0 <= old_size <= new_size:
        raise InvalidProof(f"a tree of size {new_size} cannot begin with one of size {old_size}")
    return prove_subtree_consistency(range(old_size), new_size, read) if old_size else ()


def prove_subtree_consistency(subtree: range, size: int, read: HashReader) -> tuple[bytes, ...]:
    """Return the proof that the tree of `size` leaves holds the subtree over the leaves of `subtree`.

    Raises InvalidProof unless they are a subtree (draft-ietf-plants-merkle-tree-certs, "Subtree Consistency
    Proofs").
    """
    _check_subtree(subtree, size)
    start, end = subtree.start, subtree.stop
    proof = []
    low, high, known = 0, size, True
    while (low, high) != (start, end):
        middle = low + _split(high - low)
        if end <= middle:
            proof.append(_subtree_root(middle, high, read))
            high = middle
            continue
        proof.append(_subtree_root(low, middle, read))
        low = middle
        if start < middle:
            # The subtree spans both halves: from here on only its right part remains to be shown.
            start, known = middle, False
    if not known:
        proof.append(_subtree_root(low, high, read))
    return tuple(reversed(proof))


def _check_hashes(hashes: Iterable[bytes]) -> None:
    for value in hashes:
        if len(value) != HASH_SIZE:
            raise InvalidProof(f"a hash has {HASH_SIZE} bytes, not {len(value)}")


def _check_subtree(subtree: range, size: int) -> None:
    start, end = subtree.start, subtree.stop
    if not 0 <= start < end <= size or subtree.step != 1:
        raise InvalidProof(f"leaves {start} up to {end} are no subtree of a tree of size {size}")
    if start % (1 << (end - start - 1).bit_length()):
        raise InvalidProof(f"leaves {start} up to {end} do not start where a subtree of their number can")


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash `leaf` is number `index` in the tree of `size` leaves with this `root`.

    Raises InvalidProof otherwise (RFC 9162 section 2.1.3.2).
    """
    check_subtree_inclusion(leaf, index, range(size), proof, root)


def check_subtree_inclusion(
    leaf: bytes, index: int, subtree: range, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf hash `leaf` is number `index` of the tree, by a proof within one of its subtrees.

    `root` is the root of the subtree over the leaves of `subtree`. Raises InvalidProof otherwise.
    """
    _check_subtree(subtree, subtree.stop)
    if not subtree.start <= index < subtree.stop:
        raise InvalidProof(f"leaf {index} is not among leaves {subtree.start} up to {subtree.stop}")
    _check_hashes((leaf, root, *proof))
    place, last, computed = index - subtree.start, subtree.stop - subtree.start - 1, leaf
    for sibling in proof:
        if not last:
            raise InvalidProof("the inclusion proof is too long")
        if place % 2 or place == last:
            computed = node_hash(sibling, computed)
            shift = _trailing_zeros(place)
            place, last = place >> shift, last >> shift
        else:
            computed = node_hash(computed, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise InvalidProof("the inclusion proof is too short")
    if computed != root:
        raise InvalidProof("the inclusion proof does not lead to the root")


def check_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `new_size` begins with the tree of `old_size` leaves.

    Raises InvalidProof otherwise, and for `old_size` 0, which no proof can tell anything about: whoever
    accepts an empty old tree (a witness at `old 0`) decides that without calling this
    (RFC 9162 section 2.1.4.2).
    """
    check_subtree_consistency(range(old_size), new_size, old_root, new_root, proof)


def check_subtree_consistency(
    subtree: range, size: int, subtree_root: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `size` leaves holds the subtree over the leaves of `subtree`.

    Raises InvalidProof otherwise, and for a subtree without leaves
    (draft-ietf-plants-merkle-tree-certs, "Subtree Consistency Proofs"; for a subtree that starts at 0 this is
    RFC 9162 section 2.1.4.2).
    """
    _check_subtree(subtree, size)
    _check_hashes((subtree_root, root, *proof))
    left, right, last = subtree.start, subtree.stop - 1, size - 1
    shift = (left ^ right).bit_length()
    if right != last:
        shift = min(shift, _trailing_zeros(~right))
    path = list(proof)
    if left >> shift == right >> shift:
        path.insert(0, subtree_root)
    if not path:
        raise InvalidProof("the consistency proof is too short")
    inner, outer = _follow(left >> shift, right >> shift, last >> shift, path)
    if inner != subtree_root:
        raise InvalidProof("the consistency proof does not lead to the old root")
    if outer != root:
        raise InvalidProof("the consistency proof does not lead to the new root")


def _follow(left: int, right: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Climb from the lowest hash of a consistency proof to the roots of the subtree and of the tree."""
    inner = outer = path[0]
    for sibling in path[1:]:
        if not last:
            raise InvalidProof("the consistency proof is too long")
        if right % 2 or right == last:
            if left < right:
                inner = node_hash(sibling, inner)
            outer = node_hash(sibling, outer)
            shift = _trailing_zeros(right)
            left, right, last = left >> shift, right >> shift, last >> shift
        else:
            outer = node_hash(outer, sibling)
        left, right, last = left >> 1, right >> 1, last >> 1
    if last:
        raise InvalidProof("the consistency proof is too short")
    return inner, outer


def _trailing_zeros(value: int) -> int:
    return (value & -value).bit_length() - 1 if value else 0
