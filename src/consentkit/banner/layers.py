"""The two layers of a notice, as the visitor sees them and as the ledger keeps them: the same functions make both.

What no argument can change: the controls that accept and refuse are the same element with the same class in the
same row, a toggle is on only if what it stands for is allowed at present, and nothing hides the refusal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

import attrs

from consentkit.banner.catalogue import Catalogue, catalogue
from consentkit.banner.facts import service_facts
from consentkit.banner.markup import Markup, element, join, link
from consentkit.banner.urls import Urls
from consentkit.consent import Consent, Control, Reason
from consentkit.policy import NECESSARY, Category, Model, Policy, Service, localized

__all__ = ["Frame", "Live", "control", "first_layer", "second_layer"]

_FIRST: dict[Model, tuple[tuple[Control, str], ...]] = {
    Model.OPT_IN: ((Control.ACCEPT_ALL, "accept_all"), (Control.REFUSE_ALL, "refuse_all")),
    Model.OPT_OUT: ((Control.ACCEPT_ALL, "accept_all"), (Control.REFUSE_ALL, "refuse_all")),
    Model.IMPLIED: ((Control.ACKNOWLEDGE, "accept"), (Control.REFUSE_ALL, "opt_out")),
    Model.NOTICE: ((Control.ACKNOWLEDGE, "ok"),),
}
# Enter in a toggle presses a form's first button, so that must be the one that keeps to the toggles.
_SECOND = (
    (Control.SAVE, "save"),
    (Control.REFUSE_ALL, "refuse_all"),
    (Control.ACCEPT_ALL, "accept_all"),
)
# What a policy may say in its own words, besides title and introduction: no label of a control that decides.
_OVERRIDABLE = frozenset({"control", "read_more"})


@attrs.frozen(eq=False)
class Frame:
    """What a notice is made from: a policy, its texts in one language, and the model it is shown under."""

    policy: Policy
    catalogue: Catalogue
    model: Model

    @classmethod
    def of(cls, policy: Policy, language: str, model: Model) -> Self:
        """Bring policy and texts together. Raises UnknownLanguage."""
        return cls(policy, catalogue(language), model)

    @property
    def language(self) -> str:
        """The BCP 47 tag of all texts here."""
        return self.catalogue.tag

    def text(self, key: str, **values: str) -> str:
        """Return one of the banner's texts, or what the policy puts in its place."""
        own = self._own(key) if key in _OVERRIDABLE else None
        return own or self.catalogue.text(key, **values)

    def headline(self) -> str:
        """Return the notice's title."""
        return self._own("title") or self.catalogue.text(f"title.{self.model}")

    def introduction(self) -> str:
        """Return what the notice says before it lists the purposes."""
        return self._own(self.model) or self.catalogue.text(f"intro.{self.model}")

    def _own(self, name: str) -> str | None:
        return self.policy.texts.get(self.language, {}).get(name)

    def title(self, category: Category) -> str:
        """Return a category's name."""
        return self._words(category, "title", category.id)

    def description(self, category: Category) -> str:
        """Return what a category is for, in a sentence."""
        return self._words(category, "description", "")

    def service_title(self, service: Service) -> str:
        """Return a service's name."""
        return localized(service.title, self.language, self.policy.languages[0])

    def _words(self, category: Category, what: str, default: str) -> str:
        own = category.title if what == "title" else category.description
        if own is not None:
            return localized(own, self.language, self.policy.languages[0])
        return self.catalogue.texts.get(f"category.{category.id}.{what}", default)


@attrs.frozen(eq=False)
class Live:
    """What a notice on a page has besides its canonical form.

    `notice` is that form's digest, `on` what is allowed at present; `consent` tells the second layer why, and
    `receipt` is the address of the receipt of what was decided, if there is one.
    """

    urls: Urls
    notice: str
    on: frozenset[str]
    consent: Consent | None = None
    receipt: str | None = None


def first_layer(frame: Frame, *, asked: Iterable[Category], signal: bool, live: Live | None = None) -> Markup:
    """Return what is seen first: who asks, what for, how to undo it, and the controls."""
    chosen = [category for category in asked if category.id != NECESSARY]
    text = element(
        "div",
        element("h2", frame.headline()),
        element("p", frame.introduction()),
        element("ul", *(_purpose(frame, category) for category in chosen)),
        _signal_line(frame, shown=signal),
        _small_print(frame),
    )
    controls = element(
        "div",
        element(
            "form",
            _fields(live, frame.policy, chosen, signal=signal, method="banner"),
            *(_button(frame, name, value) for value, name in _FIRST[frame.model]),
            **_target(live),
        ),
        _more(frame, live),
        class_="ck-row",
    )
    return element("div", text, controls, id="ck-first")


def second_layer(frame: Frame, *, signal: bool, live: Live | None = None) -> Markup:
    """Return every category and service with its toggle and all that is declared about it."""
    categories = frame.policy.categories
    return element(
        "form",
        _fields(live, frame.policy, categories, signal=signal, method="preferences"),
        element("button", frame.text("close"), type="button", class_="ck-x", hidden=True),
        element("h2", frame.text("choices.title"), id="ck-h", tabindex="-1"),
        element("p", frame.text("choices.help")),
        _signal_line(frame, shown=signal),
        *(_category(frame, category, live) for category in categories),
        _receipt(frame, live.receipt) if live and live.receipt else None,
        element("div", *(_button(frame, name, value) for value, name in _SECOND), class_="ck-row"),
        id="ck-form",
        **_target(live),
    )


