"""consentkit's own pages: the choices, and the declaration of all that the site uses."""

from __future__ import annotations

from collections.abc import Iterator

from consentkit.banner.facts import service_facts, stored_item
from consentkit.banner.layers import Frame, Live, second_layer
from consentkit.banner.markup import Markup, element, encode, join, link
from consentkit.banner.notice import Notice, allowed, document, say, script_element
from consentkit.banner.urls import Urls
from consentkit.consent import Consent, Reason
from consentkit.consent.cookie import REFUSAL_LIFETIME
from consentkit.policy import NECESSARY, Category, Lifetime, Policy

__all__ = ["declaration_page", "error_page", "preferences_page"]


def preferences_page(
    policy: Policy,
    notice: Notice,
    *,
    consent: Consent,
    signals_shown: bool,
    urls: Urls,
    message: str | None = None,
    ticket: str | None = None,
) -> bytes:
    """Return the page of choices: what holds now and why, and a form to change it. A whole document, ASCII only.

    `message` says what became of a choice just made: "saved", "local" (a refusal that could not be recorded),
    "again" (a grant did not take effect), or "failed". The receipt is offered to whoever granted something, for then
    there is an entry in the log that the browser leads to, and to whoever has a `ticket` to it.
    """
    frame = Frame.of(policy, notice.language, notice.model)
    receipt = f"{urls.receipt}?of={ticket}" if ticket else urls.receipt if _granted(policy, consent) else None
    live = Live(urls, notice.digest, allowed(policy, consent), consent, receipt)
    title = frame.text("control")
    body = element(
        "main",
        say(frame, message),
        element("h1", title),
        second_layer(frame, signal=signals_shown, live=live),
        element("p", link(urls.declaration, frame.text("declaration.title"))),
        *_about(frame, urls),
        class_="ck-page",
    )
    script = script_element(urls, live.on)
    return encode(document(frame, title, body, *_head(urls), script))


def declaration_page(policy: Policy, language: str, *, urls: Urls) -> bytes:
    """Return the page that lists every service with provider, recipients, cookies and other storage.

    A whole document, ASCII only, the same for every visitor. Raises UnknownLanguage.
    """
    frame = Frame.of(policy, language, policy.fallback.model)
    title = frame.text("declaration.title")
    body = element(
        "main",
        element("h1", title),
        element("p", frame.text("declaration.intro")),
        *(_declared(frame, category, urls) for category in policy.categories),
        element("p", link(urls.preferences, frame.text("control"))),
        *_about(frame, urls),
        class_="ck-page",
    )
    return encode(document(frame, title, body, *_head(urls)))


def error_page(policy: Policy, language: str, text: str, *, urls: Urls) -> bytes:
    """Return the page for a request that is refused: `text` names one of the banner's texts, such as "error.404".

    One that is not there is taken for "error.400". A whole document, ASCII only. Raises UnknownLanguage.
    """
    frame = Frame.of(policy, language, policy.fallback.model)
    sentence = frame.text(text if text in frame.catalogue.texts else "error.400")
    title = frame.text("control")
    body = element(
        "main",
        element("h1", title),
        element("p", sentence),
        element("p", link(urls.preferences, frame.text("choices.title"))),
        element("p", link(urls.home, frame.text("back"))),
        class_="ck-page",
    )
    return encode(document(frame, title, body, *_head(urls)))


def _declared(frame: Frame, category: Category, urls: Urls) -> Markup:
    services = frame.policy.services_in(category.id)
    facts = [
        join(
            element("h3", frame.service_title(service)),
            service_facts(frame.catalogue, frame.policy, service, full=True),
        )
        for service in services
    ]
    own = [_own_cookies(frame, urls)] if category.id == NECESSARY else []
    return element(
        "section",
        element("h2", frame.title(category), id=f"ck-c-{category.id}"),
        element("p", frame.description(category)),
        *(own + facts or [element("p", frame.text("declaration.empty"))]),
        class_="ck-cat",
        aria_labelledby=f"ck-c-{category.id}",
    )


def _own_cookies(frame: Frame, urls: Urls) -> Markup:
    """Declare what consentkit itself stores: the choice, and for visitors who granted something its record's id."""
    kept = frame.catalogue.duration(Lifetime(REFUSAL_LIFETIME // 86_400, "day"))
    kind = frame.text("kind.first")
    stored = (
        stored_item(name, frame.text("stored.purpose", kind=kind, duration=kept, purpose=frame.text(why)))
        for name, why in ((urls.cookie, "own.purpose"), (f"{urls.cookie}-id", "own.id.purpose"))
    )
    return join(
        element("h3", frame.text("own.title")),
        element("dl", element("dt", frame.text("fact.stored")), *stored),
    )


def _about(frame: Frame, urls: Urls) -> Iterator[Markup]:
    """Say who is responsible, and lead to the privacy policy and back to the site."""
    who = frame.policy.controller
    place = f"{who.name}, {who.address}" if who.address else frame.catalogue.place(who.name, who.country)
    mail = "@" in who.contact and not who.contact.lower().startswith(("http:", "https:", "mailto:"))
    contact = link(f"mailto:{who.contact}" if mail else who.contact, frame.text("contact"))
    yield element(
        "p",
        frame.text("responsible", name=place),
        " ",
        contact,
        " \u00b7 ",
        link(who.privacy_policy, frame.text("privacy_policy")),
    )
    yield element("p", link(urls.home, frame.text("back")))


def _granted(policy: Policy, consent: Consent) -> bool:
    return any(consent.reason(name) is Reason.GRANTED for name in policy.names)


def _head(urls: Urls) -> tuple[Markup, ...]:
    """Return what the pages' heads share; the referrer policy keeps `Origin` on posts and tells nobody else."""
    return (
        element("meta", name="referrer", content="same-origin"),
        element("meta", name="robots", content="noindex"),
        element("link", rel="stylesheet", href=urls.style),
    )
