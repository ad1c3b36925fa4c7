"""What a record tells of an outcome."""

from __future__ import annotations

from collections.abc import Mapping

from consentkit.consent import Outcome, Story
from consentkit.consent.decision import MILLISECOND
from consentkit.evidence import Choice
from consentkit.policy import Regime

__all__ = ["choices_of", "expiry_of"]


def choices_of(stories: Mapping[str, Story]) -> dict[str, Choice]:
    return {name: Choice(story.granted, story.basis.value) for name, story in stories.items()}


def expiry_of(outcome: Outcome, regime: Regime) -> int | None:
    """When the last of the grants told lapses, in UTC milliseconds; None where nothing is granted."""
    told = (*outcome.categories.values(), *outcome.services.values())
    lifetime = regime.consent_lifetime // MILLISECOND
    return max((story.time + lifetime for story in told if story.granted), default=None)
