"""The banner in a browser without JavaScript: plain links and forms do everything."""

from __future__ import annotations

import pytest

from tests.banner.world import LANGUAGES
from tests.browser.banner_site import Site


@pytest.fixture
def open_site(visit, banner_site):
    """Open a site without JavaScript; give the page and the site."""

    def start(*arguments, **options):
        site = banner_site(*arguments, **options)
        page = visit(javascript=False).new_page()
        page.goto(site.url)
        return page, site

    return start


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("value", "allowed"), [("accept", 7), ("refuse", 0)])
def test_one_click_answers_everything(open_site, value: str, allowed: int, language: str) -> None:
    """Accepting and refusing take the same single step, and lead back to the page without the banner."""
    page, site = open_site("FR", language=language)
    with page.expect_navigation():
        page.click(f"#ck-first [value={value}]")
    assert page.url == f"{site.url}/"
    assert len(site.allowed()) == allowed
    assert not page.is_visible("#ck-box")
    assert page.is_visible(".ck-open")
    assert not site.consent.needs_prompt


def test_choosing_leads_to_a_page_where_everything_is_off(open_site) -> None:
    """A ticked category allows all of its services; the page then says so."""
    page, site = open_site("FR")
    page.click("#ck-first form[method=get] button")
    assert page.url.partition("?")[0] == f"{site.url}/consent"
    assert page.locator("input:checked").count() == 0
    page.check("[value=analytics]")
    page.click("[name=control][value=save]")
    assert site.allowed() == {"analytics", "counter"}
    assert page.is_checked("[value=analytics]")
    assert "Allowed at present: you agreed to it." in page.inner_text("main")


def test_single_services_can_be_chosen(open_site) -> None:
    """One of a category's services without the others."""
    page, site = open_site("FR")
    page.click("#ck-first form[method=get] button")
    page.locator("summary", has_text="Clips").click()
    page.check("[value=marketing]")
    page.check("[value=video]")
    page.click("[value=save]")
    assert site.allowed() == {"marketing", "video"}


def test_the_control_on_every_page_leads_to_withdrawal_in_one_step(open_site) -> None:
    """Granting took one click on the banner, withdrawing takes one on the page of choices."""
    page, site = open_site("FR")
    page.click("[value=accept]")
    page.click(".ck-open")
    page.click("[value=refuse]")
    assert site.allowed() == set()
    assert "Not allowed at present: you refused it." in page.inner_text("main")


def test_unticking_a_category_refuses_its_services_too(open_site) -> None:
    """Though their own toggles were left as they were shown."""
    page, site = open_site("FR")
    page.click("[value=accept]")
    page.click(".ck-open")
    page.uncheck("[value=marketing]")
    page.click("[value=save]")
    assert site.allowed() == {"preferences", "analytics", "games", "counter"}


def test_the_familiar_flow_runs_where_consent_is_implied(open_site) -> None:
    """Allowed from the start; Accept acknowledges, Read more shows what, the control reopens, opting out works."""
    page, site = open_site("AU")
    assert len(site.allowed()) == 7
    assert [b.inner_text() for b in page.locator("#ck-first button").all()] == [
        "Accept",
        "Opt out",
        "Read more",
    ]
    page.click("[value=acknowledge]")
    assert not site.consent.needs_prompt
    page.click(".ck-open")
    page.click("[value=refuse]")
    assert site.allowed() == set()


def test_the_browsers_signal_is_honored_and_can_be_overridden_knowingly(open_site) -> None:
    """The page says so; an express choice with the line shown counts for more than the signal."""
    page, site = open_site("US-CA", gpc=True)
    assert "Opt-out request honored" in page.inner_text("#ck .ck-tab")
    assert "ads" not in site.allowed()
    page.click(".ck-open")
    page.check("[value=marketing]")
    page.click("[value=save]")
    assert "ads" in site.allowed()
    assert site.posts[-1]["signal"] == ["1"]


def test_enter_in_a_toggle_saves_and_does_not_accept(open_site) -> None:
    """Browsers press a form's first button then."""
    page, site = open_site("FR")
    page.click("#ck-first form[method=get] button")
    page.focus("[value=analytics]")
    page.keyboard.press("Space")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert site.posts[-1]["control"] == ["save"]
    assert site.allowed() == {"analytics", "counter"}


def test_keys_reach_everything_and_show_where_they_are(open_site) -> None:
    """From the first press of Tab, in the order of reading, with an outline around what has the focus."""
    page, _ = open_site("FR")
    found = []
    for _ in range(4):
        page.keyboard.press("Tab")
        found.append(page.evaluate("document.activeElement.textContent"))
        style = page.evaluate(
            "(s => [s.outlineStyle, s.outlineWidth])(getComputedStyle(document.activeElement))"
        )
        assert style == ["solid", "3px"]
    assert found == ["Privacy policy", "Accept all", "Refuse all", "Choose"]


def test_the_kept_form_is_inert(visit, banner_site) -> None:
    """Opened from an archive, it fetches nothing and runs nothing."""
    site: Site = banner_site("FR")
    page = visit(offline=False).new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{site.url}/kept")
    assert requests == [f"{site.url}/kept"]
    assert page.locator("#ck-first button").count() == 3
    assert page.is_visible("#ck-form")
