"""The notice: what a visitor can be shown under a policy, fixed byte for byte, and the live banner made from it.

Its canonical form is one static HTML document with its stylesheet, ASCII, without scripts and without anything
that depends on a visitor. The live banner comes from the same functions; what varies is which categories it asks,
whether it has the line about the browser's signal, which toggles are on at present, and where its forms lead.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

import attrs

from consentkit.banner.assets import style
from consentkit.banner.layers import Frame, Live, control, first_layer, second_layer
from consentkit.banner.markup import Markup, element, encode, join
from consentkit.banner.urls import Urls
from consentkit.consent import Consent, Reason
from consentkit.policy import NECESSARY, Model, Policy

__all__ = ["TEMPLATE", "Notice", "notice_for", "render_banner", "render_control", "render_script"]

TEMPLATE = "consentkit/1"
"""Names the functions that made a notice; it goes into every record."""

_DOCTYPE = Markup("<!doctype html>")
_CLASSES = {"bar": "ck-bar", "box": "ck-corner", "dialog": "ck-dialog", "inline": "ck-inline"}
# In the document that is kept, the choices end above the banner, so that both can be seen in full.
_KEPT = "\n#ck main { padding-bottom: 80vh; }"
_MESSAGES = ("saved", "local", "mixed", "again", "failed", "unkept")


@attrs.frozen
class Notice:
    """A notice in one language under one model.

    `html` is the canonical form; `digest`, its SHA-256 in lower-case hex, names it in the log and in every record.
    `policy` is the digest of the policy it was made from.
    """

    html: bytes = attrs.field(repr=False, eq=False)
    digest: str
    policy: str
    language: str
    model: Model
    layout: str
    template: str = TEMPLATE


def notice_for(policy: Policy, language: str, model: Model) -> Notice:
    """Make the notice of a policy in one of its languages. Pure: the same arguments give the same bytes.

    Raises UnknownLanguage where the banner has no texts in that language; `check` finds out beforehand.
    """
    html = _canonical(Frame.of(policy, language, model))
    return Notice(html, sha256(html).hexdigest(), policy.digest, language, model, policy.layout)


def render_banner(
    policy: Policy,
    notice: Notice,
    *,
    asked: tuple[str, ...],
    consent: Consent,
    signals_shown: bool,
    urls: Urls,
    reopened: bool = False,
) -> bytes:
    """Return what goes into a page, once: stylesheet, banner, permanent control, script. ASCII only.

    `asked` are the categories to ask; with none the banner stays closed, unless it is `reopened`, which asks all.
    `signals_shown` puts in the line about the browser's signal, and is posted with the answer.
    """
    if reopened and not asked:
        asked = policy.category_ids
    return _fragment(
        policy=policy,
        notice=notice,
        asked=asked,
        on=allowed(policy, consent),
        signal=signals_shown,
        honored=_honored(policy, consent),
        urls=urls,
    )


def render_control(policy: Policy, notice: Notice, *, consent: Consent, urls: Urls) -> bytes:
    """Return the link to the choices alone, for a template to place; it takes the look of the page around it."""
    frame = Frame.of(policy, notice.language, notice.model)
    return encode(control(frame, href=urls.preferences, honored=_honored(policy, consent)))


def render_script(policy: Policy, *, consent: Consent, urls: Urls) -> bytes:
    """Return the element that loads the script; twice on one page does no harm."""
    return encode(script_element(urls, allowed(policy, consent)))


@lru_cache(maxsize=256)
def _fragment(
    *,
    policy: Policy,
    notice: Notice,
    asked: tuple[str, ...],
    on: frozenset[str],
    signal: bool,
    honored: tuple[str, ...],
    urls: Urls,
) -> bytes:
    """Render once what many visitors see: everything that it depends on is an argument."""
    frame = Frame.of(policy, notice.language, notice.model)
    categories = [category for category in policy.categories if category.id in asked]
    live = Live(urls, notice.digest, on)
    banner = first_layer(frame, asked=categories, signal=signal, live=live) if categories else None
    return encode(
        join(
            element("link", rel="stylesheet", href=urls.style),
            element(
                "div",
                _box(frame, banner),
                control(frame, href=urls.preferences, honored=honored),
                say(frame),
                id="ck",
                lang=frame.language,
                dir=frame.catalogue.direction,
            ),
            script_element(urls, on),
        )
    )


def _canonical(frame: Frame) -> bytes:
    """Return the document that is kept: all that the banner and the choices can show, and how it looks."""
    banner = first_layer(frame, asked=frame.policy.categories, signal=True)
    choices = element("main", second_layer(frame, signal=True), class_="ck-page")
    body = join(_box(frame, banner), control(frame, href="#ck-form"), choices)
    css = Markup(style().body.decode("ascii") + _KEPT)
    # Says what it is by itself, so that two policies never share a notice, however alike they look.
    what = f"{TEMPLATE} {frame.policy.digest} {frame.model} {frame.policy.layout}"
    about = element("meta", name="consentkit-notice", content=what)
    return encode(document(frame, frame.headline(), body, about, element("style", css)))


def document(frame: Frame, title: str, body: Markup, *head: Markup) -> Markup:
    """Return a whole HTML document in the banner's look."""
    meta = (element("meta", charset="utf-8"), element("meta", name="viewport", content="width=device-width"))
    page = element(
        "html",
        element("head", *meta, element("title", title), *head),
        element("body", element("div", body, id="ck"), class_="ck-doc"),
        lang=frame.language,
        dir=frame.catalogue.direction,
    )
    return join(_DOCTYPE, page)


def say(frame: Frame, message: str | None = None) -> Markup:
    """Return the place where the visitor is told what became of a choice, with all that may be said there."""
    texts = {f"data_{name}": frame.text(f"say.{name}") for name in _MESSAGES}
    return element("p", message and frame.text(f"say.{message}"), class_="ck-say", role="status", **texts)


def _box(frame: Frame, banner: Markup | None) -> Markup:
    """Return the landmark that holds the banner, closed while there is nothing to ask."""
    layout = frame.policy.layout
    return element(
        "section",
        banner,
        id="ck-box",
        class_=f"ck-box {_CLASSES[layout]}",
        role="dialog" if layout == "dialog" else None,
        aria_label=frame.text("control"),
        hidden=banner is None,
    )


def script_element(urls: Urls, on: frozenset[str]) -> Markup:
    """Return the element that loads the script; `on` are the names that are allowed at present."""
    return element(
        "script",
        src=urls.script,
        defer=True,
        data_home=urls.preferences,
        data_refusal=urls.unsigned_refusal,
        data_on=" ".join(sorted(on)),
    )


def allowed(policy: Policy, consent: Consent) -> frozenset[str]:
    """Return everything that is allowed at present and could be refused."""
    return frozenset(name for name in policy.names if name != NECESSARY and consent.allows(name))


def _honored(policy: Policy, consent: Consent) -> tuple[str, ...]:
    """Return the categories that are off because the browser says so."""
    return tuple(name for name in policy.category_ids if consent.reason(name) is Reason.SIGNAL)
