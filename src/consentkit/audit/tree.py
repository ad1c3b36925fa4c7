"""The tree of a pack, rebuilt from its bundles in one pass and compared with every tile.

A tile and what lies below it can contradict each other. Which of them is wrong is settled by the tile above,
and at the right edge of the tree, which has none above, by the signed root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

from attrs import define, field, frozen

from consentkit.audit.pack import Pack, bundle_path
from consentkit.errors import InvalidTile
from consentkit.tlog import (
    EMPTY_ROOT,
    HASH_SIZE,
    TILE_WIDTH,
    decode_bundle,
    leaf_hash,
    leaf_hashes,
    tile_path,
    tree_root,
)

__all__ = ["Bundle", "Tree", "bundle_count", "bundle_width", "walk_tree"]

_MAX_LOST = 1000

Hashes = Sequence[bytes | None]
"""Hashes of one tile; None where neither the tile nor what lies below it says which."""


def bundle_count(size: int) -> int:
    """Return how many bundles a log of `size` entries has."""
    return -(-size // TILE_WIDTH)


def bundle_width(size: int, number: int) -> int:
    """Return how many entries bundle `number` of a log of `size` entries has."""
    return min(TILE_WIDTH, size - number * TILE_WIDTH)


@frozen
class Bundle:
    """One bundle as it was read. `wrong` holds the places in it whose entries are not the signed ones."""

    number: int
    data: bytes
    entries: Sequence[bytes]
    wrong: frozenset[int]


@define
class Tree:
    """The tree that the bundles make up, or the tiles where those prove a bundle wrong.

    `root` is None and a size is missing from `roots` when too much is missing to tell. `reached` is the number
    of entries looked at: less than `size` when the walk gave up. `lost` holds the numbers of unusable bundles.
    """

    size: int
    root: bytes | None = None
    roots: dict[int, bytes] = field(factory=dict)
    reached: int = 0
    lost: set[int] = field(factory=set)


def walk_tree(
    pack: Pack, size: int, root: bytes, sizes: Iterable[int], visit: Callable[[Bundle], None]
) -> Tree:
    """Read every bundle and tile of a log of `size` entries once, in order, and `visit` each usable bundle.

    `root` is the signed root; `sizes` are the earlier ones whose roots are wanted. Memory is a tile for each
    level and the wanted sizes.
    """
    walk = _Walk(pack, Tree(size), root, sorted(wanted for wanted in sizes if wanted <= size), visit)
    for number in range(bundle_count(size)):
        if len(walk.tree.lost) > _MAX_LOST:
            first = number * TILE_WIDTH
            pack.findings.add("tree-given-up", f"nothing from index {first} on was looked at", None, first)
            return walk.tree
        walk.take_bundle(number)
    walk.finish()
    return walk.tree


@define
class _Walk:
    pack: Pack
    tree: Tree
    signed_root: bytes
    wanted: list[int]
    visit: Callable[[Bundle], None]
    levels: list[list[bytes | None]] = field(factory=lambda: [[]])
    counts: list[int] = field(factory=lambda: [0])
    last: Bundle | None = None

    def take_bundle(self, number: int) -> None:
        """Take in one bundle and every tile that it completes; a partial one waits for `finish`."""
        width = bundle_width(self.tree.size, number)
        bundle = self._read_bundle(number, width)
        computed: Hashes = leaf_hashes(bundle.entries) if bundle else [None] * width
        self.tree.reached = number * TILE_WIDTH + width
        if bundle is None:
            self.tree.lost.add(number)
        if width < TILE_WIDTH:
            self.last, self.levels[0] = bundle, list(computed)
            return
        settled = self._settle(0, number, computed)
        if bundle:
            self._visit(bundle, computed, settled)
        self._note_roots(settled)
        self._close(0, settled)

    def finish(self) -> None:
        """Settle the right edge by the signed root, and take the roots of the sizes that end in it."""
        edge = [self._candidates(level) for level in range(len(self.levels))]
        choices = (choice for choice in product(*edge) if _edge_root(choice) == self.signed_root)
        chosen = next(choices, tuple(candidates[0] for candidates in edge))
        for level, (candidates, hashes) in enumerate(zip(edge, chosen, strict=True)):
            if len(candidates) > 1:
                below, stated = candidates
                self._blame(level, self.counts[level], below, stated, stated_is_right=hashes is stated)
        if self.last:
            self._visit(self.last, edge[0][0], chosen[0])
        self.levels = [list(hashes) for hashes in chosen]
        self._note_roots(chosen[0])
        self.tree.root = _edge_root(chosen)

    def _visit(self, bundle: Bundle, computed: Hashes, settled: Hashes) -> None:
        wrong = frozenset(() if settled is computed else _differences(computed, settled))
        self.visit(Bundle(bundle.number, bundle.data, bundle.entries, wrong) if wrong else bundle)

    def _note_roots(self, leaves: Hashes) -> None:
        start = self.counts[0] * TILE_WIDTH
        while self.wanted and self.wanted[0] <= start + len(leaves):
            size = self.wanted.pop(0)
            root = _edge_root([leaves[: size - start], *self.levels[1:]])
            if root is not None:
                self.tree.roots[size] = root

    def _close(self, level: int, settled: Hashes) -> None:
        """Finish a full tile: its root is the next hash of the level above, which may be full then as well."""
        above = level + 1
        if above == len(self.levels):
            self.levels.append([])
            self.counts.append(0)
        self.counts[level] += 1
        self.levels[level] = []
        self.levels[above].append(_root(settled))
        if len(self.levels[above]) == TILE_WIDTH:
            self._close(above, self._settle(above, self.counts[above], self.levels[above]))

    def _settle(self, level: int, index: int, below: Hashes) -> Hashes:
        """Return the hashes of a full tile, and blame whichever of tile and lower files contradicts them."""
        data = self._stated(level, index, TILE_WIDTH)
        if data is None or _joined(below) == data:
            return below
        stated = _split(data)
        if (known := _fill(below, stated)) == stated:
            return known
        above = self._peek(level + 1, index // TILE_WIDTH)
        right = above is not None and above[index % TILE_WIDTH] == tree_root(stated)
        self._blame(level, index, known, stated, stated_is_right=right)
        return stated if right else known

    def _candidates(self, level: int) -> list[Hashes]:
        """Return what the partial tile of a level may hold: as computed and, where it differs, as stated."""
        below = self.levels[level]
        data = self._stated(level, self.counts[level], len(below)) if below else None
        if data is None:
            return [below]
        stated = _split(data)
        known = _fill(below, stated)
        return [known] if known == stated else [known, stated]

    def _blame(self, level: int, index: int, below: Hashes, stated: Hashes, *, stated_is_right: bool) -> None:
        places = _differences(below, stated)
        first, span = index * TILE_WIDTH, TILE_WIDTH**level
        if not stated_is_right:
            path = f"log/{tile_path(level, index, len(stated))}"
            message = f"{path} does not hold the hashes of what lies below it"
            self.pack.findings.add("tile-mismatch", message, path, (first + places[0]) * span)
        elif level == 0:
            path = bundle_path(index, len(stated))
            more = f", and {len(places) - 1} more" if len(places) > 1 else ""
            message = f"entry {first + places[0]} in {path} is not the one in the signed tree{more}"
            self.pack.findings.add("bundle-mismatch", message, path, first + places[0])
        else:
            for place in places:
                path = f"log/{tile_path(level - 1, first + place)}"
                message = f"{path} and what lies below it are not part of the signed tree"
                self.pack.findings.add("tile-mismatch", message, path, (first + place) * span)

    def _read_bundle(self, number: int, width: int) -> Bundle | None:
        path, first = bundle_path(number, width), number * TILE_WIDTH
        data = self.pack.fetch("bundle", path, missing="bundle-missing", index=first)
        if data is None:
            return None
        try:
            return Bundle(number, data, decode_bundle(data, width, path), frozenset())
        except InvalidTile as error:
            place = self._first_wrong(data, number, width)
            self.pack.findings.add("bundle-malformed", error.message, path, first + place)
            return None

    def _first_wrong(self, data: bytes, number: int, width: int) -> int:
        """Return the first place in a malformed bundle where an entry is not the one that the tile states."""
        stated = self._peek(0, number) or [b""] * width
        place = start = 0
        while place < width - 1 and start + 2 <= len(data):
            end = start + 2 + int.from_bytes(data[start : start + 2], "big")
            if leaf_hash(data[start + 2 : end]) != stated[place]:
                break
            place, start = place + 1, end
        return place

    def _stated(self, level: int, index: int, width: int) -> bytes | None:
        """Return the content of a tile, or None, and then a finding says why."""
        path, first = f"log/{tile_path(level, index, width)}", index * TILE_WIDTH ** (level + 1)
        data = self.pack.fetch("tile", path, missing="tile-missing", index=first)
        if data is None or len(data) == width * HASH_SIZE:
            return data
        message = f"{path} has {len(data)} bytes instead of {width * HASH_SIZE}"
        self.pack.findings.add("tile-mismatch", message, path, first)
        return None

    def _peek(self, level: int, index: int) -> list[bytes] | None:
        """Return what a tile states, without findings: it has its turn when the walk comes to it."""
        width = min(TILE_WIDTH, self.tree.size // TILE_WIDTH**level - index * TILE_WIDTH)
        data = self.pack.glance("tile", f"log/{tile_path(level, index, width)}")
        return _split(data) if data is not None and len(data) == width * HASH_SIZE else None


def _split(data: bytes) -> list[bytes]:
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


def _joined(hashes: Hashes) -> bytes | None:
    """Return the hashes in one piece, as a tile has them; None when some are unknown."""
    known = [one for one in hashes if one is not None]
    return b"".join(known) if len(known) == len(hashes) else None


def _fill(below: Hashes, stated: Sequence[bytes]) -> Hashes:
    """Return `below` with what is unknown in it taken from `stated`."""
    if None not in below:
        return below
    return [other if one is None else one for one, other in zip(below, stated, strict=True)]


def _differences(one: Hashes, other: Hashes) -> list[int]:
    """Return the places where both hashes are known and differ."""
    pairs = enumerate(zip(one, other, strict=True))
    return [place for place, (a, b) in pairs if a != b and a is not None and b is not None]


def _root(hashes: Hashes) -> bytes | None:
    known = [one for one in hashes if one is not None]
    return tree_root(known) if len(known) == len(hashes) else None


def _edge_root(edge: Iterable[Hashes]) -> bytes | None:
    """Return the root of a tree from the hashes in its incomplete tiles, lowest level first."""
    root: Hashes = ()
    for hashes in edge:
        if nodes := [*hashes, *root]:
            root = [_root(nodes)]
    return root[0] if root else EMPTY_ROOT
