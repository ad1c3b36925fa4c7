"""The stylesheet and the script: small, named by their content, and readable by everybody."""

from __future__ import annotations

import gzip
import re
from hashlib import sha256

import pytest

from consentkit.banner import asset, preferences_page, render_banner, script, style
from consentkit.policy import Model
from tests.banner import world

CSS = style().body.decode("ascii")
BLOCKED = re.compile(r"cookie|consent|gdpr|banner|cmp|privacy", re.IGNORECASE)


def zipped(*parts: bytes) -> int:
    """Give what the parts weigh on the wire, each compressed by itself."""
    return sum(len(gzip.compress(part, 9)) for part in parts)


@pytest.mark.parametrize("found", [style(), script()], ids=["style", "script"])
def test_a_file_is_named_by_its_content(found) -> None:
    """So a cache may keep it for ever, and a new version is fetched at once."""
    assert found.name.split(".")[1] == sha256(found.body).hexdigest()[:16]
    assert asset(found.name) is found


def test_only_our_own_files_are_served() -> None:
    """By their whole name."""
    for name in ("", "notice.css", "consent.css", "../notice.py", script().name.upper()):
        assert asset(name) is None
    assert style().media_type.startswith("text/css")
    assert script().media_type.startswith("text/javascript")


def test_lists_that_hide_consent_banners_do_not_match() -> None:
    """A hidden banner could neither be accepted nor refused."""
    html = world.notice().html.decode()
    names = [*re.findall(r' (?:id|class)="([^"]+)"', html), style().name, script().name]
    assert names
    assert not [name for name in names if BLOCKED.search(name)]


def test_the_first_view_stays_light() -> None:
    """HTML, stylesheet and script of the first view in at most 5 kB, with the choices in 8 kB, each compressed."""
    for model in world.MODELS:
        consent = world.consent(world.REGIONS[model], signals=world.GPC)
        arguments = {"consent": consent, "signals_shown": True, "urls": world.URLS}
        first = render_banner(world.POLICY, world.notice(model), asked=world.POLICY.category_ids, **arguments)
        second = preferences_page(world.POLICY, world.notice(model), **arguments)
        assert zipped(first, style().body, script().body) <= 5000
        assert zipped(first, second, style().body, script().body) <= 8000
    assert zipped(script().body) <= 2000


def test_no_rule_reaches_the_page_around() -> None:
    """Every selector starts at the banner, or at a page of our own."""
    rules = re.sub(r"@media[^{]*{|\n}\n(?=})", "", CSS)
    selectors = [part.strip() for rule in re.findall(r"([^{}]+){", rules) for part in rule.split(",")]
    assert len(selectors) > 40
    assert not [s for s in selectors if not re.match(r"#ck\b|\.ck-|:root:has\(\.ck-doc\)|\.ck-inline\)", s)]


def test_a_stylesheet_in_a_document_cannot_end_early() -> None:
    """It is put into the kept form as it is."""
    assert "<" not in CSS
    assert "expression" not in CSS
    assert "!important" not in CSS.replace("display: none !important", "")


def test_accept_and_refuse_cannot_be_told_apart_by_the_stylesheet() -> None:
    """No rule looks at a button's name, value or place."""
    assert not re.search(r"\[(name|value)|nth-|first-|last-|:has\(button", CSS)


def schemes() -> dict[str, dict[str, str]]:
    """Read the colours of the light and the dark scheme."""
    light, dark = re.findall(r"#ck, \.ck-doc {([^}]+)}", CSS)
    return {
        name: dict(re.findall(r"--ck-(\w+): (#\w+)", block))
        for name, block in (("light", light), ("dark", dark))
    }


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    digits = colour.removeprefix("#")
    full = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    channels = (int(full[i : i + 2], 16) / 255 for i in (0, 2, 4))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio as WCAG 2.2 defines it, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_pair_of_colours_can_be_read(scheme: str) -> None:
    """Text at 4.5 to 1 (WCAG 1.4.3), what outlines a control at 3 to 1 (WCAG 1.4.11)."""
    colours = schemes()[scheme]
    for text, ground in (("fg", "bg"), ("act", "bg"), ("on", "act"), ("bg", "fg")):
        assert contrast(colours[text], colours[ground]) >= 4.5
    assert contrast(colours["line"], colours["bg"]) >= 3


def test_both_schemes_set_the_same_colours() -> None:
    """A colour that one of them forgets would be that of the other."""
    light, dark = schemes().values()
    assert light.keys() == dark.keys() == {"bg", "fg", "line", "act", "on"}


def test_contrast_is_measured_as_the_standard_does() -> None:
    """Black on white is 21 to 1."""
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#fff") == pytest.approx(4.54, abs=0.01)


def test_models_share_one_stylesheet() -> None:
    """The kept form holds the served stylesheet, byte for byte."""
    for model in Model:
        assert style().body in world.notice(model).html
