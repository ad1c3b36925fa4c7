"""The banner's script: the same answers without a page load, and a refusal that holds whatever happens."""

from __future__ import annotations

import pytest

from consentkit.consent import Control
from tests.banner.world import decided
from tests.browser.banner_site import URLS

REFUSED = "consent=0.refused"


@pytest.fixture
def open_site(visit, banner_site):
    """Open a site with JavaScript; give the page and the site. Changes are noted in `window.changes`."""

    def start(*arguments, **options):
        site = banner_site(*arguments, **options)
        context = visit()
        context.add_init_script(
            "window.changes = [];document.addEventListener('consentkit:change', e => changes.push(e.detail))"
        )
        page = context.new_page()
        page.on("pageerror", lambda error: pytest.fail(f"the script failed: {error}"))
        page.goto(site.url)
        return page, site

    return start


def said(page, text: str) -> None:
    """Wait until the visitor is told."""
    page.wait_for_function("text => document.querySelector('.ck-say').textContent.includes(text)", arg=text)


def much_later(page) -> None:
    """Let two minutes pass, the browser come online, and whatever is sent then arrive."""
    page.clock.run_for(120_000)
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(150)


def open_choices(page) -> None:
    """Open the choices by whatever control is there, and wait for them."""
    first = page.locator("#ck-first form[method=get] button")
    (first if first.is_visible() else page.locator(".ck-open")).click()
    page.wait_for_selector("#ck-box #ck-form")


@pytest.mark.parametrize(("value", "allowed"), [("accept", 7), ("refuse", 0)])
def test_an_answer_needs_no_page_load(open_site, value: str, allowed: int) -> None:
    """The banner goes, the control comes, other scripts hear what is allowed now."""
    page, site = open_site("FR")
    page.click(f"#ck-first [value={value}]")
    said(page, "Your choice is saved.")
    assert not page.is_visible("#ck-box")
    assert page.is_visible(".ck-open")
    assert site.pages == 1
    assert len(site.allowed()) == allowed
    assert set(page.evaluate("changes[0].granted")) - {"necessary", "login"} == site.allowed()
    assert site.posts[0]["method"] == ["banner"]


def test_nothing_takes_the_focus_when_the_page_loads(open_site) -> None:
    """Whoever reads or types goes on doing so."""
    page, _ = open_site("FR")
    assert page.evaluate("document.activeElement === document.body")


def test_the_choices_open_in_place_and_close_again(open_site) -> None:
    """The focus goes to their heading, and back to where it came from; closing decides nothing."""
    page, site = open_site("FR")
    open_choices(page)
    assert page.evaluate("document.activeElement.id") == "ck-h"
    assert not page.is_visible("#ck-first")
    page.click(".ck-x")
    assert page.is_visible("#ck-first")
    assert page.evaluate("document.activeElement.textContent") == "Choose"
    open_choices(page)
    page.keyboard.press("Escape")
    assert page.is_visible("#ck-first")
    assert (site.posts, site.pages) == ([], 1)


def test_the_control_reopens_what_was_decided(open_site) -> None:
    """In place, with the toggles as they are now, and with withdrawal one click away."""
    page, site = open_site("FR")
    page.click("[value=accept]")
    said(page, "choice is saved")
    open_choices(page)
    assert page.locator("#ck-form input:checked").count() == 7
    page.evaluate("document.querySelector('.ck-say').textContent = ''")  # what was said before stays a while
    page.click("#ck-form [value=refuse]")
    said(page, "choice is saved")
    assert site.allowed() == set()
    assert site.pages == 1
    assert page.evaluate("document.activeElement.className") == "ck-open"


def test_a_category_moves_its_services_along(open_site) -> None:
    """What is ticked is what is posted, and the last service to go takes its category along."""
    page, site = open_site("FR")
    open_choices(page)
    page.locator("#ck-form summary", has_text="Clips").click()
    page.check("[value=marketing]")
    assert page.is_checked("[value=ads]")
    assert page.is_checked("[value=video]")
    page.uncheck("[value=ads]")
    assert page.is_checked("[value=marketing]")
    page.uncheck("[value=video]")
    assert not page.is_checked("[value=marketing]")
    page.check("[value=video]")
    page.click("[value=save]")
    said(page, "choice is saved")
    assert site.allowed() == {"video"}


