"""The newspaper, consentkit around it, and a panel that shows what was really seen."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from consentkit.cli.demo_check.page import Form, Page, parse_page
from consentkit.cli.demo_site.bench import Bench, open_demo
from consentkit.cli.demo_site.content import articles, asset, words
from consentkit.cli.demo_site.folder import demo_folder
from consentkit.cli.demo_site.site import courier
from consentkit.cli.demo_site.switches import Switches, cookies_in

BASE = "http://127.0.0.1:8000"
OWN = {"origin": BASE, "sec-fetch-site": "same-origin", "referer": f"{BASE}/news/tide-clock"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The demo, open."""
    with demo_folder(tmp_path_factory.mktemp("demo")) as folder, open_demo(folder) as bench:
        yield bench


class Browser:
    """A client with cookies, run to completion call by call."""

    def __init__(self, app: Bench) -> None:
        self.app, self.cookies = app, httpx.Cookies()

    def request(self, method: str, path: str, **options: object) -> httpx.Response:
        import asyncio

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=self.cookies) as client:
                response = await client.request(method, path, **options)
                self.cookies = client.cookies
                return response

        return asyncio.run(run())

    def page(self, path: str = "/news/tide-clock") -> Page:
        response = self.request("GET", path)
        assert response.status_code == 200
        return parse_page(response.text)

    def post(self, path: str, data: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        return self.request("POST", path, data=data or {}, headers=OWN | headers)

    def switch(self, **switches: str) -> None:
        assert self.post("/demo/switch", switches).status_code == 303

    def decide(self, form: Form, control: str) -> httpx.Response:
        return self.post(form.action, {**form.fields, "control": control})


@pytest.fixture
def browser(app: Bench) -> Browser:
    return Browser(app)


# The newspaper


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_article_is_there_in_every_language(language: str) -> None:
    """Both languages have the same articles, each with a body, and the same words."""
    assert [one.slug for one in articles(language)] == [one.slug for one in articles("en")]
    assert all(len(one.body) >= 3 and one.lead and one.title for one in articles(language))
    assert words(language).keys() == words("en").keys()


@pytest.mark.parametrize("slug", [one.slug for one in articles("en")])
def test_an_article_shows_itself_and_leads_to_others(browser: Browser, slug: str) -> None:
    """Its whole body is on the page, and links to other articles."""
    page = browser.page(f"/news/{slug}")
    article = next(one for one in articles("en") if one.slug == slug)
    assert all(text in page.text() for text in (article.title, *article.body))
    assert len({link for link in page.links if link.startswith("/news/") and link != f"/news/{slug}"}) >= 3


def test_the_front_page_leads_to_every_article(browser: Browser) -> None:
    """No article is hidden."""
    links = set(browser.page("/").links)
    assert {f"/news/{one.slug}" for one in articles("en")} <= links


def test_a_page_that_is_not_there_says_so(browser: Browser) -> None:
    """404, and still a page of the newspaper."""
    response = browser.request("GET", "/news/yesterday")
    assert response.status_code == 404
    assert "gone out with the tide" in response.text


def test_the_newspaper_is_read_and_not_written(browser: Browser) -> None:
    """A method that it has no use for is refused."""
    response = browser.post("/news/tide-clock")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


def test_the_newspaper_speaks_the_readers_language(browser: Browser) -> None:
    """`Accept-Language` chooses, as for the banner."""
    response = browser.request("GET", "/", headers={"accept-language": "fr-CA"})
    assert parse_page(response.text).language == "fr"
    assert "Après onze hivers" in response.text


def test_every_page_view_tries_to_set_every_cookie(browser: Browser) -> None:
    """Careless as it is, the site asks nobody; and its cookies keep their values."""
    browser.page()
    first = dict(browser.cookies)
    assert {"courier_session", "_pc_id", "adnet_uid"} <= first.keys()
    browser.page("/")
    assert {name: browser.cookies[name] for name in first} == first


def test_the_size_of_the_text_is_a_preference(browser: Browser) -> None:
    """It is kept where preferences are allowed, and not where they are not."""
    answer = browser.post("/reader", {"size": "large"})
    assert answer.headers["location"] == "/news/tide-clock"
    assert 'class="large"' in browser.request("GET", "/").text
    browser.post("/reader", {"size": "small"})
    assert 'class="large"' not in browser.request("GET", "/").text
    browser.switch(region="FR")
    browser.post("/reader", {"size": "large"})
    assert browser.cookies.get("reader_theme") != "large"


def test_the_third_partys_script_is_in_the_page_only_if_allowed(browser: Browser) -> None:
    """What it does could not be undone, so the template asks."""
    embed = "https://widgets.example.net/clip.js"
    assert embed in browser.page().scripts
    browser.switch(region="FR")
    page = browser.page()
    assert embed not in page.scripts
    assert "stays out of this page" in page.text()


def test_the_advertisement_knows_the_reader_only_if_allowed(browser: Browser) -> None:
    """A profile is used as long as the advertising network is allowed."""
    browser.page()
    assert f"for reader {browser.cookies['adnet_uid'][:8]}" in browser.page().text()
    browser.decide(browser.page().form("/consent/decision", "refuse"), "refuse")
    assert "Chosen because this page is about boats" in browser.page().text()


def test_a_form_that_is_too_long_or_repeats_does_not_count(browser: Browser) -> None:
    """The first value counts, and what lies beyond the limit is not read."""
    browser.request("POST", "/reader", content=b"x=" + b"y" * 5000 + b"&size=large", headers=OWN)
    assert browser.cookies.get("reader_theme") == "normal"


async def _nothing(*_: object) -> None:
    raise AssertionError("nothing is to be read or sent")


def test_what_is_not_http_is_let_alone(app: Bench) -> None:
    """No lifespan, no web socket: neither is served, neither fails."""
    import asyncio

    asyncio.run(app({"type": "lifespan"}, _nothing, _nothing))
    asyncio.run(courier({"type": "websocket"}, _nothing, _nothing))


# The switches


def test_switches_that_cannot_be_are_as_if_not_set() -> None:
    """Cookies come from anywhere."""
    raw = b"demo-region=XX; demo-language=tlh; demo-gpc=1; demo-hood=ajar"
    assert Switches.of(cookies_in([(b"cookie", raw)])) == Switches()


def test_a_switch_of_another_sites_page_is_refused(browser: Browser) -> None:
    """The panel's forms are held to what consentkit's are."""
    answer = browser.post("/demo/switch", {"region": "FR"}, **{"sec-fetch-site": "cross-site"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False) or answer.status_code == 403
    assert "demo-region" not in browser.cookies


def test_an_unknown_switch_is_ignored(browser: Browser) -> None:
    """Only what the panel offers can be set."""
    browser.switch(region="Atlantis", gpc="perhaps", colour="blue")
    assert not {"demo-region", "demo-gpc", "demo-colour"} & set(browser.cookies)


@pytest.mark.parametrize(
    ("region", "model"), [("AU", "implied"), ("FR", "opt-in"), ("US-CA", "opt-out"), ("unknown", "opt-in")]
)
def test_a_region_brings_its_model(browser: Browser, region: str, model: str) -> None:
    """The panel's region is what consentkit is told."""
    browser.switch(region=region)
    assert f"{model}:" in browser.page().text("hood-live")


def test_the_signal_switch_sends_the_signal(browser: Browser) -> None:
    """It works as if the browser sent `Sec-GPC: 1`, and off means that it is not sent."""
    browser.switch(region="US-CA", gpc="on")
    assert "removed: the browser sends Sec-GPC: 1" in browser.page().text("hood-live")
    browser.switch(gpc="off")
    assert "removed" not in browser.page().text("hood-live").replace("0 removed", "")


def test_a_browser_that_sends_the_signal_itself_is_told_so(browser: Browser) -> None:
    """Then the switch cannot turn it off."""
    response = browser.request("GET", "/", headers={"sec-gpc": "1"})
    assert "sends Sec-GPC: 1 by itself" in response.text


def test_the_language_switch_wins_over_the_browser(browser: Browser) -> None:
    """The panel stands for the browser's settings."""
    browser.switch(language="fr")
    response = browser.request("GET", "/", headers={"accept-language": "en"})
    assert parse_page(response.text).language == "fr"


def test_forgetting_a_visitor_takes_every_cookie(browser: Browser) -> None:
    """The next page is a first page again."""
    browser.decide(browser.page().form("/consent/decision", "acknowledge"), "acknowledge")
    assert "ck-first" not in browser.page().ids
    answer = browser.post("/demo/forget")
    expired = {
        line.partition("=")[0] for line in answer.headers.get_list("set-cookie") if "Max-Age=0" in line
    }
    assert {"consent", "consent-id", "adnet_uid", "demo-visitor"} <= expired


def test_a_closed_panel_stays_closed(browser: Browser) -> None:
    """The script notes it in a cookie, and the server renders it so."""
    assert '<details open id="hood-box">' in browser.request("GET", "/").text
    browser.cookies.set("demo-hood", "closed")
    assert '<details id="hood-box">' in browser.request("GET", "/").text


# The panel


def test_the_panel_says_what_was_asked(browser: Browser) -> None:
    """Categories and the digest of the notice that the banner itself posts."""
    page = browser.page()
    digest = page.form("/consent/decision", "acknowledge").fields["notice"]
    text = page.text("hood-live")
    assert "preferences, analytics, marketing" in text
    assert f"sha-256 {digest[:12]}" in text


def test_the_panel_says_what_was_set(browser: Browser) -> None:
    """Where all is allowed nothing is removed."""
    text = browser.page().text("hood-live")
    assert "GET /news/tide-clock tried 3 cookies; 0 removed." in text
    assert "is in the page" in text


def test_the_panel_says_what_was_removed_and_why(browser: Browser) -> None:
    """Each cookie that did not leave, with the reason that consentkit gave."""
    browser.switch(region="FR")
    text = browser.page().text("hood-live")
    assert "tried 3 cookies; 2 removed." in text
    assert "_pc_id analytics, pagecount removed: nobody agreed yet" in text
    assert "adnet_uid marketing, adnet removed: nobody agreed yet" in text
    assert "is not in the page" in text


def test_the_panel_shows_the_record_of_the_visitors_own_decision(browser: Browser) -> None:
    """Decoded claims and the index of its entry; another visitor sees none of it."""
    assert "None yet" in browser.page().text("hood-live")
    browser.decide(browser.page().form("/consent/decision", "refuse"), "refuse")
    text = browser.page().text("hood-live")
    assert re.search(r"objected , entry \d+ of the log", text)
    assert '"event": "objected"' in text
    assert "Expired in the browser: _pc_id, adnet_uid" in text
    assert "None yet" in Browser(browser.app).page().text("hood-live")


def test_the_panel_says_when_nothing_new_was_decided(browser: Browser) -> None:
    """The same answer again records nothing."""
    form = browser.page().form("/consent/decision", "refuse")
    browser.decide(form, "refuse")
    browser.decide(form, "refuse")
    assert "Nothing new was decided" in browser.page().text("hood-live")


def test_a_refused_post_is_no_decision(browser: Browser) -> None:
    """The panel shows decisions that were taken, not attempts."""
    form = browser.page().form("/consent/decision", "refuse")
    answer = browser.post(
        form.action, {**form.fields, "control": "refuse"}, **{"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403
    assert "None yet" in browser.page().text("hood-live")


def test_the_script_gets_the_part_that_changes(browser: Browser) -> None:
    """It is the same as in the page, brought up to date after a decision without a page load."""
    form = browser.page().form("/consent/decision", "refuse")
    browser.decide(form, "refuse")
    answer = browser.request("GET", "/demo/panel")
    assert answer.headers["cache-control"] == "no-store"
    text = parse_page(answer.text).text()
    assert "no: the visitor refused" in text
    assert "objected" in text
    assert "The next page obeys it" in text
    assert "The next page obeys it" not in browser.page().text("hood-live")


def test_a_visitor_without_a_page_has_a_panel_too(browser: Browser) -> None:
    """Nothing was seen yet, and it says so."""
    assert "No page was served yet" in parse_page(browser.request("GET", "/demo/panel").text).text()


def test_audit_now_gives_the_verdict(browser: Browser) -> None:
    """Without JavaScript it leads back to the page; the verdict is on it."""
    browser.page()
    answer = browser.post("/demo/audit")
    assert (answer.status_code, answer.headers["location"]) == (303, "/news/tide-clock")
    text = browser.page().text("hood-verdict")
    assert "VERIFIED" in text
    assert "Tiles and bundles" in text


def test_audit_now_answers_the_script_with_the_panel(browser: Browser) -> None:
    """With JavaScript there is no page load."""
    answer = browser.post("/demo/audit", **{"x-fragment": "1"})
    assert answer.status_code == 200
    assert "VERIFIED" in parse_page(answer.text).text("hood-verdict")


def test_an_audit_that_fails_is_shown_as_that(tmp_path: Path) -> None:
    """The verdict comes from the audit: with another log's trust file it cannot be good."""
    with (
        demo_folder(tmp_path / "a") as folder,
        demo_folder(tmp_path / "b") as other,
        open_demo(folder) as app,
    ):
        folder.trust.write_bytes(other.trust.read_bytes())
        answer = Browser(app).post("/demo/audit", **{"x-fragment": "1"})
        assert "FAILED" in parse_page(answer.text).text("hood-verdict")


@pytest.mark.parametrize("name", ["panel.css", "panel.js", "courier.css"])
def test_the_panels_files_are_served(browser: Browser, name: str) -> None:
    """Each with its type."""
    answer = browser.request("GET", f"/demo/{name}")
    assert (answer.status_code, answer.content) == (200, asset(name)[1])
    assert answer.headers["content-type"].startswith("text/")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/demo/"), ("GET", "/demo/audit"), ("POST", "/demo/../x")]
)
def test_there_is_nothing_else_under_the_bench(browser: Browser, method: str, path: str) -> None:
    """Unknown addresses and methods are 404."""
    assert browser.request(method, path, headers=OWN).status_code in {404, 405}


def test_visitors_are_forgotten_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: the one longest unseen goes first."""
    monkeypatch.setattr("consentkit.cli.demo_site.bench._REMEMBERED", 2)
    with demo_folder(tmp_path) as folder, open_demo(folder) as app:
        first = Browser(app)
        first.page()
        for _ in range(3):
            Browser(app).page()
        assert "No page was served yet" in parse_page(first.request("GET", "/demo/panel").text).text()


def test_the_panel_says_when_a_decision_could_not_be_recorded(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal holds all the same, and the panel does not make up a record."""
    from consentkit.errors import LedgerUnavailable
    from consentkit.evidence import Ledger

    async def fail(*_: object) -> None:
        raise LedgerUnavailable("the disk is full")

    form = browser.page().form("/consent/decision", "refuse")
    monkeypatch.setattr(Ledger, "aappend", fail)
    browser.decide(form, "refuse")
    text = browser.page().text("hood-live")
    assert "Not recorded (LedgerUnavailable)" in text
    assert "no: the visitor refused" in text


def test_what_was_removed_stays_removed_where_the_browsers_copy_is_deleted(browser: Browser) -> None:
    """A deletion of the same name in the same answer is not the cookie that the site tried to set."""
    browser.switch(region="US-CA")
    browser.page()
    assert "adnet_uid" in browser.cookies
    browser.switch(gpc="on")
    text = browser.page().text("hood-live")
    assert "adnet_uid marketing, adnet removed: the browser sends Sec-GPC: 1" in text
    assert "Expired in the browser: adnet_uid" in text


def test_only_pages_give_a_visitor_a_name(app: Bench) -> None:
    """What may be kept by caches sets no cookie."""
    for path in ("/courier.css", "/demo/panel.js", "/consent/state"):
        assert "set-cookie" not in Browser(app).request("GET", path).headers
    assert "demo-visitor=" in Browser(app).request("GET", "/").headers["set-cookie"]
