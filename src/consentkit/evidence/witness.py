"""Witnesses: independent parties that cosign the log's head, so that nobody can be shown another log.

A witness cosigns a checkpoint (c2sp.org/tlog-cosignature) only if it continues the one that it cosigned before, which
it demands a proof of. Checkpoints are sent to it in the background (c2sp.org/tlog-witness); what comes back is
verified and kept with the ledger. No decision ever waits for a witness, and none fails for lack of one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from random import Random, SystemRandom
from threading import Lock
from typing import Final, NamedTuple, NoReturn

from attrs import define, field, frozen
from attrs.validators import gt

from consentkit.errors import ConsentkitError, InvalidKey, InvalidNote, LedgerClosed
from consentkit.evidence._follower import Next, Source, pause
from consentkit.evidence._http import Unreachable, check_prefix, fetch
from consentkit.evidence.hashes import StoredHashes
from consentkit.evidence.store import Store, View, open_store
from consentkit.tlog import (
    Algorithm,
    Signature,
    TrustPolicy,
    VerifierKey,
    add_checkpoint_body,
    parse_note,
    parse_signatures,
    parse_size,
    prove_consistency,
)

__all__ = ["Submitter", "Witness", "cosign"]

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0
_REFUSED_PAUSE: Final = 60.0
_REFUSALS: Final = frozenset({400, 403, 404, 409, 422})
_LOOK_BACK: Final = 64
"""How many of the newest cosigned checkpoints are looked through for one that this witness cosigned."""


def _as_key(key: VerifierKey | str) -> VerifierKey:
    parsed = VerifierKey.parse(key) if isinstance(key, str) else key
    if parsed.algorithm == Algorithm.ED25519:
        raise InvalidKey(f"{parsed.name!r} is a log's key", remedy="a witness has a cosignature key")
    if not parsed.supported:
        raise InvalidKey(
            f"signatures of {parsed.name!r} cannot be verified here", remedy="install a newer cryptography"
        )
    return parsed


@frozen
class Witness:
    """A witness: the URL below which it answers (C2SP's submission prefix), and the key it cosigns with.

    `key` may be given as text, `name+key id+base64`. It is asked at most every `interval` seconds, by all processes
    together, and at once when it has not been for so long; waited for `timeout` seconds; and called late when it
    has not cosigned for `late_after` seconds what it should. Raises InvalidOption for a URL that is neither https
    nor of this machine, InvalidKey for a key that is none of a witness.
    """

    url: str = field(converter=check_prefix)
    key: VerifierKey = field(converter=_as_key)
    interval: float = field(default=60.0, kw_only=True, validator=gt(0))
    timeout: float = field(default=10.0, kw_only=True, validator=gt(0))
    late_after: float = field(default=600.0, kw_only=True, validator=gt(0))

    @classmethod
    def of_trust(cls, trust: TrustPolicy) -> tuple[Witness, ...]:
        """Return the witnesses of a trust policy whose URLs it gives: auditor and ledger can share one file."""
        return tuple(cls(witness.url, witness.key) for witness in trust.witnesses if witness.url)


class _Refused(Exception):
    """A witness answered, and did not cosign. `status` is its HTTP status, 200 if the cosignature was wrong."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class _Cosigned(NamedTuple):
    """What a witness cosigned last, as far as the ledger knows: a size, and when, in seconds since 1970."""

    size: int = 0
    time: int = 0


@frozen
class _StoreSource:
    """A store as a source, for whoever has no ledger open."""

    store: Store

    def view(self) -> AbstractContextManager[View]:
        return self.store.view()

    def keep(self, size: int, checkpoint: bytes, line: bytes) -> None:
        self.store.keep_cosigned(size, checkpoint, line)


def cosign(url: str, witnesses: Iterable[Witness]) -> dict[str, str]:
    """Have the head of the ledger at `url` cosigned now; its site may go on meanwhile, and no key is needed.

    Returns, by the name of its key, what each witness that did not cosign had against it. Raises LedgerError.
    """
    store = open_store(url)
    try:
        submitters = [Submitter(witness, _StoreSource(store), _quiet) for witness in witnesses]
        return {one.witness.key.name: problem for one in submitters if (problem := one.at_once())}
    finally:
        store.release()


def _quiet(_event: str, **_data: object) -> None:
    """Tell nobody: the caller is told."""


@define(eq=False)
class Submitter:
    """Sends the ledger's heads to one witness and keeps what comes back; `step` is a follower's.

    `emit` tells of `witness.late` and `witness.refused`, once until the witness cosigns again; `post` is `fetch`,
    `now` gives seconds since 1970.
    """

    witness: Witness
    source: Source
    emit: Callable[..., object]
    post: Callable[..., tuple[int, bytes]] = fetch
    now: Callable[[], float] = time.time
    random: Random = field(factory=SystemRandom)
    _last: _Cosigned = field(default=_Cosigned(), init=False)
    _failures: int = field(default=0, init=False)
    _since: float | None = field(default=None, init=False)
    _problem: str = field(default="", init=False)
    _told: set[object] = field(factory=set, init=False)
    _turn: Lock = field(factory=Lock, init=False)

    def reset(self) -> None:
        """Begin anew in a process that has just been forked."""
        self._turn = Lock()

    def step(self) -> Next:
        """Have the head cosigned, unless that was done, by whichever process, or would be too soon."""
        return self._attempt(soon=False)

    def at_once(self) -> str:
        """Have the head cosigned at once; returns what stands in the way of it, "" for nothing."""
        self._attempt(soon=True)
        return self._problem

    def _attempt(self, *, soon: bool) -> Next:
        with self._turn:
            try:
                if not soon and (wait := self._too_soon()):
                    # Not to the second: other processes wait for the same moment.
                    return Next(wait * self.random.uniform(1.0, 1.25), more=True)
                self._cosign()
            except LedgerClosed:
                return Next()
            except _Refused as error:
                return self._failed(_REFUSED_PAUSE, error)
            except (Unreachable, ConsentkitError) as error:
                return self._failed(_FIRST_PAUSE, error)
            self._failures, self._since, self._problem = 0, None, ""
            self._told.clear()
            return Next()

    def _too_soon(self) -> float:
        """Return how many seconds are left until this witness should be asked again."""
        with self.source.view() as view:
            head, last = view.head(), self._look(view)
        if head is None or head.size == last.size:
            return 0.0
        if self._since is None:
            self._since = self.now()
        # Whatever the witness's clock says, nobody waits longer than the interval.
        return min(max(last.time + self.witness.interval - self.now(), 0.0), self.witness.interval)

    def _look(self, view: View) -> _Cosigned:
        """Return what this witness cosigned last; memory spares a second look at what was seen."""
        for size, note in view.cosigned(self._last.size + 1, _LOOK_BACK):
            if mine := [line for line in parse_note(note)[1] if self._is_mine(line)]:
                self._last = _Cosigned(size, int.from_bytes(mine[-1].data[:8], "big"))
                break
        return self._last

    def _is_mine(self, line: Signature) -> bool:
        return (line.name, line.key_id) == (self.witness.key.name, self.witness.key.key_id)

    def _cosign(self) -> None:
        """Have the head cosigned, unless it is. Raises _Refused, Unreachable or LedgerError."""
        old: int | None = None
        for _ in range(_ATTEMPTS):
            with self.source.view() as view:
                head, last = view.head(), self._look(view)
                if head is None or head.size == last.size:
                    return
                old = last.size if old is None else old
                if old > head.size:
                    raise _Refused(409, f"it has cosigned {old} entries, and the ledger has {head.size}")
                proof = prove_consistency(old, head.size, StoredHashes(view))
            body = add_checkpoint_body(old, proof, head.checkpoint)
            status, answer = self.post(
                f"{self.witness.url}/add-checkpoint", body, timeout=self.witness.timeout
            )
            if status == 200:
                self.source.keep(head.size, head.checkpoint, self._verified(head.checkpoint, answer))
                return
            # Another process was quicker, an answer was lost, or it is the first time that this witness is asked.
            old = parse_size(answer) if status == 409 else None
            if old is None:
                self._give_up(status, answer)
        raise Unreachable(f"{self.witness.url} does not settle on a size to go on from")

    def _verified(self, checkpoint: bytes, answer: bytes) -> bytes:
        """Return the witness's signature line from its answer, once it is known to be one over the checkpoint."""
        try:
            lines = [line for line in parse_signatures(answer) if self._is_mine(line)]
        except InvalidNote as error:
            raise _Refused(200, f"its answer is malformed: {error.message}") from error
        text = parse_note(checkpoint)[0]
        for line in lines:
            if self.witness.key.verify(text, line.data):
                return line.line()
        raise _Refused(200, f"its answer has no valid cosignature of {self.witness.key.name}")

    def _give_up(self, status: int, answer: bytes) -> NoReturn:
        told = answer[:200].decode("utf-8", "replace").partition("\n")[0]
        reason = "".join(char if char.isprintable() else "?" for char in told)
        if status in _REFUSALS:
            raise _Refused(status, reason)
        raise Unreachable(f"{self.witness.url} answers {status} {reason}")

    def _failed(self, first: float, error: Exception) -> Next:
        """Tell what is to be told, and say when to try again: later each time, and never all at once."""
        self._failures += 1
        self._problem = str(error)
        now = self.now()
        since = self._since = now if self._since is None else self._since
        if isinstance(error, _Refused):
            self._tell("refused", (error.status, error.reason), status=error.status, reason=error.reason)
        else:
            _log.info("%s has not cosigned: %s", self.witness.key.name, error)
        left = since + self.witness.late_after - now
        if left <= 0:
            self._tell("late", "late", seconds=round(now - since), reason=str(error))
        following = pause(self._failures, first, max(_LONGEST_PAUSE, first), self.random)
        return Next(min(following.seconds, left), more=True) if left > 0 else following

    def _tell(self, event: str, what: object, **data: object) -> None:
        if what not in self._told:
            self._told.add(what)
            _log.warning("witness %s: %s %s", self.witness.key.name, event, data)
            self.emit(f"witness.{event}", witness=self.witness.key.name, **data)