def test_a_service_kept_after_its_category_was_unticked_is_kept(open_site) -> None:
    """The category is ticked again then, for one that was unticked takes all of its services with it."""
    page, site = open_site("FR", decisions=decided(Control.SAVE, "marketing", "ads", "video"))
    open_choices(page)
    page.locator("#ck-form summary", has_text="Clips").click()
    page.uncheck("[value=marketing]")
    assert not page.is_checked("[value=video]")
    page.check("[value=video]")
    assert page.is_checked("[value=marketing]")
    page.click("[value=save]")
    said(page, "choice is saved")
    assert site.allowed() == {"marketing", "video"}


@pytest.mark.parametrize("fault", ["gone", 503])
def test_a_refusal_holds_when_the_server_is_away_and_is_sent_later(open_site, fault: int | str) -> None:
    """The cookie that refuses everything is written at once; the record follows when the server is back."""
    page, site = open_site("FR", decisions=decided(Control.SAVE, "games"))
    site.fault = fault
    page.clock.install()
    open_choices(page)
    page.click("#ck-form [value=refuse]")
    said(page, "Your refusal holds in this browser")
    assert page.evaluate("document.cookie") == REFUSED
    assert page.evaluate("changes") == [{"granted": [], "deviceOnly": True}]
    assert not page.is_visible("#ck-box")
    site.fault = None
    page.clock.run_for(11_000)
    said(page, "Your choice is saved.")
    assert site.allowed() == set()
    assert [post["control"] for post in site.posts] == [["refuse"], ["refuse"]]


def test_a_refusal_is_sent_at_once_when_the_browser_is_online_again(open_site) -> None:
    """Without waiting for the next attempt."""
    page, site = open_site("FR")
    site.fault = "gone"
    page.click("[value=refuse]")
    said(page, "holds in this browser")
    site.fault = None
    page.evaluate("dispatchEvent(new Event('online'))")
    said(page, "choice is saved")
    assert len(site.posts) == 2


def test_a_refusal_that_the_server_rejects_holds_and_is_not_repeated(open_site) -> None:
    """It would be rejected again."""
    page, site = open_site("FR")
    site.fault = 403
    page.clock.install()
    page.click("[value=refuse]")
    said(page, "holds in this browser")
    assert page.evaluate("document.cookie") == REFUSED
    much_later(page)
    assert len(site.posts) == 1


@pytest.mark.parametrize(("region", "control"), [("FR", "accept"), ("AU", "acknowledge")])
@pytest.mark.parametrize("fault", ["gone", 503])
def test_a_grant_that_failed_is_told_and_never_repeated(
    open_site, region: str, control: str, fault: int | str
) -> None:
    """The banner stays, nothing is written, and it is for the visitor to try again."""
    page, site = open_site(region)
    site.fault = fault
    page.clock.install()
    page.click(f"[value={control}]")
    said(page, "nothing was changed")
    assert page.is_visible("#ck-first")
    assert page.evaluate("[document.cookie, changes.length]") == ["", 0]
    site.fault = None
    much_later(page)
    assert len(site.posts) == 1


def test_of_a_mixed_choice_that_failed_the_refusal_holds_and_no_grant_is_repeated(open_site) -> None:
    """Nothing less than refusing everything can be written without the server; the visitor is told."""
    page, site = open_site("FR", decisions=decided(Control.SAVE, "games", "analytics"))
    site.fault = "gone"
    page.clock.install()
    open_choices(page)
    page.uncheck("[value=games]")
    page.click("[value=save]")
    said(page, "Everything is refused in this browser for now")
    assert page.evaluate("document.cookie") == REFUSED
    much_later(page)
    assert len(site.posts) == 1


