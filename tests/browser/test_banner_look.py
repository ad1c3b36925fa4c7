"""How the banner looks and behaves as a thing on a page: equal, reachable, readable, and in nobody's way."""

from __future__ import annotations

from itertools import combinations

import pytest
from axe_playwright_python.sync_playwright import Axe

from consentkit.policy import Model
from tests.banner.world import LANGUAGES, LAYOUTS, REGIONS, policy

HOSTILE = """<style>
*{margin:40px!;letter-spacing:9px}button{background:#fff;color:#fff;font-size:5px;width:900px;border-radius:50px}
h2{display:none}form{display:none}p{text-indent:5em;text-transform:uppercase}.content *{color:red}
body{font:30px/3 serif;text-align:center;color:#ccc}a{color:#eee}section{opacity:.1}label{height:3px}
html{font-size:62.5%}input{appearance:none;width:1px}nav{position:static}
</style>"""
SIZES = ((1280, 800), (768, 1024), (320, 640))


@pytest.fixture
def open_page(visit, banner_site):
    """Open a site's first page; options of the browser session go by name, those of the site in `site`."""

    def start(*arguments, path="/", site=None, script=True, **options):
        served = banner_site(*arguments, **(site or {}))
        page = visit(**options).new_page()
        if not script:  # axe itself needs JavaScript, so it is our script alone that is kept away
            page.route("**/*.js", lambda route: route.abort())
        page.goto(served.url + path)
        return page

    return start


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("model", Model)
def test_axe_finds_nothing_on_a_page_with_the_banner(open_page, model: Model, script: bool) -> None:
    """Under every model, and with the signal's line."""
    assert faults(open_page(REGIONS[model], site={"gpc": True}, script=script)) == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("path", ["/consent", "/consent/cookies"])
def test_axe_finds_nothing_on_our_own_pages(open_page, path: str, script: bool) -> None:
    """With everything unfolded."""
    page = open_page("US-CA", path=path, site={"gpc": True}, script=script)
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert faults(page) == []


def test_axe_finds_nothing_where_the_choices_opened_in_place(open_page) -> None:
    """Over the page, by the script."""
    page = open_page("FR")
    page.click("#ck-first form[method=get] button")
    page.wait_for_selector("#ck-box #ck-form")
    assert faults(page) == []


@pytest.mark.parametrize(("layout", "path"), [*((layout, "/") for layout in LAYOUTS), ("bar", "/consent")])
def test_axe_finds_nothing_in_the_dark(open_page, layout: str, path: str) -> None:
    """In every layout, colours included, on a small screen."""
    page = open_page(
        "FR", policy(layout), path=path, color_scheme="dark", viewport={"width": 320, "height": 640}
    )
    assert faults(page) == []


def test_axe_does_find_faults(open_page) -> None:
    """The check above can fail: a banner that the page makes unreadable is found."""
    page = open_page("FR", site={"head": "<style>#ck#ck#ck .ck-b{color:#1a52ab}</style>"})
    assert "color-contrast" in faults(page)


def faults(page) -> list[str]:
    """Run axe and give the rules that are broken."""
    return [violation["id"] for violation in Axe().run(page).response["violations"]]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_controls_are_equal_in_size_and_style_and_share_a_row(
    open_page, language: str, layout: str
) -> None:
    """At every width, in every layout and in both layers, whatever the page's own stylesheet says."""
    head = HOSTILE if language == "fr" else ""
    page = open_page("FR", policy(layout), site={"language": language, "head": head})
    for layer in ("#ck-first", "#ck-form"):
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            check_row(page, layer)
        if layer == "#ck-first":
            page.click("#ck-first form[method=get] button")
            page.wait_for_selector("#ck-box #ck-form")


LOOK = """layer => [...document.querySelectorAll(layer + ' .ck-b')].map(b => {
  const r = b.getBoundingClientRect(), s = getComputedStyle(b);
  const look = [...s].filter(n => !/inline-size|block-size|width|height|origin/.test(n)).map(n => [n, s.getPropertyValue(n)]);
  return {x: r.x, y: r.y, width: r.width, height: r.height, right: r.right, look: JSON.stringify(look), clipped: b.scrollWidth > b.clientWidth};
})"""


def check_row(page, layer: str) -> None:
    """Check that the three controls of a layer look the same and stand side by side, all text in view."""
    found = page.evaluate(LOOK, layer)
    assert len(found) == 3
    for one, other in combinations(found, 2):
        assert abs(one["width"] - other["width"]) < 0.5
        assert (one["height"], one["y"], one["look"]) == (other["height"], other["y"], other["look"])
    assert [one["x"] for one in found] == sorted({one["x"] for one in found})
    assert not any(one["clipped"] for one in found)
    assert min(one["height"] for one in found) >= 44
    assert max(one["right"] for one in found) <= page.viewport_size["width"]


def test_a_hostile_stylesheet_leaves_the_banner_readable(open_page) -> None:
    """What the page says of its own elements does not reach into the banner."""
    looks = [
        open_page("FR", site={"head": head}).evaluate(
            "[...document.querySelectorAll('#ck-box, #ck-box *')].map(e => { const s = getComputedStyle(e);"
            " return [e.tagName, s.color, s.backgroundColor, s.fontSize, s.fontFamily, s.display, s.opacity,"
            " s.letterSpacing, s.textAlign, s.textIndent, s.textTransform] })"
        )
        for head in ("", HOSTILE)
    ]
    assert looks[0] == looks[1]


