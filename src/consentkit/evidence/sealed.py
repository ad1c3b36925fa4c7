"""A ledger whose openings are sealed: each under a random key of its subject, which is kept elsewhere.

What is sealed is the record, its disclosures and the blinding value (ChaCha20-Poly1305, RFC 8439), and what is
remembered of an idempotency key's request. Pseudonyms are replaced by tokens. A row's length tells no choice either:
it is rounded up. So a copy of the database says, of a subject whose key is gone, at which indexes it had records.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Final

from attrs import evolve
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from consentkit.errors import LedgerCorrupt, LedgerError, LedgerMissing
from consentkit.evidence._encoding import decode64_of, encode64
from consentkit.evidence.entry import BLIND_BYTES
from consentkit.evidence.opening import Opening
from consentkit.evidence.store import (
    Answered,
    Basis,
    Batch,
    Head,
    NewOpening,
    Published,
    Store,
    Tail,
    View,
    open_store,
    sqlite_path,
)
from consentkit.evidence.subject_keys import TOKEN_BYTES, SubjectKeys, open_subject_keys

__all__ = ["SealedStore", "open_ledger_store", "reading"]

_KIND: Final = "subject-keys"
"""What is published, though not in the log, so that everybody notices that openings are sealed, and where."""

_NONCE_BYTES: Final = 12
_ROUND: Final = 256
"""Sealed openings have a multiple of so many bytes, and some more: `true` and `false` have not the same length."""
_AT_ONCE: Final = 256


def open_ledger_store(
    url: str, subject_keys: str | None, *, create: bool = False, read_only: bool = False
) -> Store:
    """Return the store at a ledger's URL; its openings are sealed if it is told where the subject keys are."""
    store = open_store(url, create=create, read_only=read_only)
    if subject_keys is None:
        return store
    if os.path.realpath(sqlite_path(subject_keys)) == os.path.realpath(url.partition("://")[2][1:]):
        raise LedgerError("the subject keys are to be in a database of their own, apart from the ledger")
    return SealedStore(store, open_subject_keys(subject_keys, read_only=read_only))


@contextmanager
def reading(url: str, subject_keys: str | None = None) -> Iterator[View]:
    """Read one consistent state of the ledger at a URL, openings and all; raises as opening a ledger does."""
    store = open_ledger_store(url, subject_keys, read_only=True)
    try:
        with store.view() as view:
            check_seal(store, view)
            yield view
    finally:
        store.release()


def check_seal(store: Store, view: View) -> None:
    """Refuse a ledger whose openings are sealed to whoever was not told where the subject keys are."""
    if not isinstance(store, SealedStore) and next(iter(view.published(_KIND)), None) is not None:
        raise LedgerError(
            "the openings of this ledger are sealed under subject keys",
            remedy="say where the keys are: subject_keys=URL, or --subject-keys URL",
        )


class SealedStore:
    """A `Store` that seals what it is given, and opens what it gives, with the keys of `keys`."""

    def __init__(self, inner: Store, keys: SubjectKeys) -> None:
        self._inner, self._keys = inner, keys
        self._known = False  # whether these are the keys of this ledger

    @contextmanager
    def view(self) -> Iterator[View]:
        """Read one consistent state."""
        with self._inner.view() as view:
            if not self._known and (head := view.head()) is not None:
                self._check(view, head)
            yield _SealedView(view, self._keys)

    def _check(self, view: View, head: Head) -> None:
        """Refuse keys that are not this ledger's. They are made together with it, and never again."""
        try:
            room = self._keys.room()
        except LedgerMissing as error:
            raise LedgerError(
                f"{error.message}, and the ledger is there already",
                remedy="find its keys, or give none if it was begun without; they are chosen when a ledger is made",
            ) from error
        if not view.has(_KIND, room.number):
            raise LedgerError(
                f"the subject keys are not those of this ledger, which has {head.size} entries",
                remedy="give each ledger subject keys of its own, from its beginning",
            )
        self._known = True

    def basis(self, histories: Collection[str], requests: Collection[bytes]) -> Basis:
        """Read what a batch is built on."""
        if not histories:
            found = self._inner.basis((), requests)
            return found._replace(answered=_answers(self._keys, found.answered))
        room = self._keys.room()
        names = {_name(room.token(history)): history for history in histories}
        head, keys, tails, answered = self._inner.basis(names, requests)
        told = {names[name]: tail for name, tail in tails.items()}
        return Basis(head, keys, told, _answers(self._keys, answered))

    def lock(self) -> AbstractContextManager[None]:
        """Wait for this process's turn to write."""
        return self._inner.lock()

    def commit(self, batch: Batch) -> None:
        """Seal a batch and write it durably, its keys first; the caller holds the lock."""
        self._settle()
        room = self._keys.room(create=batch.old is None)
        if batch.removals:
            self._mark(batch)
        tokens = {one.history: room.token(one.history) for one in batch.openings}
        keys = self._keys.obtain(frozenset(tokens.values())) if tokens else {}
        seals = {token: ChaCha20Poly1305(key) for token, key in keys.items()}
        subjects = {one.opening.index: tokens[one.history] for one in batch.openings}
        published = batch.published
        if batch.old is None:
            published += (Published(_KIND, room.number, 0, b""),)
        self._inner.commit(
            evolve(
                batch,
                openings=tuple([_sealed(one, tokens[one.history], seals) for one in batch.openings]),
                answered=tuple([_hidden(one, subjects[one.at], seals) for one in batch.answered]),
                published=published,
            )
        )

    def _mark(self, batch: Batch) -> None:
        """Mark the keys of all who lose records by this batch."""
        with self._inner.view() as view:
            losing = {name for _, *span in batch.removals for name in view.histories(*span)}
        self._keys.mark(map(_token, losing))

    def _settle(self) -> None:
        """Throw the keys away whose subjects have no record left; the lock is held, so none is being made."""
        marked = self._keys.marked() if self._known else ()
        if not marked:
            return
        with self._inner.view() as view:
            kept = {token for token in marked if next(iter(view.indexes(_name(token))), None) is not None}
        self._keys.settle(set(marked) - kept, kept)

    def keep_cosigned(self, size: int, checkpoint: bytes, line: bytes) -> None:
        """Keep a witness's signature line."""
        self._inner.keep_cosigned(size, checkpoint, line)

    def scrub(self) -> bool:
        """Throw the keys away that are to go, and overwrite them and what was sealed under them."""
        with self.lock():
            self._settle()
            keys_gone = self._keys.scrub()
        return self._inner.scrub() and keys_gone

    def set_aside(self) -> str:
        """Move the ledger out of the way for good; its keys stay where they are."""
        return self._inner.set_aside()

    def recover(self) -> None:
        """Connect anew after an error, and make durable whatever is there."""
        self._inner.recover()
        if self._known:
            self._keys.recover()
        self._known = False

    def release(self) -> None:
        """Let go of every connection and lock."""
        self._inner.release()
        self._keys.release()

    def abandon(self) -> None:
        """Forget connections that belong to the parent process."""
        self._inner.abandon()
        self._keys.abandon()