def test_a_grant_takes_the_place_of_a_refusal_that_waits_to_be_sent(open_site) -> None:
    """The newest decision counts, the old one is not sent any more."""
    page, site = open_site("FR")
    site.fault = "gone"
    page.clock.install()
    page.click("[value=refuse]")
    said(page, "holds in this browser")
    site.fault = None
    open_choices(page)
    page.click("#ck-form [value=accept]")
    said(page, "choice is saved")
    much_later(page)
    assert [post["control"] for post in site.posts] == [["refuse"], ["accept"]]
    assert len(site.allowed()) == 7


def test_one_decision_at_a_time_and_the_newest_replaces_one_that_waits(open_site) -> None:
    """Of three quick clicks, the first is on its way, the second is forgotten, the third is sent."""
    page, site = open_site("FR")
    site.gate.clear()
    page.click("[value=accept]")
    page.click("[value=accept]")
    page.click("[value=refuse]")
    page.wait_for_timeout(100)
    assert len(site.posts) == 1
    site.gate.set()
    said(page, "choice is saved")
    assert [post["control"] for post in site.posts] == [["accept"], ["refuse"]]
    assert site.allowed() == set()


def test_a_refusal_that_only_this_browser_knows_is_told(open_site) -> None:
    """When the server could not record it."""
    page, site = open_site("FR")
    site.answer = {"deviceOnly": True}
    page.click("[value=refuse]")
    said(page, "could not be recorded on the server")
    assert not page.is_visible("#ck-box")


@pytest.mark.parametrize("value", ["accept", "refuse"])
def test_the_choices_have_the_receipt_of_what_was_just_decided(open_site, value: str) -> None:
    """For those too who carry nothing that leads to one, on the page where they refused."""
    page, _ = open_site("FR")
    page.click(f"#ck-first [value={value}]")
    said(page, "Your choice is saved.")
    page.click(".ck-open")
    page.wait_for_selector("#ck-form")
    assert page.get_by_text("Receipt of your choice").get_attribute("href") == "/consent/receipt?of=a-ticket"


@pytest.mark.parametrize("value", ["accept", "refuse"])
def test_a_choice_whose_cookie_the_browser_drops_is_not_called_saved(open_site, value: str) -> None:
    """As one that is Secure is dropped over plain http, without a word; here it is another site's."""
    page, site = open_site("FR")
    site.keep = "consent=1.something; Path=/; Domain=example.org"
    page.click(f"#ck-first [value={value}]")
    said(page, "could not be kept")
    assert "saved" not in page.locator(".ck-say").inner_text()


def test_a_refusal_that_neither_server_nor_browser_keeps_is_told(open_site) -> None:
    """The script's own cookie may be dropped as well."""
    page, site = open_site("FR")
    site.fault = 400
    page.evaluate("Object.defineProperty(document, 'cookie', {get: () => '', set: () => {}})")
    page.click("#ck-first [value=refuse]")
    said(page, "could not be kept")


def test_a_grant_that_was_dropped_is_asked_again_with_the_present_choices(open_site) -> None:
    """The page may be older than the policy, so the choices are fetched anew."""
    page, site = open_site("FR")
    site.answer = {"grantsDropped": True}
    page.click("[value=accept]")
    said(page, "Please choose again.")
    assert page.is_visible("#ck-box #ck-form")
    site.answer = {}
    page.click("#ck-form [value=accept]")
    said(page, "choice is saved")
    assert len(site.allowed()) == 7


def test_the_page_of_choices_is_brought_up_to_date(visit, banner_site) -> None:
    """With the script, saving there loads nothing but the form."""
    site = banner_site("FR")
    page = visit().new_page()
    page.goto(f"{site.url}/consent")
    page.check("[value=games]")
    page.click("[value=save]")
    said(page, "choice is saved")
    page.wait_for_function("document.body.textContent.includes('Allowed at present: you agreed to it.')")
    assert page.is_checked("[type=checkbox][value=games]")
    assert page.locator("form").count() == 1
    assert not page.is_visible(".ck-x")


