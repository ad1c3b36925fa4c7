"""The auditor's pack: the log as static C2SP files, and beside it what opens its entries.

Files are written once and whole, the log's checkpoint last, so a pack that was interrupted is carried on and a
finished one is brought up to date by exporting again. No key is read or written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

import attrs

from consentkit.errors import InvalidNote, InvalidProof, LedgerError, LedgerUnavailable
from consentkit.evidence._files import sync_folder
from consentkit.evidence.hashes import StoredHashes, check_head
from consentkit.evidence.heads import with_cosignatures
from consentkit.evidence.holds import format_hold
from consentkit.evidence.opening import format_opening
from consentkit.evidence.store import Head, View, open_store
from consentkit.tlog import (
    TILE_WIDTH,
    Checkpoint,
    Tile,
    check_consistency,
    encode_bundle,
    new_tiles,
    parse_note,
    prove_consistency,
    tile_path,
)

__all__ = ["Progress", "export", "openings_path"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""

_CHECKPOINT: Final = "log/checkpoint"
_TOP: Final = frozenset(("log", "checkpoints", "openings", "policies", "notices", "holds.jsonl", "README.md"))
_MAX_CHECKPOINT: Final = 1_000_000


def openings_path(bundle: int) -> str:
    """Return where a pack keeps the openings of entry bundle `bundle`: numbered as tiles are, never partial."""
    return f"openings/{tile_path(0, bundle).removeprefix('tile/0/')}.jsonl"


def export(url: str, dest: str | os.PathLike[str], *, progress: Progress | None = None) -> None:
    """Write the pack of the ledger at `url` into the folder `dest`, or bring the pack that is there up to date.

    Reads one consistent state while the site goes on. `progress` is called with `entries`, how many are
    written, and how many there are. Raises LedgerUnavailable when ledger or folder cannot be used,
    LedgerCorrupt when the store does not hold what it signed, LedgerError when `dest` holds the pack of
    another log, or of a longer one.
    """
    store = open_store(url, read_only=True)
    try:
        with store.view() as view:
            if (head := view.head()) is None:
                raise LedgerUnavailable(f"the ledger at {url} is empty", remedy="open it with its keys once")
            check_head(view, head)
            _Pack(Path(dest), view, head, progress or _quiet).write()
    except OSError as error:
        raise LedgerUnavailable(
            f"the pack cannot be written: {error}", remedy="check the folder and the disk"
        ) from error
    finally:
        store.release()


def _quiet(what: str, done: int, total: int) -> None:
    """Show no progress."""


class _Pack:
    """One export of a view into a folder."""

    def __init__(self, folder: Path, view: View, head: Head, progress: Progress) -> None:
        self.folder, self.view, self.head, self.progress = folder, view, head, progress
        self.read = StoredHashes(view)
        self.touched: set[Path] = set()

    def write(self) -> None:
        """Write what the folder lacks; what depends on other files comes after them."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        old = self.exported_size()
        for tile in new_tiles(old, self.head.size):
            if tile.level is None:
                self.put_entries(tile, old)
            elif tile.level:
                self.put(f"log/{tile.path}", b"".join(self.read.tile(tile.level, tile.index)[: tile.width]))
        self.drop_removed(old)
        for digest, body in self.view.published("policy"):
            self.put(f"policies/{digest}.json", body)
        for digest, body in self.view.published("notice"):
            self.put(f"notices/{digest}.html", body)
        for size, note in self.view.checkpoints():
            self.put(f"checkpoints/{size}", note)
        for size, note in self.view.cosigned():
            # Cosignatures come in one after another; nothing else about a checkpoint ever changes.
            self.put(f"checkpoints/{size}", note, anew=self.length(f"checkpoints/{size}") != len(note))
        self.put("holds.jsonl", b"".join(map(format_hold, self.view.holds())), anew=True)
        self.put("README.md", (files("consentkit.evidence") / "pack.md").read_bytes(), anew=True)
        self.sync_folders()
        self.put(_CHECKPOINT, with_cosignatures(self.view, self.head), anew=True)
        self.sync_folders()
        self.drop_partial(old)

    def exported_size(self) -> int:
        """Return the size of the log that the folder holds already, once it is known to be this one's beginning."""
        try:
            with (self.folder / _CHECKPOINT).open("rb") as file:
                old = Checkpoint.parse(parse_note(file.read(_MAX_CHECKPOINT))[0])
        except FileNotFoundError:
            self.check_folder()
            return 0
        except InvalidNote as error:
            raise self.unfit(f"its checkpoint is damaged: {error.message}") from error
        new = Checkpoint.parse(parse_note(self.head.checkpoint)[0])
        if old.log_name != new.log_name:
            raise self.unfit(f"it is that of the log {old.log_name}, not of {new.log_name}")
        if old.size > new.size:
            raise self.unfit(f"it has {old.size} entries, and the ledger has {new.size}")
        try:
            proof = prove_consistency(old.size, new.size, self.read)
            check_consistency(old.size, new.size, old.root, new.root, proof)
        except InvalidProof as error:
            raise self.unfit(f"the ledger does not continue it: {error.message}") from error
        return old.size

    def check_folder(self) -> None:
        """Refuse a folder that holds anything but a pack, finished or broken off: the keys, say, or a project."""
        found = (path.name for path in self.folder.iterdir())
        # A name that begins with a dot is that of a file which was being written when an export broke off.
        if strange := sorted(name for name in found if name not in _TOP and not name.startswith(".")):
            raise LedgerError(
                f"{self.folder} is no pack: it holds {strange[0]}",
                remedy="export into a new or an empty folder",
            )

    def unfit(self, why: str) -> LedgerError:
        """Make the error for a folder that cannot be brought up to date."""
        return LedgerError(
            f"the pack in {self.folder} is not an earlier state of this ledger: {why}",
            remedy="keep it, find out why, and export into another folder",
        )

    def put_entries(self, tile: Tile, old: int) -> None:
        """Write a bundle of entries, their hashes, and what opens them."""
        start, stop = tile.first, tile.first + tile.width
        hashes = f"log/{tile_path(0, tile.index, tile.width)}"
        if not (self.has(f"log/{tile.path}") and self.has(hashes)):
            self.put(f"log/{tile.path}", encode_bundle(self.view.entries(start, stop)))
            self.put(hashes, b"".join(self.read.tile(0, tile.index)[: tile.width]))
        if tile.index == old // TILE_WIDTH or not self.has(openings_path(tile.index)):
            self.put_openings(tile.index)
        self.progress("entries", stop, self.head.size)

    def drop_removed(self, old: int) -> None:
        """Write anew, without them, the openings of bundles from which some were removed since an earlier export."""
        ranges = [(first // TILE_WIDTH, -(-stop // TILE_WIDTH)) for _, first, stop in self.view.removals(old)]
        for bundle in sorted({bundle for start, stop in ranges for bundle in range(start, stop)}):
            if self.length(openings_path(bundle)):
                self.put_openings(bundle)

    def put_openings(self, bundle: int) -> None:
        """Write what opens the entries of a bundle."""
        start = bundle * TILE_WIDTH
        openings = self.view.openings(start, min(start + TILE_WIDTH, self.head.size))
        self.put(openings_path(bundle), b"".join(map(format_opening, openings)), anew=True)

    def has(self, place: str) -> bool:
        """Say whether the folder has a file; one that is there is whole."""
        return (self.folder / place).exists()

    def length(self, place: str) -> int:
        """Return the size of a file in bytes, 0 if it is not there."""
        path = self.folder / place
        return path.stat().st_size if path.exists() else 0

    def put(self, place: str, data: bytes, *, anew: bool = False) -> None:
        """Write a file whole or not at all, unless it is there and cannot have changed."""
        path = self.folder / place
        if path.exists() and not anew:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        self.touched.add(path.parent)

    def sync_folders(self) -> None:
        """Make the names of all files written so far durable."""
        for folder in sorted(self.touched):
            sync_folder(folder)
        self.touched.clear()

    def drop_partial(self, old: int) -> None:
        """Remove partial tiles that full ones have replaced, as c2sp.org/tlog-tiles allows."""
        for tile in new_tiles(0, old):
            full = attrs.evolve(tile, width=TILE_WIDTH).path
            if tile.width < TILE_WIDTH and self.has(f"log/{full}"):
                shutil.rmtree(self.folder / f"log/{full}.p", ignore_errors=True)
