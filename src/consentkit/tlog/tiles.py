"""Tiles and entry bundles: the static files that a log publishes, and a reader that trusts none of them.

The layout is that of c2sp.org/tlog-tiles: `tile/<level>/<index>` holds 256 hashes, `tile/entries/<index>` 256
entries, each behind its length; an index is written in groups of three digits, and a file that is not full
yet ends in `.p/<width>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from attrs import evolve, frozen

from consentkit.errors import InvalidLog, InvalidProof, InvalidTile
from consentkit.tlog.merkle import HASH_SIZE, HashReader, leaf_hashes, tree_root

__all__ = [
    "MAX_ENTRY_BYTES",
    "TILE_WIDTH",
    "Tile",
    "TileReader",
    "build_tiles",
    "decode_bundle",
    "encode_bundle",
    "entries_path",
    "new_tiles",
    "parse_tile_path",
    "partial_tiles",
    "tile_data",
    "tile_path",
    "tiles_for",
]

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_ENTRY_BYTES = 0xFFFF

_CACHED_TILES = 1024  # 8 MiB

_PATH = re.compile(
    r"tile/(?P<level>entries|[0-9]|[1-5][0-9]|6[0-3])/"
    r"(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@frozen
class Tile:
    """One file of a log: `width` hashes of tile level `level`, or as many entries where `level` is None."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path of the file in the log, such as `tile/0/x001/x234/067.p/8`."""
        level = "entries" if self.level is None else str(self.level)
        first, *rest = reversed(_groups(self.index))
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return "/".join([f"tile/{level}", *(f"x{group}" for group in reversed(rest)), first + partial])

    @property
    def first(self) -> int:
        """The number of its first hash within the level, or of its first entry."""
        return self.index * TILE_WIDTH


def _groups(index: int) -> list[str]:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    return [digits[start : start + 3] for start in range(0, len(digits), 3)]


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile of hashes, partial if `width` is less than 256."""
    return Tile(level, index, width).path


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle, partial if `width` is less than 256."""
    return Tile(None, index, width).path


def parse_tile_path(path: str) -> Tile:
    """Parse the path of a tile or bundle. Raises InvalidTile unless it is the one way to write that path."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise InvalidTile(f"{path[:80]!r} is not the path of a tile", path=path)
    level = None if match["level"] == "entries" else int(match["level"])
    tile = Tile(level, int(re.sub(r"[x/]", "", match["index"])), int(match["width"] or TILE_WIDTH))
    if tile.path != path or tile.width > TILE_WIDTH:
        raise InvalidTile(f"{path[:80]!r} is not the canonical path of a tile", path=path)
    return tile


def new_tiles(old_size: int, new_size: int) -> Iterator[Tile]:
    """Yield the tiles and bundles that a tree of `new_size` has and one of `old_size` had not.

    Bundles come first, then the levels upwards, so that whoever writes them in this order never publishes a
    hash whose entries are not there yet.
    """
    levels = range(-(-new_size.bit_length() // TILE_HEIGHT))
    for level in (None, *levels):
        shift = TILE_HEIGHT * (level or 0)
        old, new = old_size >> shift, new_size >> shift
        if old < new:
            yield from (Tile(level, index) for index in range(old // TILE_WIDTH, new // TILE_WIDTH))
            if new % TILE_WIDTH:
                yield Tile(level, new // TILE_WIDTH, new % TILE_WIDTH)


def partial_tiles(size: int) -> Iterator[Tile]:
    """Yield the tiles and bundles of a tree of `size` leaves that are not full: at most one of each level."""
    for level in (None, *range(-(-size.bit_length() // TILE_HEIGHT))):
        count = size >> TILE_HEIGHT * (level or 0)
        if count % TILE_WIDTH:
            yield Tile(level, count // TILE_WIDTH, count % TILE_WIDTH)


def tiles_for(size: int) -> Iterator[Tile]:
    """Yield all tiles and bundles of a tree of `size` leaves; earlier partial ones are not among them."""
    return new_tiles(0, size)


def tile_data(tile: Tile, read: HashReader) -> bytes:
    """Return the content of a tile of hashes, taken from `read`. Raises InvalidTile for a bundle."""
    if tile.level is None:
        raise InvalidTile("an entry bundle holds entries, not hashes", path=tile.path)
    level = tile.level * TILE_HEIGHT
    return b"".join(read(level, tile.first + place) for place in range(tile.width))


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Encode entries as a bundle: each behind its length as two big-endian bytes.

    Raises InvalidLog for an entry of more than 65535 bytes.
    """
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise InvalidLog(f"an entry of {len(entry)} bytes does not fit; the limit is {MAX_ENTRY_BYTES}")
        parts += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(parts)


