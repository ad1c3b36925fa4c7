"""Forks: what a process that is about to be copied must let go of, and what its copy must forget."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Protocol

__all__ = ["Forkable", "follow"]

_log = logging.getLogger(__name__)


class Forkable(Protocol):
    """Something with threads, locks and connections that a process may take along over a fork."""

    def before_fork(self) -> bool:
        """Have no connection, and hold the lock, at the moment of a fork; False if that cannot be had in time."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Begin anew: threads and connections are the parent's."""


_known: weakref.WeakSet[Forkable] = weakref.WeakSet()
_paused: list[Forkable] = []


def follow(one: Forkable) -> None:
    """Tell `one` of every fork, as long as it lives."""
    _known.add(one)


def _before_fork() -> None:
    for one in list(_known):
        try:
            if one.before_fork():
                _paused.append(one)
        except Exception:  # noqa: BLE001  a fork cannot be refused
            _log.exception("a ledger could not be put aside for a fork")


def _after_fork_in_parent() -> None:
    while _paused:
        _paused.pop().after_fork_in_parent()


def _after_fork_in_child() -> None:
    _paused.clear()
    for one in list(_known):
        one.after_fork_in_child()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
