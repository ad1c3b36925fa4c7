"""Packs made to order: a small writer that, unlike the ledger, can also be told to do wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from consentkit.audit import AuditReport, audit
from consentkit.evidence.entry import commitment, entry_line
from consentkit.evidence.opening import Opening, format_opening
from consentkit.evidence.record import Choice, RecordDraft, build_record, uuid7
from consentkit.keys import Ed25519Signer
from consentkit.tlog import Checkpoint, NoteSigner, TrustPolicy, build_tiles, leaf_hash, sign_note, tree_root
from tests.support import START

LOG_NAME = "example.com/consent"
POLICY = json.dumps({"schema": "consentkit-policy/1", "version": "2026-11"}).encode()
NOTICE = b"<!doctype html><title>Privacy</title><script>alert(1)</script>"


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def signer(name: str) -> Ed25519Signer:
    """A key that is the same in every run."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519Signer(Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest()))


def seeded(name: str, size: int) -> bytes:
    """Bytes that look random and are the same in every run."""
    return b"".join(sha256(f"{name} {part}".encode()).digest() for part in range(-(-size // 32)))[:size]


def pseudonym(name: str) -> str:
    return base64.urlsafe_b64encode(seeded(name, 16)).decode().rstrip("=")


class PackWriter:
    """Collects entries, openings and files, and writes them as a pack; everything in it can be spoiled first."""

    def __init__(self, log_name: str = LOG_NAME, *, start: bool = True) -> None:
        self.log_name = log_name
        self.log_key, self.record_key = signer(f"log {log_name}"), signer("record")
        self.entries: list[bytes] = []
        self.openings: dict[int, Opening] = {}
        self.policies: dict[str, bytes] = {}
        self.notices: dict[str, bytes] = {}
        self.checkpoints: list[int] = []
        self.tails: dict[str, tuple[int, bytes]] = {}
        if start:
            self.add_key(self.record_key)
            self.publish_policy()
            self.publish_notice()

    @property
    def trust(self) -> TrustPolicy:
        return TrustPolicy.parse(self.trust_text)

    @property
    def trust_text(self) -> str:
        return f"log {NoteSigner(self.log_name, self.log_key).verifier}\nquorum none\n"

    def line(self, *fields: object) -> int:
        """Add an entry other than a record and return its index."""
        self.entries.append(" ".join(map(str, ("consentkit/1", *fields))).encode() + b"\n")
        return len(self.entries) - 1

    def publish_policy(self, data: bytes = POLICY, version: str = "2026-11") -> int:
        self.policies[digest(data)] = data
        return self.line("policy", digest(data), version)

    def publish_notice(self, data: bytes = NOTICE) -> int:
        self.notices[digest(data)] = data
        return self.line("notice", digest(data))

    def add_key(self, key: Ed25519Signer, action: str = "add", purpose: str = "record") -> int:
        public = base64.urlsafe_b64encode(key.public_key).decode().rstrip("=")
        return self.line("key", action, purpose, key.key_id, public)

    def record(
        self, history: str = "a", *, key: Ed25519Signer | None = None, opened: bool = True, **changes: Any
    ) -> int:
        """Add a record and its opening and return its index; `changes` replace what it would say."""
        index = len(self.entries)
        sequence, previous = self.tails.get(history, (-1, None))
        place: dict[str, Any] = {
            "id": uuid7(START + index, seeded(f"id {index}", 10)),
            "time": START + 1000 * index,
            "log_name": self.log_name,
            "sequence": sequence + 1,
            "previous": previous,
        }
        place |= {name: changes.pop(name) for name in tuple(changes) if name in place}
        draft: dict[str, Any] = {
            "event": "given", "method": "banner", "site": "https://example.com",
            "choices": {"analytics": Choice(True, "express"), "marketing": Choice(False, "express")},
            "asked": ("analytics", "marketing"), "policy": (digest(POLICY), "2026-11"),
            "notice": (digest(NOTICE), "en", "consentkit/1", "bar"), "region": "FR", "regime": "europe",
            "model": "opt-in", "signals": {"gpc": False, "shown": False}, "expires": START + 10**10,
            "history": pseudonym(history),
        }  # fmt: skip
        record = build_record(
            RecordDraft(**draft | changes),
            signer=key or self.record_key,
            salt=seeded(f"salt {index}", 16),
            **place,
        )
        return self.opening(record.jwt, record.disclosures, history, place["sequence"], opened=opened)

    def opening(
        self,
        jwt: str,
        disclosures: Sequence[str],
        history: str = "a",
        sequence: int = 0,
        *,
        opened: bool = True,
    ) -> int:
        """Commit to any JWT at all."""
        index = len(self.entries)
        blind = seeded(f"blind {index}", 64)
        c = commitment(jwt.encode(), blind)
        self.entries.append(entry_line(c))
        self.tails[history] = sequence, c
        if opened:
            self.openings[index] = Opening(index, jwt, tuple(disclosures), blind)
        return index

    def checkpoint(self, size: int | None = None) -> bytes:
        entries = self.entries if size is None else self.entries[:size]
        root = tree_root(leaf_hash(entry) for entry in entries)
        text = Checkpoint(self.log_name, len(entries), root).text()
        return sign_note(text, NoteSigner(self.log_name, self.log_key))

    def write(self, folder: Path) -> Path:
        """Write the pack into a new folder."""
        files = {f"log/{path}": data for path, data in build_tiles(self.entries)}
        files["log/checkpoint"] = self.checkpoint()
        files |= {"README.md": b"# A pack\n", "holds.jsonl": b""}
        for size in (*self.checkpoints, len(self.entries)):
            files[f"checkpoints/{size}"] = self.checkpoint(size)
        for number in range(-(-len(self.entries) // 256)):
            rows = [self.openings[i] for i in range(number * 256, number * 256 + 256) if i in self.openings]
            if rows:
                files[f"openings/{number:03}.jsonl"] = b"".join(map(format_opening, rows))
        files |= {f"policies/{name}.json": data for name, data in self.policies.items()}
        files |= {f"notices/{name}.html": data for name, data in self.notices.items()}
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    def audit(self, folder: Path, **options: Any) -> AuditReport:
        """Write the pack and audit it."""
        return audit(self.write(folder), self.trust, **options)


def filled(records: int = 20, **options: Any) -> PackWriter:
    """A writer with an introduction and some records of three histories, and a checkpoint half-way."""
    writer = PackWriter(**options)
    for number in range(records):
        writer.record("abc"[number % 3])
    writer.checkpoints.append(len(writer.entries) // 2)
    return writer


def sparse() -> PackWriter:
    """A writer of 303 entries with records at 3 to 32, 50, 100, 150, 200, 250 and every fifth from 256 on."""
    writer = PackWriter()
    while (index := len(writer.entries)) < 303:
        if index < 33 or index % 50 == 0 or (index >= 256 and index % 5 == 1):
            writer.record("abc"[index % 3])
        else:
            writer.publish_notice()
    writer.checkpoints.append(151)
    return writer


def errors(report: AuditReport) -> list[str]:
    """What is wrong, by id, in the order of the report."""
    return [finding.id for finding in report if finding.severity == "error"]
