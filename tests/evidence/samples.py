"""Drafts, keys and records that the tests of evidence share; every key is public and for tests only."""

import base64
import os
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consentkit.evidence.record import Choice, Record, RecordDraft, build_record, uuid7
from consentkit.keys import CookieKey, CookieKeys, Ed25519Signer, Keys
from consentkit.tlog import NoteSigner, TrustPolicy

LOG = "example.com/consent"
NOW = 1_793_620_800_000  # 2026-11-02T12:00:00Z
ID = uuid7(NOW, bytes(10))


def signer(name: str) -> Ed25519Signer:
    """A key made from a name."""
    return Ed25519Signer(Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest()))


KEYS = Keys(LOG, signer("log"), signer("record"), CookieKeys((CookieKey("test", bytes(32)),)))
TRUST = TrustPolicy.parse(f"log {NoteSigner(LOG, KEYS.log).verifier}\nquorum none\n")


def history() -> str:
    """A new history's pseudonym."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode()[:22]


def draft(**changes: Any) -> RecordDraft:
    """A decision of a new visitor, with `changes`."""
    plain = RecordDraft(
        event="given",
        method="banner",
        site="https://example.com",
        choices={"analytics": Choice(granted=True, basis="express"), "marketing": Choice(False, "express")},
        services={"matomo": Choice(granted=False, basis="express")},
        asked=("analytics", "marketing"),
        policy=("ab" * 32, "2026-11"),
        notice=("cd" * 32, "en", "consentkit/1", "bar"),
        region="FR",
        regime="europe",
        model="opt-in",
        signals={"gpc": False, "shown": False},
        expires=NOW + 15_778_800_000,
        history=history(),
    )
    return attrs.evolve(plain, **changes)


def build(what: RecordDraft | None = None, **changes: Any) -> Record:
    """A record of `what`, number 0 of its history unless `changes` say otherwise."""
    parts: dict[str, Any] = {
        "id": ID,
        "time": NOW,
        "log_name": LOG,
        "sequence": 0,
        "previous": None,
        "signer": KEYS.record,
        "salt": bytes(16),
    }
    return build_record(what or draft(), **(parts | changes))


def countable(seed: str = "") -> Callable[[int], bytes]:
    """A source of bytes that are all different and the same in every run."""
    state = [0]

    def random(count: int) -> bytes:
        state[0] += 1
        blocks = (sha256(f"{seed} {state[0]} {n}".encode()).digest() for n in range(-(-count // 32)))
        return b"".join(blocks)[:count]

    return random
