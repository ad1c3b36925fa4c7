"""A decision that waits in the spool, and the line that is written of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import attrs
from attrs import field, frozen

from consentkit.evidence._encoding import format_time
from consentkit.evidence.batch import Once, RecordWork
from consentkit.evidence.record import Choice, RecordDraft

__all__ = ["Spooled"]

_REMEMBERED: Final = 400 * 86_400_000
"""For how long the ledger knows what was drained, in milliseconds: longer than any file should wait."""


@frozen
class Spooled:
    """A decision in the spool: its draft, when it was decided (UTC milliseconds), and 32 random bytes.

    `request` is the key and the digest of the request that it answers, if that had an idempotency key. `attempted` are
    the index and the line of the entry that the log holds already if a commit of unknown outcome came about.
    """

    draft: RecordDraft
    time: int
    key: bytes = field(repr=False)
    request: tuple[bytes, bytes] | None = field(default=None, repr=False)
    attempted: tuple[int, bytes] | None = None

    def work(self, now: int, *, by_request: bool = True) -> RecordWork:
        """Return what enters it into the log at `now`: once, with that time, and when it was decided beside it.

        `by_request` also keeps the request from being recorded by another way.
        """
        extra = {**self.draft.extra, "decided": format_time(self.time)}
        known_by = self.request if by_request and self.request else (self.key, self.key)
        draft = attrs.evolve(self.draft, time=now, extra=extra)
        return RecordWork(draft, now, Once(*known_by, now + _REMEMBERED), self.attempted)

    def line(self) -> bytes:
        """Return the line that is written."""
        said = attrs.asdict(self.draft, recurse=False)
        told = {"v": 1, "time": self.time, "key": self.key.hex(), "draft": said}
        if self.request:
            told["request"] = [part.hex() for part in self.request]
        if self.attempted:
            told["attempted"] = [self.attempted[0], self.attempted[1].decode("ascii")]
        body = json.dumps(told, default=_plain).encode("ascii")
        return sha256(body).hexdigest().encode() + b" " + body + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Spooled | None:
        """Read a line; None for one that is not as it was written."""
        digest, _, body = line.partition(b" ")
        if sha256(body).hexdigest().encode() != digest:
            return None
        said = json.loads(body)
        request, attempted = said.get("request"), said.get("attempted")
        return cls(
            _draft(said["draft"]),
            said["time"],
            bytes.fromhex(said["key"]),
            request and (bytes.fromhex(request[0]), bytes.fromhex(request[1])),
            attempted and (attempted[0], attempted[1].encode("ascii")),
        )


def _plain(value: Choice | Mapping[str, Any]) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else attrs.asdict(value)


def _draft(said: dict[str, Any]) -> RecordDraft:
    notice = said["notice"]
    return RecordDraft(
        **said
        | {
            "choices": _choices(said["choices"]),
            "services": _choices(said["services"]),
            "asked": tuple(said["asked"]),
            "policy": tuple(said["policy"]),
            "notice": None if notice is None else tuple(notice),
        }
    )


def _choices(said: dict[str, Any]) -> dict[str, Choice]:
    return {name: Choice(**choice) for name, choice in said.items()}
