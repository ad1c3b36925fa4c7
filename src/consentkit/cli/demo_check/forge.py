"""Forging a pack, with more power than most forgers have: the log key is at hand, so the tree can be made anew."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from consentkit.evidence.entry import commitment, entry_line
from consentkit.keys import Keys, Signer
from consentkit.tlog import Checkpoint, NoteSigner, build_tiles, leaf_hashes, sign_note, tree_root

__all__ = ["Pack", "flip", "keep_signature"]


def flip(path: Path, place: int, mask: int = 1) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= mask
    path.write_bytes(data)


def keep_signature(old: bytes, new: bytes) -> bytes:
    """Return the text of a note above the signature of another one."""
    return new.partition(b"\n\n")[0] + b"\n\n" + old.partition(b"\n\n")[2]


@frozen
class Pack:
    """A copy of a pack, to be tampered with by somebody who has its keys."""

    folder: Path
    keys: Keys

    @classmethod
    def copy(cls, pack: Path, to: Path, keys: Keys) -> Pack:
        """Copy a pack."""
        shutil.copytree(pack, to)
        return cls(to, keys)

    def files(self) -> list[str]:
        """Return every file that a byte can be changed in and that an audit vouches for, sorted."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and path.stat().st_size)
        return sorted(path.relative_to(self.folder).as_posix() for path in found if path.name != "README.md")

    def one(self, pattern: str) -> Path:
        """Return the first file that matches a pattern."""
        return min(path for path in self.folder.glob(pattern) if path.is_file())

    @property
    def size(self) -> int:
        """The number of entries."""
        return int((self.folder / "log/checkpoint").read_bytes().split(b"\n")[1])

    def entries(self) -> list[bytes]:
        """Return the log's entries."""
        data, found = b"".join(path.read_bytes() for path in self._bundles()), []
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            found.append(data[2:end])
            data = data[end:]
        return found

    def _bundles(self) -> Sequence[Path]:
        return sorted(path for path in (self.folder / "log/tile/entries").rglob("*") if path.is_file())

    def openings(self) -> list[dict[str, Any]]:
        """Return the openings, in order."""
        return [json.loads(line) for line in self._openings().read_bytes().splitlines()]

    def _openings(self) -> Path:
        return self.folder / "openings/000.jsonl"

    def write_openings(self, openings: Sequence[dict[str, Any]]) -> None:
        """Put other openings in place."""
        self._openings().write_bytes(b"".join(_json(one) + b"\n" for one in openings))

    def rebuild(self, entries: Sequence[bytes], signer: Signer | None = None) -> None:
        """Make the tree of `entries` and sign its head, with the log key or in its name with another one."""
        shutil.rmtree(self.folder / "log")
        shutil.rmtree(self.folder / "checkpoints")
        root = tree_root(leaf_hashes(entries))
        text = Checkpoint(self.keys.log_name, len(entries), root).text()
        note = sign_note(text, NoteSigner(self.keys.log_name, signer or self.keys.log))
        files = [(f"log/{path}", data) for path, data in build_tiles(entries)]
        for path, data in [*files, ("log/checkpoint", note), (f"checkpoints/{len(entries)}", note)]:
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def reuse_signature(self) -> None:
        """Cut the log short, and put the signature that it had below the new head."""
        head = self.folder / "log/checkpoint"
        old = head.read_bytes()
        self.drop_record(-1)
        for path in (head, self.folder / f"checkpoints/{self.size}"):
            path.write_bytes(keep_signature(old, path.read_bytes()))

    def rewrite_record(
        self, place: int, change: Callable[[dict[str, Any]], object], signer: Signer, *, claim: str = ""
    ) -> int:
        """Change what a record says, sign it, and make the log say that it always was so.

        `claim` is the id of the key that the record pretends to be signed with, by default the signer's own.
        Returns the record's index.
        """
        openings, entries = self.openings(), self.entries()
        opening = openings[place]
        header, payload = (json.loads(_decode(part)) for part in opening["record"].split(".")[:2])
        change(payload)
        header["kid"] = claim or signer.key_id
        signed = ".".join(_encode(_json(part)) for part in (header, payload))
        opening["record"] = f"{signed}.{_encode(signer.sign(signed.encode()))}"
        entries[opening["index"]] = entry_line(
            commitment(opening["record"].encode(), _decode(opening["blind"]))
        )
        self.write_openings(openings)
        self.rebuild(entries)
        return int(opening["index"])

    def drop_record(self, place: int) -> int:
        """Take a record out of the log as if it had never been made. Returns the index that it had."""
        openings, entries = self.openings(), self.entries()
        index = int(openings.pop(place)["index"])
        del entries[index]
        for one in openings:
            one["index"] -= one["index"] > index
        self.write_openings(openings)
        self.rebuild(entries)
        return index


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