@pytest.mark.parametrize(("width", "height"), [(320, 256), (640, 400), (160, 400)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_can_be_used_on_tiny_screens_and_magnified(
    open_page, layout: str, width: int, height: int
) -> None:
    """1280 by 1024 at 400 %, 1280 by 800 at 200 %, a small phone at 200 %: no sideways scrolling, all reachable."""
    page = open_page(
        "FR", policy(layout), viewport={"width": width, "height": height}, site={"language": "fr"}
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("(b => b.scrollWidth <= b.clientWidth)(document.getElementById('ck-box'))")
    assert len({(round(b["width"]), b["height"]) for b in page.evaluate(LOOK, "#ck-first")}) == 1
    page.click("#ck-first [value=refuse]")
    page.wait_for_selector("#ck-first", state="detached")
    page.goto(page.url + "consent")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_to_press_is_large_enough(open_page) -> None:
    """44 CSS pixels high (WCAG 2.5.5), the links in sentences excepted."""
    page = open_page("US-CA", path="/consent")
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    targets = page.locator("button:visible, label, summary, .ck-open").all()
    assert len(targets) > 12
    assert [t for t in targets if (t.bounding_box() or {"height": 0})["height"] < 44] == []
    control = open_page("US-CA").locator(".ck-open").bounding_box()
    assert control is not None
    assert control["height"] >= 44


@pytest.mark.parametrize("layout", ["bar", "box", "dialog"])
def test_the_page_does_not_move(open_page, layout: str) -> None:
    """Neither when the banner is there nor when it goes."""
    page = open_page("FR", policy(layout))
    top = "document.querySelector('h1').getBoundingClientRect().top"
    with_banner = page.evaluate(top)
    page.click("#ck-first [value=refuse]")
    page.wait_for_selector("#ck-first", state="detached")
    assert page.evaluate(top) == with_banner
    shift = "new Promise(r => new PerformanceObserver(l => r(l.getEntries().length)).observe({type: 'layout-shift', buffered: true}) || setTimeout(r, 200, 0))"
    assert page.evaluate(shift) == 0


def test_the_page_can_be_read_and_used_while_the_banner_is_there(open_page) -> None:
    """It is no wall: links work, the page scrolls, and no layer lies over it."""
    for layout in LAYOUTS:
        page = open_page("FR", policy(layout), viewport={"width": 1280, "height": 900})
        page.mouse.move(40, 300)
        page.mouse.wheel(0, 400)
        page.wait_for_function("scrollY > 0")
        page.evaluate("scrollTo(0, 0)")
        page.click("main a")
        page.wait_for_url("**/elsewhere")


def test_the_control_does_not_cover_the_banner(open_page) -> None:
    """It waits until the banner is gone, at any width."""
    for layout in LAYOUTS:
        page = open_page("FR", policy(layout), viewport={"width": 320, "height": 640})
        assert not page.is_visible(".ck-open")
        page.click("#ck-first [value=refuse]")
        page.wait_for_selector(".ck-open")


def test_focus_shows_in_forced_colours_and_nothing_moves(open_page) -> None:
    """The system's own colours keep borders and outlines; there is no animation to reduce."""
    page = open_page("FR", forced_colors="active", reduced_motion="reduce")
    style = page.evaluate(
        "(s => [s.borderTopStyle, s.borderTopWidth])(getComputedStyle(document.querySelector('.ck-b')))"
    )
    assert style == ["solid", "2px"]
    page.focus("#ck-first [value=refuse]")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    moving = "[...document.querySelectorAll('#ck *')].filter(e => getComputedStyle(e).transitionDuration != '0s' || getComputedStyle(e).animationName != 'none').length"
    assert page.evaluate(moving) == 0


@pytest.mark.parametrize("path", ["/", "/consent"])
def test_what_is_scrolled_into_view_can_be_seen(open_page, path: str) -> None:
    """The row of controls at the lower edge does not lie over what gets the focus (WCAG 2.4.11)."""
    page = open_page("FR", path=path, viewport={"width": 320, "height": 600})
    if path == "/":
        page.click("#ck-first form[method=get] button")
        page.wait_for_selector("#ck-box #ck-form")
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert page.evaluate(COVERED) == []


COVERED = """[...document.querySelectorAll('#ck-form :is(input[type=checkbox], summary, a)')].filter(e => {
  e.scrollIntoView({block: 'nearest'});
  const r = e.getBoundingClientRect();
  return !e.contains(document.elementFromPoint(r.x + 5, r.y + r.height - 5));
}).map(e => e.outerHTML)"""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_banner_comes_first_for_those_who_cannot_see_it(open_page, layout: str) -> None:
    """A landmark with a name at the start of the page, with a heading; a dialog says that it is one."""
    page = open_page("FR", policy(layout))
    role = "dialog" if layout == "dialog" else "region"
    landmark = page.get_by_role(role, name="Privacy & cookies")
    assert landmark.get_by_role("heading", name="Your choice about cookies").count() == 1
    assert landmark.get_by_role("button").all_inner_texts() == ["Accept all", "Refuse all", "Choose"]
    assert page.evaluate("document.body.firstElementChild.nextElementSibling.id") == "ck"
