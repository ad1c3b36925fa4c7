"""The auditor's pack: the log as static C2SP files, and beside it what opens its entries.

Files are written once and whole, the log's checkpoint last, so a pack that was interrupted is carried on and a
finished one is brought up to date by exporting again. No key is read or written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

from consentkit.errors import LedgerError, LedgerUnavailable
from consentkit.evidence.bucket import Bucket, File, Folder
from consentkit.evidence.hashes import check_head
from consentkit.evidence.heads import with_cosignatures
from consentkit.evidence.holds import format_hold
from consentkit.evidence.opening import format_opening
from consentkit.evidence.publication import LogFiles, checkpoints
from consentkit.evidence.sealed import reading
from consentkit.evidence.store import Head, View
from consentkit.tlog import TILE_WIDTH, new_tiles, tile_path

__all__ = ["Progress", "export", "openings_path"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""

_TOP: Final = frozenset(("log", "checkpoints", "openings", "policies", "notices", "holds.jsonl", "README.md"))


def openings_path(bundle: int) -> str:
    """Return where a pack keeps the openings of entry bundle `bundle`: numbered as tiles are, never partial."""
    return f"openings/{tile_path(0, bundle).removeprefix('tile/0/')}.jsonl"


def export(
    url: str,
    dest: str | os.PathLike[str] | Bucket,
    *,
    progress: Progress | None = None,
    subject_keys: str | None = None,
) -> None:
    """Write the pack of the ledger at `url` to `dest`, a folder or a bucket, or bring what is there up to date.

    Reads one consistent state while the site goes on. `subject_keys` is the URL of the keys under which the ledger's
    openings are sealed, if they are; in a pack they are not. `progress` is called with `entries`, how many are
    written, and how many there are. Raises LedgerUnavailable when ledger or place cannot be used,
    LedgerCorrupt when the store does not hold what it signed, LedgerError when `dest` holds the pack of
    another log, or of a longer one.
    """
    bucket = Folder(Path(dest)) if isinstance(dest, str | os.PathLike) else dest
    with reading(url, subject_keys) as view:
        if (head := view.head()) is None:
            raise LedgerUnavailable(f"the ledger at {url} is empty", remedy="open it with its keys once")
        check_head(view, head)
        bucket.check()
        _Pack(bucket, view, head, progress or _quiet).write()


def _quiet(what: str, done: int, total: int) -> None:
    """Show no progress."""


class _Pack:
    """One export of a view."""

    def __init__(self, bucket: Bucket, view: View, head: Head, progress: Progress) -> None:
        self.bucket, self.view, self.head, self.progress = bucket, view, head, progress
        self.log = LogFiles(bucket, bucket.read("log/checkpoint"), view, head, "log/")

    def write(self) -> None:
        """Write what the place lacks; what depends on other files comes after them."""
        found = self.log.published_size()
        if found is None:
            self.check_place()
        old = found or 0
        self.bucket.write(self.parts(old))
        checkpoints(self.bucket, self.view)
        if not self.log.publish_head(with_cosignatures(self.view, self.head)):
            raise LedgerError(f"another export into {self.bucket.place} is under way", remedy="export again")
        self.log.drop_partial(old)

    def check_place(self) -> None:
        """Refuse a place that holds anything but a pack, finished or broken off: the keys, say, or a project."""
        if strange := sorted(self.bucket.names() - _TOP):
            raise LedgerError(
                f"{self.bucket.place} is no pack: it holds {strange[0]}",
                remedy="export into a new or an empty folder",
            )

    def parts(self, old: int) -> Iterator[File]:
        """Yield what a pack of `old` entries lacks, or has otherwise, but for checkpoints."""
        for tile in new_tiles(old, self.head.size):
            yield from self.log.files(tile)
            if tile.level is None:
                yield self.openings(tile.index)
                self.progress("entries", tile.first + tile.width, self.head.size)
        yield from map(self.openings, self.reduced(old))
        for digest, body in self.view.published("policy"):
            yield File(f"policies/{digest}.json", body)
        for digest, body in self.view.published("notice"):
            yield File(f"notices/{digest}.html", body)
        yield File("holds.jsonl", b"".join(map(format_hold, self.view.holds())), fixed=False)
        yield File("README.md", (files("consentkit.evidence") / "pack.md").read_bytes(), fixed=False)

    def openings(self, bundle: int) -> File:
        """Make what opens the entries of a bundle."""
        start = bundle * TILE_WIDTH
        openings = self.view.openings(start, min(start + TILE_WIDTH, self.head.size))
        return File(openings_path(bundle), b"".join(map(format_opening, openings)), fixed=False)

    def reduced(self, old: int) -> list[int]:
        """Return the bundles that a pack of `old` entries has, and from whose openings some were removed since."""
        ranges = [(first // TILE_WIDTH, -(-stop // TILE_WIDTH)) for _, first, stop in self.view.removals(old)]
        return sorted(
            {bundle for start, stop in ranges for bundle in range(start, min(stop, old // TILE_WIDTH))}
        )
