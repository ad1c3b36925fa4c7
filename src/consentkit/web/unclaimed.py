"""Requests to a host that no manager is known for: the application works, and nothing optional is allowed."""

from __future__ import annotations

from typing import cast

from consentkit.consent.resolve import Consent, Reason
from consentkit.errors import ConsentRequired
from consentkit.policy import NECESSARY
from consentkit.web.exchange import Html

__all__ = ["NecessaryOnly", "Unclaimed"]


class NecessaryOnly:
    """A consent that allows `necessary` and denies every other name, known to a policy or not."""

    needs_prompt = False
    prompt: tuple[str, ...] = ()
    granted: frozenset[str] = frozenset({NECESSARY})
    policy = regime = region = signals = None

    def allows(self, name: str) -> bool:
        """Tell whether a category or service is allowed: `necessary` alone is."""
        return name == NECESSARY

    def reason(self, name: str) -> Reason:
        """Tell why."""
        return Reason.NECESSARY if name == NECESSARY else Reason.UNREADABLE

    def require(self, name: str) -> None:
        """Raise ConsentRequired for all but `necessary`."""
        if name != NECESSARY:
            raise ConsentRequired(name, Reason.UNREADABLE.value)


class Unclaimed:
    """Stands where an `Exchange` would: no banner, no endpoint, and the response is left alone."""

    consent: Consent = cast("Consent", NecessaryOnly())

    def banner(self) -> Html:
        """Give nothing: without a policy there is nothing to ask."""
        return Html("")

    def privacy_link(self) -> Html:
        """Give nothing, likewise."""
        return Html("")

    def script(self) -> Html:
        """Give nothing, likewise."""
        return Html("")
