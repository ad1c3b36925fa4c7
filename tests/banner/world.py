"""A policy that uses everything a notice can show, and visitors of it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from consentkit.banner import Notice, Urls, notice_for
from consentkit.consent import (
    NO_SIGNALS,
    NOTHING,
    Answer,
    Consent,
    Control,
    Decisions,
    Signals,
    decide,
    resolve,
)
from consentkit.policy import Model, Policy, PolicyHistory

NOW = 1_793_620_800_000  # 2026-11-02T12:00:00Z
REGIONS = {Model.OPT_IN: "FR", Model.OPT_OUT: "US-CA", Model.IMPLIED: "AU", Model.NOTICE: "NZ"}
MODELS = tuple(Model)
LAYOUTS = ("bar", "box", "dialog", "inline")
LANGUAGES = ("en", "fr")
URLS = Urls.under("/consent")
GPC = Signals(gpc=True)


def _regime(region: str, model: str) -> dict[str, Any]:
    return {
        "regions": [region],
        "model": model,
        "consent_lifetime": "6 months",
        "refusal_lifetime": "6 months",
        "signals": {"gpc": ["marketing"]},
    }


DOCUMENT: dict[str, Any] = {
    "schema": "consentkit-policy/1",
    "version": "1",
    "controller": {
        "name": "Harbour News",
        "country": "IE",
        "contact": "privacy@harbour.example",
        "privacy_policy": "https://harbour.example/privacy",
    },
    "languages": ["en", "fr"],
    "categories": {
        "preferences": {},
        "analytics": {},
        "marketing": {},
        "games": {
            "title": {"en": "Games", "fr": "Jeux"},
            "description": {"en": "Keeps your score.", "fr": "Retient vos points."},
        },
    },
    "services": {
        "login": {
            "title": "Sign-in",
            "category": "necessary",
            "provider": {"name": "Harbour News", "country": "IE"},
            "purposes": {"session": {"en": "Keeps you signed in.", "fr": "Vous garde connecté."}},
            "cookies": [{"name": "session", "lifetime": "session"}],
        },
        "counter": {
            "title": {"en": "Page counter", "fr": "Compteur"},
            "category": "analytics",
            "provider": {"name": "Tally", "country": "FR", "privacy_policy": "https://tally.example/privacy"},
            "purposes": {"audience": {"en": "Counts readers.", "fr": "Compte les lecteurs."}},
            "cookies": [
                {
                    "name": "_tally_*",
                    "lifetime": "13 months",
                    "purpose": {"en": "Tells readers apart.", "fr": "Distingue les lecteurs."},
                }
            ],
            "storage": [{"kind": "local", "key": "tally.*", "lifetime": "1 day"}],
        },
        "ads": {
            "title": "Ad Exchange",
            "category": "marketing",
            "provider": {"name": "Ad Exchange Inc.", "country": "US"},
            "purposes": {"ads": {"en": "Chooses advertisements.", "fr": "Choisit la publicité."}},
            "recipients": {"measure": {"name": "Measure BV", "country": "NL"}},
            "cookies": [{"name": "adx", "lifetime": "90 days", "party": "third", "domain": "adx.example"}],
            "hosts": ["*.adx.example"],
        },
        "video": {
            "title": "Clips",
            "category": "marketing",
            "provider": {"name": "Clips SAS", "country": "FR"},
            "purposes": {"play": {"en": "Plays videos.", "fr": "Lit des vidéos."}},
        },
    },
    "regimes": {name: _regime(REGIONS[Model(name)], name) for name in MODELS}
    | {"exempting": {**_regime("IT", "opt-in"), "exempt": {"analytics": "it_audience"}}},
    "fallback": {"regime": "opt-in"},
    "notice": {"layout": "bar", "order": ["preferences", "analytics", "marketing", "games"]},
    "records": {"retention": "5 years"},
}


def document(**changes: Any) -> dict[str, Any]:
    """Give a copy of the policy document with some members replaced."""
    return {**deepcopy(DOCUMENT), **changes}


def policy(layout: str = "bar", texts: Mapping[str, Mapping[str, str]] | None = None) -> Policy:
    """Give the policy with a layout and with texts of its own."""
    return Policy.from_dict(document(notice={**DOCUMENT["notice"], "layout": layout, "texts": texts or {}}))


POLICY = policy()
HISTORY = PolicyHistory(POLICY)
NOTICES = {(lang, model): notice_for(POLICY, lang, model) for lang in LANGUAGES for model in MODELS}


def notice(model: Model = Model.OPT_IN, language: str = "en") -> Notice:
    """Give the notice of the policy."""
    return NOTICES[language, model]


def consent(region: str = "FR", decisions: Decisions = NOTHING, signals: Signals = NO_SIGNALS) -> Consent:
    """Give what follows for a visitor."""
    return resolve(HISTORY, region, decisions, signals, NOW)


def decided(
    control: Control = Control.SAVE, *on: str, region: str = "FR", before: Decisions = NOTHING
) -> Decisions:
    """Give the decisions of a visitor who used a control of the choices, with the toggles `on`."""
    choices = {name: name in on for name in POLICY.names}
    answer = Answer(control, POLICY.category_ids, choices, dict.fromkeys(choices, False))
    return decide(HISTORY, before, answer, POLICY.regime_for(region), NOW - 60_000).decisions
