"""What stands before the ledger when too many come at once: a token bucket, and the site's own say."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from attrs import frozen

from consentkit.errors import InvalidOption

__all__ = ["Admission", "Admit", "Proposal", "TokenBucket", "retry_after"]

_log = logging.getLogger(__name__)


@frozen
class Proposal:
    """What is known of a decision before it is recorded; nothing in it is personal.

    `event` is what its record would say happened, `site` the web origin, `region` and `regime` where the visitor is and
    which rule applies, `waiting` how many decisions wait in this process already.
    """

    event: str
    method: str
    site: str
    region: str | None
    regime: str
    waiting: int


Admit = Callable[[Proposal], bool | float]
"""Says whether a decision that grants something may be recorded now: True, False, or after how many seconds."""

_PAUSE: Final = 2.0


def retry_after(seconds: float = _PAUSE) -> int:
    """Give the whole seconds for `Retry-After`, up to twice as many as asked, so that not all come back at once."""
    return max(1, round(seconds * random.uniform(1.0, 2.0)))  # noqa: S311  spreads, and hides nothing


class TokenBucket:
    """Lets `rate` through a second on average, and `burst` at once. `clock` gives seconds. Safe among threads."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        if not rate > 0 or burst < 1:
            raise InvalidOption(
                "a rate is more than 0 decisions a second, and a burst 1 or more",
                remedy="rate=100, burst=200",
            )
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = float(burst), clock()
        self._lock = Lock()

    def take(self) -> float:
        """Take a token; gives 0.0, or the seconds until there is one."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens >= 1:
                self._tokens -= 1
                return 0.0
            return (1 - self._tokens) / self._rate


class Admission:
    """Asks the site's hook, then the bucket. Refusals and withdrawals never come here."""

    def __init__(self, admit: Admit | None, rate: float | None, burst: int | None) -> None:
        if burst is not None and rate is None:
            raise InvalidOption("burst is of no use without rate", remedy="give rate=, decisions a second")
        self._admit = admit
        self._bucket = (
            None if rate is None else TokenBucket(rate, max(1, round(2 * rate)) if burst is None else burst)
        )

    def wait(self, proposal: Proposal) -> float:
        """Give after how many seconds a decision may come again; 0.0 when it may be recorded now."""
        return self._asked(proposal) or (self._bucket.take() if self._bucket else 0.0)

    def _asked(self, proposal: Proposal) -> float:
        if self._admit is None:
            return 0.0
        try:
            said = self._admit(proposal)
        except Exception:  # noqa: BLE001  the site's own callable; it keeps nobody out by failing
            _log.exception("%r failed; the decision is recorded without its answer", self._admit)
            return 0.0
        if said is True:
            return 0.0
        return _PAUSE if said is False else max(0.0, float(said))
