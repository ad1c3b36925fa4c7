"""The notices that were published: those in force, and those of earlier policies that a page may still show."""

from __future__ import annotations

import logging
from threading import Lock

from consentkit.banner import Notice, notice_for
from consentkit.errors import ConsentkitError
from consentkit.evidence import Ledger
from consentkit.policy import Model, Policy, PolicyHistory

__all__ = ["PublishedNotices"]

_log = logging.getLogger(__name__)


class PublishedNotices:
    """Publishes the notices of the policy in force when it is made; knows them and earlier ones by digest."""

    def __init__(self, history: PolicyHistory, ledger: Ledger) -> None:
        self._ledger = ledger
        self._current = {(notice.language, notice.model): notice for notice in _notices(history.current)}
        for notice in self._current.values():
            ledger.publish_notice(notice.html)
        self._by_digest = {notice.digest: notice for notice in self._current.values()}
        self._unread = history.earlier
        self._lock = Lock()

    def current(self, language: str, model: Model) -> Notice:
        """Give the notice in force."""
        return self._current[language, model]

    def find(self, digest: str) -> Notice | None:
        """Give a notice that was published, by its digest; None when there is none."""
        found = self._by_digest.get(digest)
        if found is None and self._unread:
            self._read_earlier()
            found = self._by_digest.get(digest)
        return found

    def _read_earlier(self) -> None:
        """Make the notices of earlier policies again, the first time that one is asked for."""
        with self._lock:
            earlier = [notice for policy in self._unread for notice in _notices(policy)]
            try:
                published = {n.digest: n for n in earlier if self._ledger.has_notice(n.digest)}
            except ConsentkitError as error:
                _log.warning("earlier notices could not be looked up in the ledger: %s", error)
                return
            self._by_digest = published | self._by_digest
            self._unread = ()


def _notices(policy: Policy) -> list[Notice]:
    models = sorted({m for regime in policy.regimes for m in (regime.model, *regime.models.values())})
    return [notice_for(policy, language, model) for language in policy.languages for model in models]
