"""What a record tells of an outcome."""

from __future__ import annotations

from collections.abc import Mapping

from consentkit.consent import Answer, Consent, NoticeRef, Outcome, Story
from consentkit.consent.decision import MILLISECOND
from consentkit.evidence import Choice, RecordDraft
from consentkit.policy import Policy, Regime
from consentkit.web.request import Request

__all__ = ["draft_of", "optional_fields"]


def draft_of(
    policy: Policy, notice: NoticeRef | None, consent: Consent, answer: Answer, outcome: Outcome
) -> RecordDraft:
    """Draw up the record of an outcome, under the policy that the visitor was told of; site and history lack yet."""
    return RecordDraft(
        event=str(outcome.event),
        method=answer.method,
        site="",
        choices=_choices(outcome.categories),
        services=_choices(outcome.services),
        asked=outcome.asked,
        policy=(policy.digest, policy.version),
        notice=(notice.digest, notice.language, notice.template, notice.layout) if notice else None,
        region=consent.region,
        regime=consent.regime.id,
        model=str(notice.model if notice else consent.regime.model),
        signals={"gpc": consent.signals.gpc, "shown": answer.signal_shown},
        expires=_expiry(outcome, consent.regime),
        history="",
    )


def optional_fields(policy: Policy, request: Request) -> dict[str, str]:
    """Give the optional fields that the policy asks for, and gives a reason for."""
    sources = {"user_agent": b"user-agent", "page": b"referer"}
    found = {
        name: b"".join(request.header_values(header)[:1]).decode("latin-1")[:1024]
        for name, header in sources.items()
        if name in policy.optional_fields
    }
    return {name: value for name, value in found.items() if value}


def _choices(stories: Mapping[str, Story]) -> dict[str, Choice]:
    return {name: Choice(story.granted, story.basis.value) for name, story in stories.items()}


def _expiry(outcome: Outcome, regime: Regime) -> int | None:
    """When the last of the grants told lapses, in UTC milliseconds; None where nothing is granted."""
    told = (*outcome.categories.values(), *outcome.services.values())
    lifetime = regime.consent_lifetime // MILLISECOND
    return max((story.time + lifetime for story in told if story.granted), default=None)
