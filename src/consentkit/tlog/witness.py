"""Whom an auditor trusts: logs, witnesses, and how many of them must have cosigned (c2sp.org/tlog-policy).

And what a log sends to a witness, byte for byte (c2sp.org/tlog-witness); who sends it is others' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from attrs import frozen

from consentkit.errors import InvalidKey, InvalidNote, InvalidProof, InvalidTrust
from consentkit.tlog._text import encode_base64, parse_decimal
from consentkit.tlog.note import Algorithm, Checkpoint, Note, VerifierKey, open_note

__all__ = [
    "NO_QUORUM",
    "Group",
    "LogKey",
    "QuorumResult",
    "TrustPolicy",
    "Witness",
    "add_checkpoint_body",
    "monitoring_path",
    "parse_size",
]

NO_QUORUM = "none"

_MAX_POLICY_BYTES = 1_000_000
_WITNESS_ALGORITHMS = {Algorithm.COSIGNATURE_V1, Algorithm.ML_DSA_44}
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_SPACE = re.compile(r"[ \t]+")


@frozen
class LogKey:
    """A log whose checkpoints are accepted; the name of its key is the log name. `url` may be empty."""

    key: VerifierKey
    url: str = ""


@frozen
class Witness:
    """A witness and the name that groups and the quorum call it by. `url` may be empty."""

    name: str
    key: VerifierKey
    url: str = ""


@frozen
class Group:
    """Witnesses, or groups of them: it has witnessed a checkpoint when `threshold` of its members have."""

    name: str
    threshold: int
    members: tuple[str, ...]


@frozen
class QuorumResult:
    """What the signatures on a checkpoint amount to under a trust policy.

    `cosigned` maps the policy's name of each witness whose cosignature was verified to its time in POSIX
    seconds. `needed` says in words what the quorum demands, such as `2 of (X1 X2 X3)`, and is `none` where it
    demands nothing.
    """

    checkpoint: Checkpoint
    log_key: VerifierKey
    cosigned: Mapping[str, int]
    needed: str
    satisfied: bool

    @property
    def found(self) -> tuple[str, ...]:
        """The policy's names of the witnesses that cosigned, in the policy's order."""
        return tuple(self.cosigned)


@frozen
class TrustPolicy:
    """A trust policy: a checkpoint is accepted when a listed log signed it and the quorum cosigned it.

    `quorum` is the name of a witness or a group, or `none`. Names are opaque: octets that are not UTF-8 are
    kept as surrogates.
    """

    logs: tuple[LogKey, ...]
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NO_QUORUM

    @classmethod
    def parse(cls, data: bytes | str) -> TrustPolicy:
        """Parse a policy file. Raises InvalidTrust with the line that breaks c2sp.org/tlog-policy."""
        raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        return _Parser().parse(raw)

    @property
    def log_keys(self) -> tuple[VerifierKey, ...]:
        """The keys of the accepted logs."""
        return tuple(log.key for log in self.logs)

    def open(self, data: bytes) -> Note:
        """Open a note under all keys of the policy. Raises InvalidNote, as `open_note` does."""
        keys = dict.fromkeys((*self.log_keys, *(witness.key for witness in self.witnesses)))
        return open_note(data, list(keys))

    def check_quorum(self, data: bytes) -> QuorumResult:
        """Verify the checkpoint `data` and say whether enough witnesses cosigned it.

        Raises InvalidNote when it is malformed, when no listed log signed it under its own name, and when the
        signature of any listed key is wrong. Too few cosignatures are an answer, not an error:
        `require_quorum` makes them one.
        """
        note = self.open(data)
        checkpoint = Checkpoint.parse(note.text)
        signers = [key for key in self.log_keys if note.signed_by(key) and key.name == checkpoint.log_name]
        if not signers:
            raise InvalidNote(f"no trusted key of the log {checkpoint.log_name!r} signed the checkpoint")
        signatures = {witness.name: note.signed_by(witness.key) for witness in self.witnesses}
        cosigned = {name: s.time or 0 for name, s in signatures.items() if s is not None}
        return QuorumResult(checkpoint, signers[0], cosigned, self._needed(), self._satisfied_by(cosigned))

    def require_quorum(self, data: bytes) -> QuorumResult:
        """Do as `check_quorum`, and raise InvalidProof when too few witnesses cosigned."""
        result = self.check_quorum(data)
        if not result.satisfied:
            found = " ".join(result.found) or "none"
            raise InvalidProof(f"the checkpoint needs cosignatures of {result.needed}; found: {found}")
        return result

    def _satisfied_by(self, cosigned: Iterable[str]) -> bool:
        # Groups refer to earlier names only, so one pass in order settles them all.
        witnessed = {NO_QUORUM, *cosigned}
        for group in self.groups:
            if len(witnessed.intersection(group.members)) >= group.threshold:
                witnessed.add(group.name)
        return self.quorum in witnessed

    def _needed(self) -> str:
        words = {witness.name: witness.name for witness in self.witnesses} | {NO_QUORUM: NO_QUORUM}
        for group in self.groups:
            members = " ".join(words[member] for member in group.members)
            words[group.name] = f"{group.threshold} of ({members})"
        return words[self.quorum]


def add_checkpoint_body(old_size: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    """Return the body of a request to `<prefix>/add-checkpoint`.

    `proof` shows that the tree of `checkpoint` begins with the one of `old_size` leaves that the witness cosigned
    last (c2sp.org/tlog-witness, "add-checkpoint").
    """
    lines = [f"old {old_size}", *map(encode_base64, proof), "", ""]
    return "\n".join(lines).encode() + checkpoint


def parse_size(data: bytes) -> int | None:
    """Return the size that a witness answers with when `old` was another one; None if it is no size."""
    text = data.decode("ascii", "replace")
    return parse_decimal(text[:-1]) if text.endswith("\n") else None


def monitoring_path(log_name: str) -> str:
    """Return where, below its prefix, a witness shows the newest checkpoint of a log that it cosigned."""
    return f"{sha256(log_name.encode()).hexdigest()}/checkpoint"


class _Parser:
    """Reads a policy file line by line; one object for one file."""

    def __init__(self) -> None:
        self.line = 0
        self.logs: list[LogKey] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self.names: set[str] = set()
        self.members: set[str] = set()

    def parse(self, data: bytes) -> TrustPolicy:
        if len(data) > _MAX_POLICY_BYTES:
            raise self.error(f"a trust policy has at most {_MAX_POLICY_BYTES} bytes")
        for self.line, octets in enumerate(data.split(b"\n"), 1):
            if _FORBIDDEN.search(octets):
                raise self.error("control characters other than tab and newline are not allowed")
            words = [word for word in _SPACE.split(octets.decode("utf-8", "surrogateescape")) if word]
            if words and not words[0].startswith("#"):
                self.read(words[0], words[1:])
        if self.quorum is None:
            raise self.error("the quorum line is missing", remedy="add 'quorum none' to demand no witness")
        return TrustPolicy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def error(self, message: str, remedy: str = "") -> InvalidTrust:
        where = f"line {self.line}: " if self.line else ""
        return InvalidTrust(where + message, line=self.line, remedy=remedy)

    def read(self, keyword: str, words: list[str]) -> None:
        readers = {"log": self.log, "witness": self.witness, "group": self.group, "quorum": self.set_quorum}
        if keyword not in readers:
            raise self.error(f"{keyword!r} is not a keyword", remedy=f"use one of {', '.join(readers)}")
        readers[keyword](words)

    def log(self, words: list[str]) -> None:
        if len(words) not in {1, 2}:
            raise self.error("a log line has the form: log <vkey> [<url>]")
        key = self.key(words[0], set(Algorithm), [log.key for log in self.logs])
        self.logs.append(LogKey(key, *words[1:]))

    def witness(self, words: list[str]) -> None:
        if len(words) not in {2, 3}:
            raise self.error("a witness line has the form: witness <name> <vkey> [<url>]")
        key = self.key(words[1], _WITNESS_ALGORITHMS, [witness.key for witness in self.witnesses])
        self.witnesses.append(Witness(self.new_name(words[0]), key, *words[2:]))

    def group(self, words: list[str]) -> None:
        if len(words) < 3:
            raise self.error("a group line has the form: group <name> all|any|<k> <name>...")
        name, rule, *members = words
        for member in members:
            if member in self.members:
                raise self.error(f"{member!r} is already a member of a group")
            self.members.add(self.known(member))
        self.groups.append(Group(self.new_name(name), self.threshold(rule, len(members)), tuple(members)))

    def set_quorum(self, words: list[str]) -> None:
        if len(words) != 1:
            raise self.error("a quorum line has the form: quorum <name>|none")
        if self.quorum is not None:
            raise self.error("there is more than one quorum line")
        self.quorum = words[0] if words[0] == NO_QUORUM else self.known(words[0])

    def key(self, text: str, allowed: set[Algorithm], others: list[VerifierKey]) -> VerifierKey:
        try:
            key = VerifierKey.parse(text)
        except InvalidKey as error:
            raise self.error(error.message, remedy=error.remedy) from error
        if key.algorithm not in allowed:
            raise self.error(f"{key.name!r} is a log's key", remedy="a witness has a cosignature key")
        if key.public_key in {other.public_key for other in others}:
            raise self.error(f"the public key of {key.name!r} is listed twice")
        return key

    def new_name(self, name: str) -> str:
        if name in self.names or name == NO_QUORUM:
            raise self.error(f"the name {name!r} is taken")
        self.names.add(name)
        return name

    def known(self, name: str) -> str:
        if name not in self.names:
            raise self.error(f"no witness or group above is called {name!r}")
        return name

    def threshold(self, rule: str, count: int) -> int:
        threshold = {"any": 1, "all": count}.get(rule) or parse_decimal(rule)
        if threshold is None or not 1 <= threshold <= count:
            raise self.error(f"{rule!r} is neither all, any nor a number from 1 to {count}")
        return threshold