def control(frame: Frame, *, href: str, honored: Iterable[str] = ()) -> Markup:
    """Return the link on every page that opens the choices, and whether the browser's signal was honored.

    `honored` names the categories that are off because of the signal.
    """
    names = " ".join(honored)
    label = frame.text("control")
    return element(
        "nav",
        element("a", label, href=href, class_="ck-open"),
        names and element("span", frame.text("signal.status"), data_ck_signal=names),
        class_="ck-tab",
        aria_label=label,
    )


def _fields(
    live: Live | None, policy: Policy, categories: Iterable[Category], *, signal: bool, method: str
) -> Markup | None:
    """Return what a form posts unseen: what it was built from, what it asks, and what of that is on at present."""
    if live is None:
        return None
    asked = [category.id for category in categories if category.id != NECESSARY]
    services = [service.id for name in asked for service in policy.services_in(name)]
    values = {
        "notice": live.notice,
        "policy": policy.digest,
        "asked": " ".join(asked),
        "shown": " ".join(name for name in asked + services if name in live.on),
        "method": method,
    } | ({"signal": "1"} if signal else {})
    return join(*(element("input", type="hidden", name=name, value=value) for name, value in values.items()))


def _small_print(frame: Frame) -> Markup:
    """Say what no text of the policy's can leave out: how to undo a choice, and who is responsible."""
    who = frame.policy.controller
    return element(
        "p",
        frame.text(f"withdraw.{frame.model}", control=frame.text("control")),
        " ",
        frame.text("responsible", name=who.name),
        " ",
        link(who.privacy_policy, frame.text("privacy_policy")),
    )


def _more(frame: Frame, live: Live | None) -> Markup:
    """Return the control that leads to the second layer, in a form of its own that asks for a page."""
    text = "choose" if frame.model in (Model.OPT_IN, Model.OPT_OUT) else "read_more"
    target = live.urls.preferences if live else "#ck-form"
    return element("form", _button(frame, text, None), method="get", action=target, data_ck="open")


def _target(live: Live | None) -> dict[str, str]:
    return (
        {"method": "post", "action": live.urls.decision, "data_ck": "decide"} if live else {"method": "post"}
    )


def _button(frame: Frame, text: str, value: Control | None) -> Markup:
    """Return a control. There is one kind only, so that none can be more inviting than another."""
    return element("button", frame.text(text), class_="ck-b", name=value and "control", value=value)


def _purpose(frame: Frame, category: Category) -> Markup:
    return element("li", element("b", frame.title(category)), " \u2013 ", frame.description(category))


def _signal_line(frame: Frame, *, shown: bool) -> Markup | None:
    return element("p", frame.text("signal.line"), class_="ck-signal") if shown else None


def _receipt(frame: Frame, address: str) -> Markup:
    return element("p", link(address, frame.text("receipt"), download="receipt.json"), class_="ck-cat")


def _category(frame: Frame, category: Category, live: Live | None) -> Markup:
    title = frame.title(category)
    return element(
        "section",
        element("h3", title, id=f"ck-c-{category.id}"),
        element("p", frame.description(category)),
        *_switch(frame, category, title, live),
        _services(frame, category, live),
        class_="ck-cat",
        aria_labelledby=f"ck-c-{category.id}",
    )


def _switch(frame: Frame, category: Category, title: str, live: Live | None) -> Iterator[Markup]:
    """Return a category's toggle and what holds at present; `necessary` has none, and says so."""
    if category.id == NECESSARY:
        yield element("p", frame.text("always_on"))
        return
    yield _toggle(frame, category.id, title, live)
    if live and live.consent:
        yield element("p", _present(frame, live.consent, category.id))


def _services(frame: Frame, category: Category, live: Live | None) -> Markup | None:
    services = frame.policy.services_in(category.id)
    if not services:
        return None
    names = ", ".join(map(frame.service_title, services))
    each = (_service(frame, service, live, toggled=category.id != NECESSARY) for service in services)
    return element("details", element("summary", frame.text("services", names=names)), *each)


def _service(frame: Frame, service: Service, live: Live | None, *, toggled: bool) -> Markup:
    title = frame.service_title(service)
    return join(
        element("h4", title),
        _toggle(frame, service.id, title, live) if toggled else None,
        service_facts(frame.catalogue, frame.policy, service),
    )


def _toggle(frame: Frame, name: str, title: str, live: Live | None) -> Markup:
    """Return a toggle, on if what it stands for is allowed at present and off otherwise."""
    on = name in live.on if live else frame.model is not Model.OPT_IN
    box = element("input", type="checkbox", name="on", value=name, checked=on)
    return element("label", box, element("span", frame.text("allow", name=title)))


def _present(frame: Frame, consent: Consent, name: str) -> str:
    """Say what holds now and why."""
    allowed, reason = consent.allows(name), consent.reason(name)
    side = "on" if allowed else "off"
    key = f"reason.{reason}.{side}" if reason is Reason.DEFAULT else f"reason.{reason}"
    return frame.text(f"now.{side}", reason=frame.text(key))
