"""Files that no check vouches for: whatever lies in a pack and is not one of its parts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from attrs import evolve, frozen

from consentkit.audit.pack import CHECKPOINT, HOLDS, README, Pack
from consentkit.audit.state import Facts
from consentkit.audit.tree import bundle_count
from consentkit.errors import InvalidTile
from consentkit.evidence.export import openings_path
from consentkit.tlog import HASH_SIZE, TILE_WIDTH, Tile, decode_bundle, parse_tile_path

__all__ = ["check_files"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DECIMAL = re.compile(r"checkpoints/(0|[1-9][0-9]{0,18})")


@frozen
class _Parts:
    """What a pack of a log of `size` entries may hold."""

    size: int
    facts: Facts

    def has(self, path: str) -> bool:
        if path in (CHECKPOINT, README) or _DECIMAL.fullmatch(path):
            return True
        folder, _, name = path.partition("/")
        match folder:
            case "log":
                return self._has_tile(name)
            case "openings":
                return self._has_openings(path)
            case "policies":
                return name.endswith(".json") and self._is_published(name[:-5], self.facts.policies)
            case "notices":
                return name.endswith(".html") and self._is_published(name[:-5], self.facts.notices)
        return path == HOLDS

    def _is_published(self, digest: str, known: Mapping[str, object]) -> bool:
        # Where entries are gone, one of them may have published it.
        return digest in known or (not self.facts.complete and _DIGEST.fullmatch(digest) is not None)

    def _has_tile(self, path: str) -> bool:
        tile = _parse(path)
        return tile is not None and tile.width == tile_width(self.size, tile)

    def _has_openings(self, path: str) -> bool:
        tile = _parse(f"tile/entries/{path.removeprefix('openings/').removesuffix('.jsonl')}")
        return tile is not None and tile.index < bundle_count(self.size) and path == openings_path(tile.index)


def _parse(path: str) -> Tile | None:
    try:
        return parse_tile_path(path)
    except InvalidTile:
        return None


def tile_width(size: int, tile: Tile) -> int:
    """Return how wide a tile or bundle is in a log of `size` entries: 0 or less where there is none."""
    return min(TILE_WIDTH, (size >> 8 * (tile.level or 0)) - tile.index * TILE_WIDTH)


def check_files(pack: Pack, size: int, facts: Facts, *, holds: bool) -> int:
    """Find every file that is no part of a pack, and return how many files there are in all.

    A partial tile that an earlier export left behind is one where the fuller tile begins with it.
    """
    pack.fetch("readme", README, missing=None)
    if not holds and pack.fetch("holds", HOLDS, missing=None):
        pack.findings.add("file-unexpected", f"{HOLDS} is not empty, and the log has no hold", HOLDS)
    parts = _Parts(size, facts)
    count = 0
    for path in pack.folder.walk():
        count += 1
        if parts.has(path) or _is_outgrown(pack, size, path):
            continue
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        pack.findings.add(
            "file-unexpected", f"{shown} is no part of a pack, so nothing vouches for it", shown
        )
    return count


def _is_outgrown(pack: Pack, size: int, path: str) -> bool:
    tile = _parse(path.removeprefix("log/"))
    if tile is None or not path.startswith("log/") or tile.width >= (width := tile_width(size, tile)):
        return False
    kind = "bundle" if tile.level is None else "tile"
    old, new = pack.glance(kind, path), pack.glance(kind, f"log/{evolve(tile, width=width).path}")
    if old is None or new is None or not new.startswith(old):
        return False
    if tile.level is not None:
        return len(old) == tile.width * HASH_SIZE
    try:
        return len(decode_bundle(old, tile.width, path)) == tile.width
    except InvalidTile:
        return False