def test_the_status_of_the_signal_goes_when_it_is_overridden(open_site) -> None:
    """And stays as long as the signal keeps something off."""
    page, site = open_site("US-CA", gpc=True)
    assert page.is_visible("[data-ck-signal]")
    open_choices(page)
    page.check("[value=games]")
    page.check("[value=marketing]")
    page.click("[value=save]")
    said(page, "choice is saved")
    assert "ads" in site.allowed()
    assert not page.is_visible("[data-ck-signal]")


WAITING = '<script type="text/plain" data-consent="%s" data-x="1">ran.push([document.currentScript.dataset.x, "%s"])</script>'


def test_scripts_that_wait_for_consent_start_with_it(open_site) -> None:
    """Those of what is allowed, categories and services alike, once; the others stay text."""
    body = "<script>ran = []</script>" + "".join(
        WAITING % (name, name) for name in ("analytics", "video", "games")
    )
    page, _ = open_site("FR", body=body)
    assert page.evaluate("ran") == []
    open_choices(page)
    page.locator("#ck-form summary", has_text="Clips").click()
    page.check("[value=analytics]")
    page.check("[value=video]")
    page.click("[value=save]")
    said(page, "choice is saved")
    assert page.evaluate("ran") == [["1", "analytics"], ["1", "video"]]
    page.reload()
    assert page.evaluate("ran") == [["1", "analytics"], ["1", "video"]]


STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; require-trusted-types-for 'script'; trusted-types 'none'"  # fmt: skip


def test_a_strict_content_security_policy_is_enough(open_site) -> None:
    """Own files only, nothing inline, no eval, trusted types demanded: everything works."""
    page, site = open_site("FR", headers={"Content-Security-Policy": STRICT})
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    open_choices(page)
    assert page.evaluate("getComputedStyle(document.querySelector('.ck-b')).minHeight") == "44px"
    page.check("[value=games]")
    page.click("[value=save]")
    said(page, "choice is saved")
    assert site.allowed() == {"games"}
    assert [text for text in troubles if "favicon" not in text and "404" not in text] == []


def test_without_the_choices_at_hand_the_link_leads_to_their_page(open_site) -> None:
    """Whatever keeps the script from opening them in place."""
    page, site = open_site("FR")
    page.route(
        "**/consent",
        lambda route: route.abort() if route.request.resource_type == "xhr" else route.continue_(),
    )
    page.click("#ck-first form[method=get] button")
    page.wait_for_url(f"{site.url}/consent")
    assert page.is_visible("#ck-form")


def test_other_keys_and_buttons_keep_their_meaning(open_site) -> None:
    """A click with Ctrl on the control opens its page elsewhere, as on any link."""
    page, site = open_site("FR", decisions=decided(Control.REFUSE_ALL))
    with page.context.expect_page() as opened:
        page.click(".ck-open", modifiers=["Control"])
    assert opened.value.url == f"{site.url}/consent"
    assert not page.is_visible("#ck-form")


def test_forms_of_the_page_are_left_alone(open_site) -> None:
    """The script minds its own forms only."""
    page, _ = open_site(
        "FR", body='<form action="/elsewhere"><input name="dataset"><button id="go">Go</button></form>'
    )
    page.click("#go")
    page.wait_for_url("**/elsewhere?dataset=")


def test_a_second_script_element_changes_nothing(open_site) -> None:
    """Templates may place it twice."""
    again = f'<script src="{URLS.script}" defer data-on="" data-home="/consent" data-refusal="x=1"></script>'
    page, site = open_site("FR", body=again, decisions=decided(Control.REFUSE_ALL))
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    open_choices(page)
    page.click("#ck-form [value=accept]")
    said(page, "choice is saved")
    assert fetched == [f"{site.url}/consent", f"{site.url}/consent/decision"]


def test_coming_back_to_a_page_whose_banner_was_answered_elsewhere(open_site) -> None:
    """A page kept in memory drops its banner if the consent cookie has changed meanwhile."""
    page, _ = open_site("FR")
    back = "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))"
    page.evaluate(f"document.cookie = 'other=1'; {back}")
    assert page.is_visible("#ck-first")
    page.evaluate(f"document.cookie = 'consent=1.abcd'; {back}")
    assert not page.is_visible("#ck-box")
