"""The demo in a real browser: three regions, with JavaScript and without, and nothing that axe objects to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route

from tests.support import Server, free_port

FILM = "/news/tide-clock"
NON_ESSENTIAL = {"_pc_id", "adnet_uid"}
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The demo, as a process of its own."""
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    command = [
        sys.executable,
        "-m",
        "consentkit",
        "demo",
        "--port",
        str(port),
        "--data",
        str(folder / "data"),
    ]
    server = Server(command, port, folder / "log", {})
    yield server.wait_ready()
    assert server.stop() == 0


@pytest.fixture
def open_demo(demo: Server, visit) -> Open:
    """Open a page of the demo: ``open_demo("FR", "/", javascript=False, width=390)``; ``page.fetched`` lists films."""

    def start(
        region: str, path: str = FILM, *, width: int = 1280, switches: str = "", **options: object
    ) -> Page:
        context = visit(viewport={"width": width, "height": 844}, **options)
        values = {"region": region} | dict(pair.split("=") for pair in switches.split())
        context.add_cookies(
            [{"name": f"demo-{name}", "value": value, "url": demo.url} for name, value in values.items()]
        )
        fetched: list[str] = []

        def film(route: Route) -> None:
            fetched.append(route.request.url)
            route.fulfill(
                body="document.documentElement.dataset.film = 'ran'", content_type="text/javascript"
            )

        context.route("https://widgets.example.net/**", film)
        page = context.new_page()
        page.fetched = fetched  # type: ignore[attr-defined]
        page.goto(demo.url + path)
        return page

    return start


def cookies(page: Page) -> set[str]:
    return {cookie["name"] for cookie in page.context.cookies()}


def hood(page: Page) -> str:
    return " ".join(page.inner_text("#hood-live").split())


# With JavaScript and without, everything works


@pytest.mark.parametrize("javascript", [True, False])
def test_australia_accepts_and_opts_out(open_demo: Open, javascript: bool) -> None:
    """The familiar flow: implied, accepted, reopened by the tab, opted out."""
    page = open_demo("AU", javascript=javascript)
    assert cookies(page) >= NON_ESSENTIAL
    page.get_by_role("button", name="Accept", exact=True).click()
    page.locator("#ck-first").wait_for(state="detached")
    page.locator("#hood-record").wait_for()
    assert "acknowledged, entry" in hood(page)
    page.locator(".ck-tab a").click()
    page.locator("#ck-form button[value=refuse]").click()
    if javascript:
        page.get_by_text("withdrawn, entry").wait_for()
        assert not cookies(page) & NON_ESSENTIAL
    else:
        page.get_by_text("you refused it").first.wait_for()
    page.goto(page.url.partition("/consent")[0])
    assert not cookies(page) & NON_ESSENTIAL
    assert "removed: the visitor refused" in hood(page)


@pytest.mark.parametrize("javascript", [True, False])
def test_france_gets_nothing_before_a_yes(open_demo: Open, javascript: bool) -> None:
    """No cookie, no film; after a yes both; without JavaScript too."""
    page = open_demo("FR", javascript=javascript)
    assert not cookies(page) & NON_ESSENTIAL
    assert page.fetched == []
    assert "2 removed" in hood(page)
    page.locator("#ck-first button[value=accept]").click()
    page.locator("#ck-first").wait_for(state="detached")
    page.reload()
    assert cookies(page) >= NON_ESSENTIAL
    assert "0 removed" in hood(page)
    assert len(page.fetched) == (1 if javascript else 0)


@pytest.mark.parametrize("javascript", [True, False])
def test_california_honours_the_signal(open_demo: Open, javascript: bool) -> None:
    """Nothing is asked; the switch for the signal takes advertising away and says so on the page."""
    page = open_demo("US-CA", javascript=javascript)
    assert cookies(page) >= NON_ESSENTIAL
    assert page.locator("#ck-first").count() == 0
    page.locator("button[name=gpc][value=on]").click()
    page.get_by_text("Opt-out request honored").wait_for()
    assert cookies(page) & NON_ESSENTIAL == {"_pc_id"}
    assert "removed: the browser sends Sec-GPC: 1" in hood(page)


