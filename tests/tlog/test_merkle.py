"""The tree: roots, frontiers, and proofs that hold for what is in it and for nothing else."""

from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consentkit import tlog
from consentkit.errors import InvalidProof
from tests.tlog.logs import flip, reader_of, split_root

LEAVES = [tlog.leaf_hash(b"%d" % index) for index in range(700)]
READ = reader_of(LEAVES)

sizes = st.integers(1, len(LEAVES))


def subtrees(size: int) -> list[range]:
    """Every subtree of a tree of `size` leaves, by the definition: it starts at a multiple of its full width."""
    return [
        range(start, end)
        for start in range(size)
        for end in range(start + 1, size + 1)
        if not start % (1 << (end - start - 1).bit_length())
    ]


def test_hashes_are_told_apart_by_their_first_byte() -> None:
    """A leaf can never be passed off as a node (RFC 6962 section 2.1)."""
    assert tlog.leaf_hash(b"x") == sha256(b"\0x").digest()
    assert tlog.node_hash(b"l" * 32, b"r" * 32) == sha256(b"\1" + b"l" * 32 + b"r" * 32).digest()
    assert sha256(b"").digest() == tlog.EMPTY_ROOT


def test_hashing_in_bulk_is_hashing_one_by_one() -> None:
    """The fast path gives the same leaves."""
    assert tlog.leaf_hashes([b"", b"a", b"b"]) == [tlog.leaf_hash(entry) for entry in (b"", b"a", b"b")]


@pytest.mark.parametrize("size", [*range(20), 255, 256, 257, 600])
def test_the_root_is_the_recursive_definition(size: int) -> None:
    """Pairing level by level gives what splitting at the largest power of two gives."""
    assert tlog.tree_root(LEAVES[:size]) == split_root(LEAVES[:size])


class TestFrontier:
    @given(sizes, st.data())
    def test_it_knows_the_root_of_every_tree_it_grew_to(self, size: int, data: st.DataObject) -> None:
        """However the leaves are cut into batches."""
        cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=5)))
        frontier, done = tlog.Frontier.empty(), 0
        for cut in [*cuts, size]:
            frontier, done = frontier.append(LEAVES[done:cut]), cut
            assert frontier.size == cut
            assert frontier.root() == tlog.tree_root(LEAVES[:cut])
        assert frontier == tlog.Frontier.empty().append(LEAVES[:size])

    @given(sizes, sizes)
    def test_growth_is_every_subtree_that_became_complete(self, one: int, other: int) -> None:
        """Neither more nor less, numbered as a HashReader numbers them."""
        old, new = sorted((one, other))
        _, growth = tlog.Frontier.empty().append(LEAVES[:old]).grow(LEAVES[old:new])
        found = {(g.level, g.first + i): value for g in growth for i, value in enumerate(g.hashes)}
        assert found == {
            (level, index): READ(level, index)
            for level in range(new.bit_length())
            for index in range(old >> level, new >> level)
        }

    def test_appending_nothing_changes_nothing(self) -> None:
        """An empty batch is a batch."""
        frontier = tlog.Frontier.empty().append(LEAVES[:5])
        assert frontier.grow([]) == (frontier, ())

    def test_its_hashes_come_largest_subtree_first(self) -> None:
        """Size 13 is 8 + 4 + 1."""
        hashes = tlog.Frontier.empty().append(LEAVES[:13]).hashes
        assert hashes == (READ(3, 0), READ(2, 2), LEAVES[12])

    @pytest.mark.parametrize(
        ("size", "hashes"),
        [(1, ()), (3, (LEAVES[0],)), (-1, (LEAVES[0],)), (1, (b"short",)), (0, (LEAVES[0],))],
    )
    def test_hashes_that_do_not_fit_the_size_are_refused(self, size: int, hashes: tuple[bytes, ...]) -> None:
        """What a store gives back is checked when it is read."""
        with pytest.raises(InvalidProof):
            tlog.Frontier(size, hashes)