def decode_bundle(data: bytes, count: int, path: str) -> list[bytes]:
    """Return the `count` entries of a bundle. Raises InvalidTile with `path` unless it holds just those."""
    entries = []
    place, end = 0, len(data)
    while place + 2 <= end:
        start = place + 2
        place = start + (data[place] << 8 | data[place + 1])
        entries.append(data[start:place])
    if place != end:
        raise InvalidTile(f"{path} is cut short", path=path)
    if len(entries) != count:
        raise InvalidTile(f"{path} holds {len(entries)} entries instead of {count}", path=path)
    return entries


def _hashes(data: bytes) -> list[bytes]:
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


def _batches(items: Iterable[bytes]) -> Iterator[list[bytes]]:
    source = iter(items)
    while batch := list(islice(source, TILE_WIDTH)):
        yield batch


def _edge_root(edge: Iterable[Sequence[bytes]]) -> bytes:
    """Join the hashes of the partial tiles, lowest level first, into the root of the tree."""
    below: list[bytes] = []
    for hashes in edge:
        if hashes or below:
            below = [tree_root([*hashes, *below])]
    return tree_root(below)


def build_tiles(entries: Iterable[bytes], *, root: bytes | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every bundle and tile of a log with these entries, lower levels first.

    Keeps 256 entries in memory at a time, and one hash for every 256. Raises InvalidLog for an entry that is
    too long and, after the last file, InvalidProof if `root` is given and is not the root of the tree.
    """
    edge: list[list[bytes]] = [[]]
    parents: list[bytes] = []

    def finish(hashes: list[bytes]) -> None:
        if len(hashes) == TILE_WIDTH:
            parents.append(tree_root(hashes))
        else:
            edge[-1] = hashes

    for index, bundle in enumerate(_batches(entries)):
        hashes = leaf_hashes(bundle)
        yield entries_path(index, len(bundle)), encode_bundle(bundle)
        yield tile_path(0, index, len(hashes)), b"".join(hashes)
        finish(hashes)
    while parents:
        edge.append([])
        nodes, parents = parents, []
        for index, hashes in enumerate(_batches(nodes)):
            yield tile_path(len(edge) - 1, index, len(hashes)), b"".join(hashes)
            finish(hashes)
    if root is not None and _edge_root(edge) != root:
        raise InvalidProof("the entries do not make up the signed tree")


class TileReader:
    """Reads a published log and returns only what is proven to be in the tree of `size` leaves with `root`.

    `fetch` returns the content of a path; it may raise LookupError or OSError for a file that is not there. A
    reader is a HashReader, so proofs can be made from it. Whatever does not belong to the tree raises
    InvalidTile with its path; what the tree cannot have at all, InvalidProof. Not to be shared by threads.
    """

    def __init__(self, fetch: Callable[[str], bytes], size: int, root: bytes) -> None:
        self.size = size
        self.root = root
        self._fetch = fetch
        self._full: dict[tuple[int, int], bytes] = {}
        self._edge = self._prove_edge()

    def __call__(self, level: int, index: int, /) -> bytes:
        """Return the proven hash of complete subtree `index` of 2**`level` leaves."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        data = self.tile(tile_level, first // TILE_WIDTH)
        start = first % TILE_WIDTH * HASH_SIZE
        end = start + (HASH_SIZE << height)
        if end > len(data):
            raise self._outside(f"subtree {index} of level {level}")
        return tree_root(_hashes(data[start:end]))

    def tile(self, level: int, index: int) -> bytes:
        """Return the proven content of a tile, at the right edge of the tree a partial one."""
        width = self._width(level, index)
        if width < TILE_WIDTH:
            return self._edge[level]
        data = self._full.get((level, index))
        if data is None:
            data = self._prove_full(level, index)
            if len(self._full) >= _CACHED_TILES:
                del self._full[next(iter(self._full))]
            self._full[level, index] = data
        return data

    def bundle(self, index: int) -> list[bytes]:
        """Return the proven entries of bundle `index`: 256, or fewer at the right edge of the tree."""
        tile = Tile(None, index, self._width(0, index))
        data, path = self._fetch_either(tile)
        entries = decode_bundle(data, TILE_WIDTH if path != tile.path else tile.width, path)[: tile.width]
        hashes = leaf_hashes(entries)
        expected = self.tile(0, index)
        if b"".join(hashes) != expected:
            bad = next(i for i, value in enumerate(_hashes(expected)) if value != hashes[i])
            raise InvalidTile(f"entry {tile.first + bad} in {path} is not the one in the tree", path=path)
        return entries

    def entry(self, index: int) -> bytes:
        """Return the proven entry number `index`."""
        if not 0 <= index < self.size:
            raise self._outside(f"entry {index}")
        return self.bundle(index // TILE_WIDTH)[index % TILE_WIDTH]

    def _outside(self, what: str) -> InvalidProof:
        return InvalidProof(f"a tree of size {self.size} has no {what}")

    def _width(self, level: int, index: int) -> int:
        width = (self.size >> TILE_HEIGHT * level) - index * TILE_WIDTH if level >= 0 <= index else 0
        if width <= 0:
            raise self._outside(f"tile {index} of level {level}")
        return min(width, TILE_WIDTH)

    def _prove_edge(self) -> list[bytes]:
        # The partial tiles, one a level, cover the whole tree: together they must hash to the root.
        counts = [self.size >> shift for shift in range(0, max(self.size.bit_length(), 1), TILE_HEIGHT)]
        tiles = [Tile(level, n // TILE_WIDTH, n % TILE_WIDTH) for level, n in enumerate(counts)]
        edge = [self._fetch_hashes(tile) if tile.width else b"" for tile in tiles]
        if _edge_root(map(_hashes, edge)) != self.root:
            paths = [tile.path for tile in tiles if tile.width] or ["checkpoint"]
            raise InvalidTile(f"{', '.join(paths)} do not hash to the signed root", path=paths[0])
        return edge

    def _prove_full(self, level: int, index: int) -> bytes:
        tile = Tile(level, index)
        data = self._fetch_hashes(tile)
        if tree_root(_hashes(data)) != self(TILE_HEIGHT * (level + 1), index):
            raise InvalidTile(f"{tile.path} is not the one in the tree", path=tile.path)
        return data

    def _fetch_hashes(self, tile: Tile) -> bytes:
        data, path = self._fetch_either(tile)
        width = tile.width if path == tile.path else TILE_WIDTH
        if len(data) != width * HASH_SIZE:
            raise InvalidTile(f"{path} has {len(data)} bytes instead of {width * HASH_SIZE}", path=path)
        return data[: tile.width * HASH_SIZE]

    def _fetch_either(self, tile: Tile) -> tuple[bytes, str]:
        """Fetch a tile, or the full one that a log may have replaced a partial one by."""
        try:
            return self._fetch(tile.path), tile.path
        except (LookupError, OSError) as error:
            missing = error
        if tile.width < TILE_WIDTH:
            full = evolve(tile, width=TILE_WIDTH)
            try:
                return self._fetch(full.path), full.path
            except (LookupError, OSError):
                pass
        raise InvalidTile(f"{tile.path} cannot be read", path=tile.path) from missing