@pytest.mark.parametrize("javascript", [True, False])
def test_audit_now_shows_the_verdict(open_demo: Open, javascript: bool) -> None:
    """It is a plain form, and with JavaScript there is no page load."""
    page = open_demo("US-CA", javascript=javascript)
    page.evaluate("window.here = 1") if javascript else None
    page.get_by_role("button", name="Audit now").click()
    page.locator("#hood-verdict .hood-verdict").wait_for()
    assert "VERIFIED" in page.inner_text("#hood-verdict")
    if javascript:
        assert page.evaluate("window.here") == 1


def test_the_panel_follows_without_a_page_load(open_demo: Open) -> None:
    """A refusal in the banner shows at once; an opened record stays open."""
    page = open_demo("AU")
    page.evaluate("window.here = 1")
    page.locator("#ck-first button[value=refuse]").click()
    page.locator("#hood-record summary").click()
    assert '"event": "objected"' in page.inner_text("#hood-record")
    page.get_by_role("button", name="Audit now").click()
    page.locator("#hood-verdict .hood-verdict").wait_for()
    assert page.locator("#hood-record[open]").count() == 1
    assert page.evaluate("window.here") == 1


def test_the_film_offers_the_choices_in_place(open_demo: Open) -> None:
    """Its placeholder opens the same choices as the tab."""
    page = open_demo("US-CA", switches="gpc=on")
    page.get_by_role("link", name="Decide about films").click()
    page.locator("#ck-form").wait_for()
    assert "Clipview" in page.inner_text("#ck-form")


def test_switching_the_language_switches_banner_and_paper(open_demo: Open) -> None:
    """The switch is a plain form."""
    page = open_demo("FR", javascript=False)
    page.get_by_role("button", name="Français").click()
    page.get_by_role("button", name="Tout refuser").wait_for()
    assert page.locator("html").get_attribute("lang") == "fr"


def test_forgetting_the_visitor_starts_over(open_demo: Open) -> None:
    """All cookies go, and the first region's banner is back."""
    page = open_demo("FR", javascript=False)
    page.locator("#ck-first button[value=accept]").click()
    page.locator("#ck-first").wait_for(state="detached")
    page.get_by_role("button", name="Forget this visitor").click()
    page.get_by_role("button", name="Opt out").wait_for()


def test_a_closed_panel_stays_closed(open_demo: Open) -> None:
    """On this page and on the next."""
    page = open_demo("AU", "/")
    page.locator("#hood-box > summary").click()
    page.wait_for_function("document.cookie.includes('demo-hood=closed')")
    page.reload()
    assert not page.locator("#hood-live").is_visible()


# How it looks


@pytest.mark.parametrize("width", [390, 1280])
def test_the_banner_lies_over_the_panel_and_not_under_it(open_demo: Open, width: int) -> None:
    """Every button of the banner can be hit where it is."""
    page = open_demo("FR", "/", width=width)
    hit = page.evaluate(
        """() => [...document.querySelectorAll('#ck-first button')].map(button => {
            const box = button.getBoundingClientRect();
            return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === button;
        })"""
    )
    assert hit == [True, True, True]


@pytest.mark.parametrize("path", ["/", FILM])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_sticks_out(open_demo: Open, width: int, path: str) -> None:
    """No page scrolls sideways, with the record and the verdict open."""
    page = open_demo("AU", path, width=width)
    page.locator("#ck-first button[value=acknowledge]").click()
    page.locator("#hood-record").wait_for()
    page.get_by_role("button", name="Audit now").click()
    page.locator("#hood-verdict .hood-verdict").wait_for()
    page.evaluate("for (const d of document.querySelectorAll('#hood details')) d.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("region", "width", "scheme"), [("AU", 1280, "light"), ("FR", 390, "dark"), ("US-CA", 1280, "dark")]
)
def test_axe_finds_nothing(open_demo: Open, region: str, width: int, scheme: str) -> None:
    """Banner, newspaper and panel, before an answer, and with record and verdict."""
    page = open_demo(region, width=width, switches="gpc=on" if region == "US-CA" else "", color_scheme=scheme)
    if region != "US-CA":
        assert Axe().run(page).response["violations"] == []
        page.locator("#ck-first button").first.click()
        page.locator("#hood-record").wait_for()
    page.get_by_role("button", name="Audit now").click()
    page.locator("#hood-verdict .hood-verdict").wait_for()
    page.evaluate("for (const d of document.querySelectorAll('#hood details')) d.open = true")
    assert Axe().run(page).response["violations"] == []