class TestInclusion:
    @given(sizes, st.data())
    def test_what_is_proven_holds(self, size: int, data: st.DataObject) -> None:
        """For every leaf of every tree."""
        index = data.draw(st.integers(0, size - 1))
        proof = tlog.prove_inclusion(index, size, READ)
        tlog.check_inclusion(LEAVES[index], index, size, proof, tlog.tree_root(LEAVES[:size]))

    @given(st.integers(2, 700), st.data())
    def test_one_changed_bit_anywhere_is_noticed(self, size: int, data: st.DataObject) -> None:
        """In the leaf, in any hash of the proof, or in the root."""
        index = data.draw(st.integers(0, size - 1))
        root = tlog.tree_root(LEAVES[:size])
        parts = [LEAVES[index], root, *tlog.prove_inclusion(index, size, READ)]
        place = data.draw(st.integers(0, len(parts) - 1))
        parts[place] = flip(parts[place], data.draw(st.integers(0, 255)))
        with pytest.raises(InvalidProof, match="does not lead"):
            tlog.check_inclusion(parts[0], index, size, parts[2:], parts[1])

    @given(sizes, st.data())
    def test_a_proof_holds_for_no_other_index(self, size: int, data: st.DataObject) -> None:
        """Nor can the same entry be claimed twice."""
        index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-1, size))
        assume(index != other)
        proof = tlog.prove_inclusion(index, size, READ)
        with pytest.raises(InvalidProof):
            tlog.check_inclusion(LEAVES[index], other, size, proof, tlog.tree_root(LEAVES[:size]))

    def test_a_hash_too_many_or_too_few_is_noticed(self) -> None:
        """The length of a proof follows from index and size."""
        proof, root = tlog.prove_inclusion(3, 7, READ), tlog.tree_root(LEAVES[:7])
        with pytest.raises(InvalidProof, match="too short"):
            tlog.check_inclusion(LEAVES[3], 3, 7, proof[:-1], root)
        with pytest.raises(InvalidProof, match="too long"):
            tlog.check_inclusion(LEAVES[3], 3, 7, (*proof, root), root)

    @pytest.mark.parametrize(("index", "size"), [(0, 0), (7, 7), (-1, 7), (0, -1)])
    def test_a_leaf_that_the_tree_lacks_has_no_proof(self, index: int, size: int) -> None:
        """Asking for one is an error, and so is claiming one."""
        with pytest.raises(InvalidProof):
            tlog.prove_inclusion(index, size, READ)
        with pytest.raises(InvalidProof):
            tlog.check_inclusion(LEAVES[0], index, size, (), LEAVES[0])

    def test_hashes_of_another_length_are_refused(self) -> None:
        """Trap: without this, two empty strings prove each other."""
        with pytest.raises(InvalidProof, match="32 bytes"):
            tlog.check_inclusion(b"", 0, 1, (), b"")


