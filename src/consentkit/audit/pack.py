"""The auditor's pack: what lies where in it, and how an unreadable file becomes a finding."""

from __future__ import annotations

from attrs import frozen

from consentkit.audit.findings import Findings
from consentkit.audit.folder import Folder, Refused
from consentkit.tlog import MAX_ENTRY_BYTES, MAX_NOTE_BYTES, TILE_WIDTH, entries_path

__all__ = [
    "CHECKPOINT",
    "HOLDS",
    "LIMITS",
    "README",
    "Pack",
    "bundle_path",
    "notice_path",
    "policy_path",
]

CHECKPOINT = "log/checkpoint"
README = "README.md"
HOLDS = "holds.jsonl"

LIMITS = {
    "checkpoint": MAX_NOTE_BYTES,
    "bundle": TILE_WIDTH * (2 + MAX_ENTRY_BYTES),
    "tile": TILE_WIDTH * 32,
    "openings": TILE_WIDTH * 64 * 1024,
    "policy": 2 * 1024 * 1024,
    "notice": 16 * 1024 * 1024,
    "readme": 1024 * 1024,
    "holds": 64 * 1024 * 1024,
}
"""The most bytes that a file of each kind may have."""


def bundle_path(number: int, width: int) -> str:
    """Return where a bundle of `width` entries is."""
    return f"log/{entries_path(number, width)}"


def policy_path(digest: str) -> str:
    """Return where a policy's canonical form is."""
    return f"policies/{digest}.json"


def notice_path(digest: str) -> str:
    """Return where a notice's canonical form is."""
    return f"notices/{digest}.html"


@frozen
class Pack:
    """A folder with the findings about it."""

    folder: Folder
    findings: Findings

    def fetch(self, kind: str, path: str, *, missing: str | None, index: int | None = None) -> bytes | None:
        """Return the content of a file of `kind` (see LIMITS), or None, and then a finding says why.

        `missing` is the id of the finding for a file that is not there; without one that is no finding.
        """
        try:
            data = self.folder.read(path, LIMITS[kind])
        except Refused as error:
            found = "file-refused" if error.tampered else "file-unreadable"
            self.findings.add(found, f"{path} {error.message}", path, index)
            return None
        if data is None and missing is not None:
            self.findings.add(missing, f"{path} is not there", path, index)
        return data

    def glance(self, kind: str, path: str) -> bytes | None:
        """Return the content of a file as `fetch` does, but without any finding."""
        try:
            return self.folder.read(path, LIMITS[kind])
        except Refused:
            return None
