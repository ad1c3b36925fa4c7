"""Which key may sign what, and where in the log: an auditor learns it from the log itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache, reduce
from types import MappingProxyType

from attrs import evolve, field, frozen

from consentkit.evidence.entry import Entry, KeyEntry, KeyRevocation, parse_entry
from consentkit.evidence.store import View

__all__ = ["IntroducedKey", "KeyRing", "keyring", "keyring_of"]


@frozen
class IntroducedKey:
    """A key that the log introduced at index `added`.

    It signs entries after `added` and before `retired`; from `first_distrusted` on, what it signed proves
    nothing. None where that has not happened.
    """

    public_key: bytes = field(repr=False)
    added: int
    retired: int | None = None
    first_distrusted: int | None = None

    def signs(self, index: int) -> bool:
        """Say whether a signature by this key counts for the entry at `index`."""
        limits = [limit for limit in (self.retired, self.first_distrusted) if limit is not None]
        return self.added < index < min(limits, default=index + 1)

    @property
    def active(self) -> bool:
        """Whether the key may go on signing."""
        return self.retired is None and self.first_distrusted is None


@frozen
class KeyRing:
    """The keys that a log has introduced, by purpose (`log`, `record`) and key id."""

    keys: Mapping[tuple[str, str], IntroducedKey] = MappingProxyType({})

    @classmethod
    def of(cls, entries: Iterable[tuple[int, Entry]]) -> KeyRing:
        """Read a log's entries, with their indexes and in order; those about other things are passed over.

        The first introduction of a key counts; retiring or revoking one that was never introduced says nothing.
        """
        return reduce(lambda ring, item: ring.after(*item), entries, cls())

    def after(self, index: int, entry: Entry) -> KeyRing:
        """Return the keys once `entry` is in the log at `index`."""
        match entry:
            case KeyEntry("add", purpose, key_id, public_key) if (purpose, key_id) not in self.keys:
                key = IntroducedKey(public_key, index)
            case KeyEntry("retire", purpose, key_id) if old := self.find(purpose, key_id):
                key = evolve(old, retired=_earlier(old.retired, index))
            case KeyRevocation(purpose, key_id, first) if old := self.find(purpose, key_id):
                key = evolve(old, first_distrusted=_earlier(old.first_distrusted, first))
            case _:
                return self
        return KeyRing(MappingProxyType({**self.keys, (purpose, key_id): key}))

    def find(self, purpose: str, key_id: str) -> IntroducedKey | None:
        """Return the key, or None when the log never introduced it."""
        return self.keys.get((purpose, key_id))


def _earlier(known: int | None, index: int) -> int:
    return index if known is None else min(known, index)


def keyring_of(view: View) -> KeyRing:
    """Read what a log says of keys."""
    return keyring(tuple(view.key_entries()))


@lru_cache(maxsize=16)
def keyring(lines: tuple[tuple[int, bytes], ...]) -> KeyRing:
    """Read entries about keys; remembered, since they are read for every batch and change a few times in a life."""
    return KeyRing.of((index, parse_entry(line)) for index, line in lines)
