"""What a visitor decided, and what follows from it. Pure: no input or output, clocks are arguments."""

from __future__ import annotations

from consentkit.consent.cookie import CookieState, IdCookie
from consentkit.consent.decision import (
    NOTHING,
    Answer,
    Basis,
    Control,
    Decisions,
    Event,
    NoticeRef,
    Outcome,
    Story,
    decide,
)
from consentkit.consent.resolve import Consent, Reason, merge, resolve
from consentkit.consent.signals import NO_SIGNALS, Signals, parse_gpc

__all__ = [
    "NOTHING",
    "NO_SIGNALS",
    "Answer",
    "Basis",
    "Consent",
    "Control",
    "CookieState",
    "Decisions",
    "Event",
    "IdCookie",
    "NoticeRef",
    "Outcome",
    "Reason",
    "Signals",
    "Story",
    "decide",
    "merge",
    "parse_gpc",
    "resolve",
]