class _SealedView:
    """A `View` of a sealed ledger. What cannot be opened, because its key is gone, is not there."""

    def __init__(self, view: View, keys: SubjectKeys) -> None:
        self._view, self._keys = view, keys
        self.head, self.key_entries, self.has, self.published = (
            view.head, view.key_entries, view.has, view.published,
        )  # fmt: skip
        self.entries, self.nodes, self.removals, self.holds = (
            view.entries, view.nodes, view.removals, view.holds,
        )  # fmt: skip
        self.checkpoints, self.cosigned, self.histories = view.checkpoints, view.cosigned, view.histories

    def tails(self, histories: Collection[str]) -> Mapping[str, Tail]:
        room = self._keys.room()
        names = {_name(room.token(history)): history for history in histories}
        return {names[name]: tail for name, tail in self._view.tails(names).items()}

    def openings(self, start: int, stop: int) -> Iterator[Opening]:
        return self._opened(self._view.openings(start, stop))

    def history(self, history: str) -> Iterator[Opening]:
        return self._opened(self._view.history(self._named(history)))

    def indexes(self, history: str) -> Iterator[int]:
        return self._view.indexes(self._named(history))

    def answered(self, keys: Collection[bytes]) -> Mapping[bytes, Answered]:
        return _answers(self._keys, self._view.answered(keys))

    def _named(self, history: str) -> str:
        return _name(self._keys.room().token(history))

    def _opened(self, sealed: Iterator[Opening]) -> Iterator[Opening]:
        while some := list(islice(sealed, _AT_ONCE)):
            keys = self._keys.find({one.blind[:TOKEN_BYTES] for one in some})
            for one in some:
                if (key := keys.get(one.blind[:TOKEN_BYTES])) is not None:
                    yield _opened(one, key)


def _name(token: bytes) -> str:
    return encode64(token)


def _token(name: str) -> bytes:
    if (token := decode64_of(name, TOKEN_BYTES)) is None:
        raise LedgerCorrupt("an opening in a sealed ledger is not sealed")
    return token


def _sealed(one: NewOpening, token: bytes, seals: Mapping[bytes, ChaCha20Poly1305]) -> NewOpening:
    opening, _, sequence = one
    said = opening.blind + "~".join((opening.record, *opening.disclosures)).encode()
    blob = _seal(token, seals, said + bytes(-len(said) % _ROUND), b"%d" % opening.index)
    return NewOpening(Opening(opening.index, "", ("",), blob), _name(token), sequence)


def _opened(one: Opening, key: bytes) -> Opening:
    try:
        said = _unseal(key, one.blind, b"%d" % one.index).rstrip(b"\0")
        record, *disclosures = said[BLIND_BYTES:].decode().split("~")
    except (InvalidTag, ValueError):
        raise LedgerCorrupt(
            f"the opening of entry {one.index} was not sealed with its subject's key"
        ) from None
    return Opening(one.index, record, tuple(disclosures), said[:BLIND_BYTES])


def _hidden(one: Answered, token: bytes, seals: Mapping[bytes, ChaCha20Poly1305]) -> Answered:
    return one._replace(digest=_seal(token, seals, one.digest, one.key))


def _answers(keys: SubjectKeys, hidden: Mapping[bytes, Answered]) -> Mapping[bytes, Answered]:
    found = keys.find({one.digest[:TOKEN_BYTES] for one in hidden.values()}) if hidden else {}
    told = {}
    for name, one in hidden.items():
        if (key := found.get(one.digest[:TOKEN_BYTES])) is not None:
            try:
                told[name] = one._replace(digest=_unseal(key, one.digest, one.key))
            except InvalidTag:
                raise LedgerCorrupt("what is remembered of a request was not sealed with its key") from None
    return told


def _seal(token: bytes, seals: Mapping[bytes, ChaCha20Poly1305], plain: bytes, place: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return token + nonce + seals[token].encrypt(nonce, plain, place)


def _unseal(key: bytes, blob: bytes, place: bytes) -> bytes:
    start = TOKEN_BYTES + _NONCE_BYTES
    return ChaCha20Poly1305(key).decrypt(blob[TOKEN_BYTES:start], blob[start:], place)
