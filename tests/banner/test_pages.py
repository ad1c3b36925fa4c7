"""consentkit's own pages: the choices and the declaration."""

from __future__ import annotations

import pytest

from consentkit.banner import catalogue, declaration_page, preferences_page
from consentkit.consent import NOTHING, Control, Decisions, Reason, Signals
from consentkit.policy import Model, Policy
from tests.banner import world
from tests.banner.dom import Node, read


def choices(
    region: str = "FR",
    decisions: Decisions = NOTHING,
    signals: Signals = world.NO_SIGNALS,
    language: str = "en",
    message: str | None = None,
) -> Node:
    """Render the page of choices for a visitor."""
    consent = world.consent(region, decisions, signals)
    notice = world.notice(consent.regime.model, language)
    return read(
        preferences_page(
            world.POLICY, notice, consent=consent, signals_shown=signals.gpc, urls=world.URLS, message=message
        )
    )


def section(page: Node, category: str) -> str:
    """Give what the page says about a category."""
    return page.one("section", **{"aria-labelledby": f"ck-c-{category}"}).text


@pytest.mark.parametrize(
    ("category", "region", "decisions", "gpc", "reason", "words"),
    [
        ("games", "FR", NOTHING, False, Reason.DEFAULT, "Not allowed at present: you have not agreed to it."),
        ("games", "AU", NOTHING, False, Reason.DEFAULT, "Allowed at present: you have not objected to it."),
        ("games", "FR", world.decided(Control.SAVE, "games"), False, Reason.GRANTED, "Allowed at present: you agreed to it."),
        ("games", "FR", world.decided(Control.REFUSE_ALL), False, Reason.REFUSED, "Not allowed at present: you refused it."),
        ("marketing", "US-CA", NOTHING, True, Reason.SIGNAL, "Not allowed at present: your browser sends an opt-out signal"),
        ("analytics", "IT", NOTHING, False, Reason.EXEMPT, "Allowed at present: it needs no consent in your region"),
        ("games", "FR", Decisions(unreadable=True), False, Reason.UNREADABLE, "Not allowed at present: your earlier choice cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, Reason) else None,
)  # fmt: skip
def test_the_page_says_what_holds_and_why(
    category: str, region: str, decisions: Decisions, gpc: bool, reason: Reason, words: str
) -> None:
    """One sentence for every reason that there is."""
    signals = Signals(gpc=gpc)
    assert world.consent(region, decisions, signals).reason(category) is reason
    assert words in section(choices(region, decisions, signals), category)


def test_every_reason_is_put_into_words() -> None:
    """A new reason needs new words, in every language."""
    for language in world.LANGUAGES:
        texts = catalogue(language).texts
        for reason in Reason:
            assert {f"reason.{reason}", f"reason.{reason}.on", f"reason.{reason}.off"} & texts.keys()


def test_withdrawing_takes_as_many_steps_as_granting() -> None:
    """The page has both in the same row, whatever was decided."""
    for decisions in (NOTHING, world.decided(Control.ACCEPT_ALL), world.decided(Control.REFUSE_ALL)):
        row = choices(decisions=decisions).one(class_="ck-row")
        assert [button.text for button in row.all("button")] == ["Save", "Refuse all", "Accept all"]


def test_the_form_posts_as_the_contract_says() -> None:
    """The same fields as the banner, from the page of choices."""
    page = choices("US-CA", signals=world.GPC)
    form = page.one(id="ck-form")
    fields = {node["name"]: node["value"] for node in form.all("input", type="hidden")}
    assert (form["method"], form["action"]) == ("post", "/consent/decision")
    assert fields == {
        "notice": world.notice(Model.OPT_OUT).digest,
        "policy": world.POLICY.digest,
        "asked": "preferences analytics marketing games",
        "shown": "preferences analytics games counter",
        "method": "preferences",
        "signal": "1",
    }


def test_a_receipt_is_offered_to_those_who_granted_something() -> None:
    """Of a visitor who only refused, nothing is kept that could be looked up."""
    assert "Receipt of your choice" in choices(decisions=world.decided(Control.SAVE, "games")).text
    assert "Receipt of your choice" not in choices(decisions=world.decided(Control.REFUSE_ALL)).text


@pytest.mark.parametrize("message", ["saved", "local", "mixed", "again", "failed"])
def test_the_page_tells_what_became_of_a_choice(message: str) -> None:
    """In the place that screen readers announce, and where the script says the same."""
    said = choices(message=message).one(class_="ck-say")
    assert said.text == said[f"data-{message}"] != ""
    assert said["role"] == "status"
    assert choices().one(class_="ck-say").text == ""


def test_the_declaration_lists_everything() -> None:
    """Services with provider, country, purposes, recipients, legal basis, servers, cookies and other storage."""
    page = read(declaration_page(world.POLICY, "en", urls=world.URLS))
    rows = {node.text for node in page.all("dd")}
    assert {
        "Ad Exchange Inc. (United States)",
        "Chooses advertisements.",
        "Measure BV (Netherlands)",
        "adx cookie of another site, 90 days",
        "*.adx.example",
        "consent",
        "strictly necessary",
        "session cookie of this site, until the browser is closed",
        "_tally_* cookie of this site, 13 months: Tells readers apart.",
        "tally.* local storage, 1 day",
        "Nothing",
    } <= rows
    assert {node.text for node in page.all("dt")} == {
        "Provider", "Purposes", "Recipients", "Stored on your device", "Legal basis", "Servers contacted",
    }  # fmt: skip
    assert [node.text for node in page.all("h2")] == [
        "Necessary", "Preferences", "Audience measurement", "Advertising", "Games",
    ]  # fmt: skip
    assert "No service in this category." in section(page, "games")


def test_the_declaration_does_not_forget_consentkits_own_cookies() -> None:
    """By the names that they have on this host, each with its lifetime and what it is for."""
    page = read(declaration_page(world.POLICY, "en", urls=world.Urls.under("/c", cookie="consent")))
    assert {"consent", "consent-id"} <= {node.text for node in page.all("code")}
    told = section(page, "necessary")
    assert "consent cookie of this site, 400 days: Remembers what you allow and refuse" in told
    assert "consent-id cookie of this site, 400 days: Only if you allow something" in told


@pytest.mark.parametrize("language", world.LANGUAGES)
def test_the_pages_are_whole_documents_that_fetch_only_our_own_files(language: str) -> None:
    """ASCII, in the language asked for, readable on a small screen, with nothing inline."""
    for page in (choices(language=language), read(declaration_page(world.POLICY, language, urls=world.URLS))):
        assert page.one("html")["lang"] == language
        assert page.one("meta", name="viewport")["content"] == "width=device-width"
        assert page.one("meta", name="referrer")["content"] == "same-origin"
        assert page.one("link", rel="stylesheet")["href"] == world.URLS.style
        assert {script["src"] for script in page.all("script")} <= {world.URLS.script}
        assert not page.all("style")
        assert len(page.all("h1")) == len(page.all("main")) == 1
        assert page.one("title").text == page.one("h1").text


@pytest.mark.parametrize(
    ("contact", "href"),
    [
        ("privacy@harbour.example", "mailto:privacy@harbour.example"),
        ("https://harbour.example/@contact", "https://harbour.example/@contact"),
    ],
)
def test_the_controller_can_be_reached(contact: str, href: str) -> None:
    """By mail or on the web, as the policy says, with the address if there is one."""
    changed = world.document()
    changed["controller"] |= {"contact": contact, "address": "1 Quay, Cork"}
    page = read(declaration_page(Policy.from_dict(changed), "en", urls=world.URLS))
    assert href in {node["href"] for node in page.all("a")}
    assert "Harbour News, 1 Quay, Cork." in page.text


def test_categories_come_in_the_policys_order() -> None:
    """In both layers and on the declaration, necessary first."""
    changed = world.document(notice={"layout": "bar", "order": ["games", "marketing"]})
    page = read(declaration_page(Policy.from_dict(changed), "en", urls=world.URLS))
    assert [node.text for node in page.all("h2")][:3] == ["Necessary", "Games", "Advertising"]