class TestConsistency:
    @given(sizes, sizes)
    def test_what_is_proven_holds(self, one: int, other: int) -> None:
        """For every pair of trees of one log."""
        old, new = sorted((one, other))
        proof = tlog.prove_consistency(old, new, READ)
        tlog.check_consistency(old, new, tlog.tree_root(LEAVES[:old]), tlog.tree_root(LEAVES[:new]), proof)

    @given(sizes, sizes, st.data())
    def test_one_changed_bit_anywhere_is_noticed(self, one: int, other: int, data: st.DataObject) -> None:
        """In either root or in any hash of the proof."""
        old, new = sorted((one, other))
        parts = [tlog.tree_root(LEAVES[:old]), tlog.tree_root(LEAVES[:new])]
        parts += tlog.prove_consistency(old, new, READ)
        place = data.draw(st.integers(0, len(parts) - 1))
        parts[place] = flip(parts[place], data.draw(st.integers(0, 255)))
        with pytest.raises(InvalidProof, match="does not lead"):
            tlog.check_consistency(old, new, parts[0], parts[1], parts[2:])

    @given(sizes, sizes, st.integers(0, 699))
    def test_a_rewritten_past_cannot_be_proven(self, one: int, other: int, changed: int) -> None:
        """Even by the log itself, with the proof that it would compute."""
        old, new = sorted((one, other))
        changed %= old
        forged = [*LEAVES[:changed], tlog.leaf_hash(b"forged"), *LEAVES[changed + 1 :]]
        proof = tlog.prove_consistency(old, new, reader_of(forged))
        with pytest.raises(InvalidProof):
            tlog.check_consistency(
                old, new, tlog.tree_root(LEAVES[:old]), tlog.tree_root(forged[:new]), proof
            )

    def test_a_hash_too_many_or_too_few_is_noticed(self) -> None:
        """The length of a proof follows from the sizes."""
        proof = tlog.prove_consistency(3, 7, READ)
        old, new = tlog.tree_root(LEAVES[:3]), tlog.tree_root(LEAVES[:7])
        for short in (proof[:-1], ()):
            with pytest.raises(InvalidProof, match="too short"):
                tlog.check_consistency(3, 7, old, new, short)
        with pytest.raises(InvalidProof, match="too long"):
            tlog.check_consistency(3, 7, old, new, (*proof, new))

    def test_the_empty_tree_needs_no_proof_and_proves_nothing(self) -> None:
        """A witness at `old 0` is sent no proof; a verifier that is asked about it refuses."""
        assert tlog.prove_consistency(0, 7, READ) == ()
        with pytest.raises(InvalidProof):
            tlog.check_consistency(0, 7, tlog.EMPTY_ROOT, tlog.tree_root(LEAVES[:7]), ())

    @pytest.mark.parametrize(("old", "new"), [(8, 7), (-1, 7)])
    def test_sizes_out_of_order_are_refused(self, old: int, new: int) -> None:
        """A log never shrinks."""
        with pytest.raises(InvalidProof):
            tlog.prove_consistency(old, new, READ)
        with pytest.raises(InvalidProof):
            tlog.check_consistency(old, new, LEAVES[0], LEAVES[0], ())


class TestSubtrees:
    @pytest.mark.parametrize("size", range(1, 20))
    def test_every_subtree_is_proven_to_be_in_its_tree(self, size: int) -> None:
        """And the proof fails for another root of the subtree."""
        root = tlog.tree_root(LEAVES[:size])
        for subtree in subtrees(size):
            part = tlog.tree_root(LEAVES[subtree.start : subtree.stop])
            proof = tlog.prove_subtree_consistency(subtree, size, READ)
            tlog.check_subtree_consistency(subtree, size, part, root, proof)
            with pytest.raises(InvalidProof):
                tlog.check_subtree_consistency(subtree, size, flip(part, 0), root, proof)

    @pytest.mark.parametrize("size", range(1, 20))
    def test_a_leaf_is_proven_within_its_subtree(self, size: int) -> None:
        """With the proof of a tree that has only the subtree's leaves."""
        for subtree in subtrees(size):
            leaves = LEAVES[subtree.start : subtree.stop]
            for place, leaf in enumerate(leaves):
                proof = tlog.prove_inclusion(place, len(leaves), reader_of(leaves))
                index = subtree.start + place
                tlog.check_subtree_inclusion(leaf, index, subtree, proof, tlog.tree_root(leaves))

    @pytest.mark.parametrize("subtree", [range(3, 5), range(1, 1), range(5, 4), range(8, 10), range(0, 4, 2)])
    def test_leaves_that_are_no_subtree_are_refused(self, subtree: range) -> None:
        """They are no node of a tree of 9 leaves."""
        with pytest.raises(InvalidProof):
            tlog.prove_subtree_consistency(subtree, 9, READ)
        with pytest.raises(InvalidProof):
            tlog.check_subtree_consistency(subtree, 9, LEAVES[0], LEAVES[0], ())
