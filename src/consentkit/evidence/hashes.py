"""The tree's hashes as a store keeps them: entries, and one hash for every complete tile.

Leaf hashes follow from the entries. Of the nodes above, only those of levels 8, 16, 24... are stored: they are
what tiles of level 1 and up consist of. Whatever else a proof needs is hashed from at most 256 of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from consentkit.errors import LedgerCorrupt
from consentkit.evidence.store import Head, View
from consentkit.tlog import TILE_WIDTH, Growth, leaf_hash, tree_root

__all__ = ["StoredHashes", "check_head", "tile_nodes"]

_CACHED_TILES = 64


def tile_nodes(growth: tuple[Growth, ...]) -> tuple[Growth, ...]:
    """Keep, of all subtrees that an append completed, those that a store has to remember."""
    return tuple(grown for grown in growth if grown.level and grown.level % 8 == 0)


class StoredHashes:
    """A `HashReader` over a store's view. Raises LedgerCorrupt for a hash that should be there and is not."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, level: int, index: int, /) -> bytes:
        """Return the hash of complete subtree `index` of 2**`level` leaves."""
        tile_level, height = divmod(level, 8)
        tile, start = divmod(index << height, TILE_WIDTH)
        hashes = self.tile(tile_level, tile)[start : start + (1 << height)]
        if len(hashes) != 1 << height:
            raise LedgerCorrupt(f"the store lacks hashes of tile {tile} of level {tile_level}")
        return tree_root(hashes)

    def tile(self, level: int, index: int) -> list[bytes]:
        """Return the hashes of a tile, as many as there are."""
        if (known := self._tiles.get((level, index))) is not None:
            return known
        start, stop = index * TILE_WIDTH, (index + 1) * TILE_WIDTH
        stored = self._view.nodes(level * 8, start, stop) if level else self._leaves(start, stop)
        if len(self._tiles) >= _CACHED_TILES:
            del self._tiles[next(iter(self._tiles))]
        hashes = self._tiles[level, index] = list(stored)
        return hashes

    def _leaves(self, start: int, stop: int) -> Iterator[bytes]:
        return map(leaf_hash, self._view.entries(start, stop))


def check_head(view: View, head: Head) -> None:
    """Check that the right edge of the stored tree is the one that the head remembers.

    Reads at most 256 entries and 256 hashes of each tile level, however large the log is. Raises LedgerCorrupt.
    """
    read, size = StoredHashes(view), head.size
    bits = [bit for bit in reversed(range(size.bit_length())) if size >> bit & 1]
    for bit, expected in zip(bits, head.frontier.hashes, strict=True):
        if read(bit, (size >> bit) - 1) != expected:
            raise LedgerCorrupt(
                f"the entries stored below index {size} are not those that were signed",
                remedy="stop writing to this ledger, keep the file, and restore it from a backup",
            )
