"""Small policies and random visitors for the laws of consent."""

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from hypothesis import strategies as st

from consentkit.consent import (
    NOTHING,
    Answer,
    Basis,
    Control,
    Decisions,
    NoticeRef,
    Signals,
    Story,
    decide,
)
from consentkit.policy import Model, Policy, PolicyHistory

NOW = 1_793_620_800_000  # 2026-11-02T12:00:00Z
HOUR = 3_600_000
DAY = 24 * HOUR
REGIONS = {"opt-in": "FR", "opt-out": "US-CA", "implied": "ZA", "notice": "AU", "exempt": "IT"}


def service(category: str, *purposes: str, **more: Any) -> dict[str, Any]:
    """A service of one provider with the purposes named."""
    return {
        "category": category,
        "provider": {"name": "Acme", "country": "FR"},
        "purposes": {purpose: purpose for purpose in purposes or ("use",)},
        **more,
    }


def regime(regions: list[str], model: str, **more: Any) -> dict[str, Any]:
    """A regime with lifetimes of six months and GPC honoured for marketing."""
    return {
        "regions": regions,
        "model": model,
        "consent_lifetime": "6 months",
        "refusal_lifetime": "6 months",
        "signals": {"gpc": ["marketing"]},
        **more,
    }


def document(services: Mapping[str, Any], version: str = "1", *extra: str) -> dict[str, Any]:
    """A policy with three categories and whatever is in `extra`, under all four models."""
    own = {name: {"title": name, "description": name} for name in extra}
    return {
        "schema": "consentkit-policy/1",
        "version": version,
        "controller": {
            "name": "Example",
            "country": "FR",
            "contact": "privacy@example.com",
            "privacy_policy": "https://example.com/privacy",
        },
        "languages": ["en"],
        "categories": {"preferences": {}, "analytics": {}, "marketing": {}} | own,
        "services": dict(services),
        "regimes": {
            "opt-in": regime(["EEA"], "opt-in"),
            "exempt": regime(["IT"], "opt-in", exempt={"analytics": "it_audience"}),
            "opt-out": regime(["US-CA"], "opt-out"),
            "implied": regime(["ZA"], "implied"),
            "notice": regime(["AU"], "notice"),
        },
        "fallback": {"regime": "opt-in"},
        "notice": {"layout": "bar"},
        "records": {"retention": "5 years"},
    }


SERVICES = {
    "clicks": service("analytics"),
    "heat": service("analytics"),
    "ads": service("marketing"),
    "theme": service("preferences"),
}
POLICY = Policy.from_dict(document(SERVICES))
MOVED = Policy.from_dict(document({**SERVICES, "heat": service("preferences")}, "2"))
WIDER = Policy.from_dict(document({**SERVICES, "extra": service("analytics")}, "3"))
NARROWER = Policy.from_dict(document({k: v for k, v in SERVICES.items() if k != "heat"}, "4"))
GROWN = Policy.from_dict(document({**SERVICES, "chat": service("social")}, "5", "social"))
WIDER_ADS = Policy.from_dict(document({**SERVICES, "net": service("marketing")}, "6"))


def _with_regime(name: str, version: str, **changes: Any) -> Policy:
    changed = document(SERVICES, version)
    changed["regimes"][name] |= changes
    return Policy.from_dict(changed)


LONGER = _with_regime("opt-in", "7", consent_lifetime="24 months")
PARTLY_IMPLIED = _with_regime("implied", "9", models={"marketing": "opt-in"})
MIXED = _with_regime("opt-in", "8", models={"preferences": "opt-out"})

HISTORY = PolicyHistory(POLICY)
NAMES = (*POLICY.category_ids, *POLICY.service_ids)


def after(policy: Policy) -> PolicyHistory:
    """The history in which `policy` followed the first one."""
    return PolicyHistory(policy, (POLICY,))


def notice(model: Model = Model.OPT_IN, policy: Policy = POLICY) -> NoticeRef:
    """A reference to a notice of that model."""
    return NoticeRef("0" * 64, policy.digest, "en", model, "bar", "consentkit/1")


def visit(
    *answers: Answer, history: PolicyHistory = HISTORY, region: str = "FR", gap: int = HOUR
) -> Decisions:
    """What a visitor has decided after giving the answers, an hour apart, the last of them now."""
    decisions, rule = NOTHING, history.current.regime_for(region)
    for back, answer in zip(reversed(range(len(answers))), answers, strict=True):
        decisions = decide(history, decisions, answer, rule, NOW - back * gap).decisions
    return decisions


policies = st.sampled_from([POLICY, MOVED, WIDER, NARROWER, GROWN])
histories = policies.map(lambda policy: HISTORY if policy is POLICY else after(policy))
regions = st.sampled_from([*REGIONS.values(), None, "BR", "FR-75"])
signals = st.builds(Signals, gpc=st.booleans())
times = st.integers(NOW - 800 * DAY, NOW)


@st.composite
def stories(draw: st.DrawFn, *, granted: bool | None = None) -> Story:
    """Any story that a visitor may have under the first policy."""
    grant = draw(st.booleans()) if granted is None else granted
    basis = draw(st.sampled_from([Basis.EXPRESS, Basis.ACKNOWLEDGED])) if grant else Basis.EXPRESS
    shown = grant and basis is Basis.EXPRESS and draw(st.booleans())
    return Story(grant, basis, draw(times), POLICY.digest, shown)


@st.composite
def decided(draw: st.DrawFn) -> Decisions:
    """Any decisions, told under the first policy."""
    return Decisions(
        draw(st.dictionaries(st.sampled_from(POLICY.category_ids), stories())),
        draw(st.dictionaries(st.sampled_from(POLICY.service_ids), stories())),
        draw(st.none() | stories(granted=False)),
        draw(st.booleans()),
        draw(st.sampled_from([False, False, False, True])),
    )


@st.composite
def answers(draw: st.DrawFn, control: Control | None = None) -> Answer:
    """Any answer to any notice of the first policy."""
    toggles = st.dictionaries(st.sampled_from(NAMES), st.booleans())
    return Answer(
        control or draw(st.sampled_from(Control)),
        tuple(draw(st.sets(st.sampled_from(POLICY.category_ids)))),
        draw(toggles),
        draw(toggles),
        draw(st.booleans()),
        draw(st.none() | st.sampled_from(Model).map(notice)),
    )


def broken(module: ModuleType, old: str, new: str) -> ModuleType:
    """A copy of a module in which one piece of the source reads differently."""
    source = inspect.getsource(module)
    if source.count(old) != 1:
        raise ValueError(f"{old!r} stands {source.count(old)} times in {module.__name__}")
    name = f"broken_{module.__name__.replace('.', '_')}"
    copy = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))  # type: ignore[arg-type]
    sys.modules[name] = copy
    exec(compile(source.replace(old, new), name, "exec"), copy.__dict__)
    return copy
