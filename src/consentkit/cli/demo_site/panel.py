"""The panel: what consentkit did in this page view, to this visitor, and in the ledger. Everything in it was seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from consentkit.audit import AuditReport
from consentkit.banner.markup import Markup, element, encode, join
from consentkit.cli.demo_site.switches import LANGUAGES, REGIONS, SIGNAL, Switches
from consentkit.cli.demo_site.watch import Seen
from consentkit.consent import Consent, Reason
from consentkit.policy import Model
from consentkit.web.set_cookie import cookie_name, is_deletion

__all__ = ["Shown", "fragment", "panel", "strip"]

_MODELS = {
    Model.OPT_IN: "nothing before a yes",
    Model.OPT_OUT: "allowed until a no",
    Model.IMPLIED: "allowed, and the banner says so until it is answered",
    Model.NOTICE: "information only",
}
_REASONS = {
    Reason.NECESSARY: "the site cannot do without it",
    Reason.UNREADABLE: "the consent cookie cannot be trusted",
    Reason.REFUSED: "the visitor refused",
    Reason.SIGNAL: "the browser sends Sec-GPC: 1",
    Reason.EXEMPT: "exempt in this region",
    Reason.GRANTED: "the visitor agreed",
}
_STALE = "That was before the last decision. The next page obeys it."
_SIGNS = {"passed": "ok", "failed": "no", "incomplete": "open", "skipped": "-"}


@frozen
class Shown:
    """Everything that the panel shows: the last page view and decision, what holds now, and the ledger.

    `stale` says that the decision came after the page.
    """

    language: str
    page: Seen | None
    decision: Seen | None
    stale: bool
    record: Mapping[str, Any] | None
    consent: Consent
    size: int
    checkpoint: str
    report: AuditReport | None


def strip(shown: Shown, switches: Switches) -> bytes:
    """Return the line that leads to the panel where there is no room for it beside the page."""
    what = f" {REGIONS[switches.region]}, {shown.consent.regime.model}. Switch region and look under the hood"
    text = element("a", element("b", "Demo"), what, href="#hood")
    sheet = element("link", rel="stylesheet", href="/demo/panel.css")
    return encode(join(sheet, element("nav", text, class_="hood-strip", aria_label="Demo", lang="en")))


def panel(shown: Shown, switches: Switches) -> bytes:
    """Return the panel as it stands in a page: the switches, and the part that is brought up to date."""
    body = element(
        "details",
        element("summary", element("h2", "Under the hood")),
        element(
            "p", "Not part of the newspaper: this is what consentkit does behind it.", class_="hood-about"
        ),
        _switches(shown, switches),
        element("div", _live(shown), id="hood-live"),
        open=switches.open,
        id="hood-box",
    )
    return encode(
        join(
            element("aside", body, id="hood", lang="en", aria_label="Under the hood"),
            element("script", src="/demo/panel.js", defer=True),
        )
    )


def fragment(shown: Shown) -> bytes:
    """Return the part of the panel that changes, for the script to put in place."""
    return encode(_live(shown))


def _live(shown: Shown) -> Markup:
    return join(_asked(shown), _cookies(shown), _state(shown.consent), _decided(shown), _ledger(shown))


# The switches


def _switches(shown: Shown, switches: Switches) -> Markup:
    browser = shown.consent.signals.gpc and not switches.gpc
    return _part(
        "The visitor",
        _choice("region", "Visits from", REGIONS, switches.region),
        _choice("language", "Reads", LANGUAGES, shown.language),
        _choice("gpc", "Global Privacy Control", SIGNAL, "on" if switches.gpc else "off"),
        element("p", "This browser sends Sec-GPC: 1 by itself.", class_="hood-note") if browser else None,
        element("form", element("button", "Forget this visitor"), method="post", action="/demo/forget"),
    )


def _choice(name: str, label: str, values: Mapping[str, str], current: str) -> Markup:
    buttons = (
        element("button", text, name=name, value=value, aria_pressed="true" if value == current else "false")
        for value, text in values.items()
    )
    return element(
        "form",
        element("span", label, id=f"hood-{name}"),
        element("div", *buttons, role="group", aria_labelledby=f"hood-{name}", class_="hood-group"),
        method="post",
        action="/demo/switch",
        class_="hood-choice",
    )


# What was seen


def _part(title: str, *children: str | None) -> Markup:
    return element("section", element("h3", title), *children, class_="hood-part")


def _asked(shown: Shown) -> Markup:
    consent, page = shown.consent, shown.page
    model = consent.regime.model
    rows = [
        ("Region", f"{consent.region or 'unknown, so the fallback counts'}"),
        ("Regime", consent.regime.id),
        ("Model", f"{model}: {_MODELS[model]}"),
        ("Sec-GPC", "1" if consent.signals.gpc else "not sent"),
    ]
    if page is not None:
        asked = ", ".join(page.consent.prompt) if page.consent and page.notice else "nothing"
        rows.append(("Asked", asked))
        rows.append(("Notice", f"sha-256 {page.notice[:12]}..." if page.notice else "no banner in this page"))
    return _part("What was asked", _facts(rows))


def _facts(rows: Iterable[tuple[str, str]]) -> Markup:
    return element("dl", *(join(element("dt", name), element("dd", text)) for name, text in rows))


def _cookies(shown: Shown) -> Markup:
    page = shown.page
    if page is None:
        return _part("What the page tried to set", element("p", "No page was served yet."))
    rows = [_tried(page, value, shown.consent) for value in page.tried]
    removed = len(page.removed())
    embed = "is in the page" if page.embed else "is not in the page"
    return _part(
        "What the page tried to set",
        element("p", f"GET {page.path} tried {len(rows)} cookies; {removed} removed.", class_="hood-note"),
        element("ul", *rows, class_="hood-cookies"),
        _expired(page),
        element("p", _STALE, class_="hood-note") if shown.stale else None,
        element("p", element("code", "widgets.example.net/clip.js"), f" {embed}.", class_="hood-note"),
    )


def _tried(page: Seen, value: bytes, consent: Consent) -> Markup:
    name = cookie_name(value)
    service = consent.policy.service_for_cookie(name)
    about = f"{service.category}, {service.id}" if service else "undeclared"
    gone = name in page.removed()
    why = page.blocked.get(name, ("", ""))[1]
    return _item("no" if gone else "ok", name, about, f"removed: {_because(why)}" if gone else "")


def _item(mark: str, name: str, about: str, said: str) -> Markup:
    text = element("b", said) if said else None
    return element("li", element("code", name), element("span", about), text, class_=f"hood-{mark}")


def _because(reason: str) -> str:
    if reason == Reason.DEFAULT:
        return "nobody agreed yet"
    return _REASONS[Reason(reason)] if reason in set(Reason) else reason


def _expired(seen: Seen) -> Markup | None:
    names = list(
        dict.fromkeys(cookie_name(v) for v in seen.sent if v not in seen.tried and is_deletion(v, 0))
    )
    return element("p", "Expired in the browser: ", element("code", ", ".join(names))) if names else None


def _state(consent: Consent) -> Markup:
    rows = [_allowed(consent, category.id) for category in consent.policy.categories]
    return _part("What holds now", element("ul", *rows, class_="hood-cookies"))


def _allowed(consent: Consent, name: str) -> Markup:
    allows, reason = consent.allows(name), consent.reason(name)
    default = "nobody objected" if allows else "nobody agreed yet"
    services = ", ".join(service.id for service in consent.policy.services_in(name))
    return _item(
        "ok" if allows else "no",
        name,
        services,
        f"{'yes' if allows else 'no'}: {_REASONS.get(reason, default)}",
    )


def _decided(shown: Shown) -> Markup:
    decision, record = shown.decision, shown.record
    if decision is None:
        return _part("The last decision", element("p", "None yet. Reading a page records nothing."))
    if decision.unrecorded:
        told = f"Not recorded ({decision.unrecorded}): refusals hold in this browser alone, and nothing was granted."
        return _part("The last decision", element("p", told))
    if decision.recorded is None:
        return _part("The last decision", element("p", "Nothing new was decided, so nothing was recorded."))
    event, index = decision.recorded
    text = json.dumps(record, indent=2, ensure_ascii=False, sort_keys=True) if record else "erased"
    return _part(
        "The last decision",
        element("p", element("b", event), f", entry {index} of the log."),
        _expired(decision),
        _folded("record", "The signed record", element("pre", element("code", text), tabindex="0")),
    )


def _folded(name: str, title: str, *children: str) -> Markup:
    return element("details", element("summary", title), *children, id=f"hood-{name}")


def _ledger(shown: Shown) -> Markup:
    button = element(
        "form", element("button", "Audit now"), method="post", action="/demo/audit", id="hood-audit"
    )
    return _part(
        "The ledger",
        element("p", f"{shown.size} entries, all under one signature:"),
        _folded(
            "checkpoint", "The checkpoint", element("pre", element("code", shown.checkpoint), tabindex="0")
        ),
        button,
        element("div", _verdict(shown.report), role="status", id="hood-verdict"),
    )


def _verdict(report: AuditReport | None) -> Markup | None:
    if report is None:
        return None
    lines = (
        element(
            "li", element("b", one.title), element("span", one.detail), class_=f"hood-{_SIGNS[one.outcome]}"
        )
        for one in report.checks
        if one.outcome != "skipped"
    )
    missed = (element("li", remark) for remark in report.not_checked)
    return join(
        element("p", report.verdict, class_="hood-verdict"),
        element("ul", *lines, class_="hood-checks"),
        _folded("missed", "What an audit cannot see", element("ul", *missed)),
    )
