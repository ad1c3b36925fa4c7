"""The notice: fixed byte for byte, and the banner on a page is made from the very same."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consentkit.banner import TEMPLATE, Urls, notice_for, render_banner, render_control, render_script
from consentkit.consent import NO_SIGNALS, Consent, Control, Signals
from consentkit.errors import UnknownLanguage
from consentkit.policy import Model, Policy
from tests.banner import world
from tests.banner.dom import Node, read, shape
from tests.banner.test_markup import ANY_TEXT, as_read

each_model = pytest.mark.parametrize("model", world.MODELS)
each_language = pytest.mark.parametrize("language", world.LANGUAGES)
ALL = world.POLICY.category_ids


def banner(
    model: Model = Model.OPT_IN,
    language: str = "en",
    *,
    asked: tuple[str, ...] = ALL,
    consent: Consent | None = None,
    signals_shown: bool = False,
    reopened: bool = False,
) -> Node:
    """Render the banner for a visitor of the model's region who has not decided yet."""
    return read(
        render_banner(
            world.POLICY,
            world.notice(model, language),
            asked=asked,
            consent=consent or world.consent(world.REGIONS[model]),
            signals_shown=signals_shown,
            urls=world.URLS,
            reopened=reopened,
        )
    )


@each_model
@each_language
def test_a_notice_is_named_by_its_bytes(model: Model, language: str) -> None:
    """The digest is SHA-256 of the canonical form, which the same arguments make again to the last byte."""
    notice = notice_for(world.POLICY, language, model)
    again = notice_for(Policy.from_bytes(world.POLICY.canonical), language, model)
    assert notice.html == again.html
    assert notice.digest == again.digest == sha256(notice.html).hexdigest()
    assert (notice.policy, notice.language, notice.model) == (world.POLICY.digest, language, model)
    assert (notice.layout, notice.template) == ("bar", TEMPLATE)


def test_whatever_changes_what_is_seen_changes_the_digest() -> None:
    """Policy, language, model and layout each make another notice."""
    notices = [
        notice_for(policy, language, model).digest
        for policy in (*map(world.policy, world.LAYOUTS), world.policy(texts={"en": {"title": "Well?"}}))
        for language in world.LANGUAGES
        for model in world.MODELS
        if not (language == "fr" and policy.texts)
    ]
    assert len(set(notices)) == len(notices)


@each_model
@each_language
def test_the_kept_form_stands_alone(model: Model, language: str) -> None:
    """ASCII, no script, nothing fetched from anywhere, and links only to what the policy names."""
    html = world.notice(model, language).html
    page = read(html)
    assert {node.tag for node in page}.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not re.search(rb"url\(|@import| on\w+=", html)
    assert {node["href"] for node in page.all("a")} == {
        "#ck-form", "https://harbour.example/privacy", "https://tally.example/privacy",
    }  # fmt: skip
    assert page.one("html")["lang"] == language


@each_model
@each_language
def test_the_kept_form_tells_everything_that_the_policy_declares(model: Model, language: str) -> None:
    """Categories, and of each service provider, country, purposes, recipients, and what is stored for how long."""
    said = read(world.notice(model, language).html).one("body").text
    for category in world.POLICY.categories:
        assert not category.title or category.title[language] in said
    for service in world.POLICY.services:
        named = [
            service.title[language],
            service.provider.name,
            *(p[language] for p in service.purposes.values()),
        ]
        named += [recipient.name for recipient in service.recipients]
        named += [cookie.name for cookie in service.cookies] + [entry.key for entry in service.storage]
        assert all(name in said for name in named)
    facts = {
        "en": ("United States", "13 months", "cookie of another site"),
        "fr": ("États-Unis", "13 mois", "cookie d\u2019un autre site"),
    }
    assert all(fact in said for fact in facts[language])


def test_nothing_about_a_visitor_or_a_host_is_in_the_kept_form() -> None:
    """No toggle says more than the model's default, and no form says where it leads."""
    for model in world.MODELS:
        page = read(world.notice(model).html)
        assert {"checked" in box for box in page.all("input", type="checkbox")} == {model is not Model.OPT_IN}
        assert not page.all("input", type="hidden")
        assert {form.attributes.get("action") for form in page.all("form")} == {None, "#ck-form"}


Seen = list[tuple[str, tuple[tuple[str, str | None], ...], str]]


def seen(page: Node, *, without: tuple[str, ...] = (), signal: bool = True) -> Seen:
    """Give what is seen of the first layer: every element with its own text, without where it leads.

    `without` are the titles of categories that are left out, `signal` whether the signal's line is counted.
    """
    layer = page.one(id="ck-box")
    gone = {id(part) for item in layer.all("li") if item.one("b").text in without for part in item}
    gone |= {id(line) for line in layer.all(class_="ck-signal") if not signal}
    gone |= {id(field) for field in layer.all("input", type="hidden")}
    return [
        (
            node.tag,
            tuple((k, v) for k, v in node.attributes.items() if k not in {"action", "data-ck"}),
            "".join(child for child in node.children if isinstance(child, str)),
        )
        for node in layer
        if id(node) not in gone
    ]


TITLES = {
    "preferences": "Preferences",
    "analytics": "Audience measurement",
    "marketing": "Advertising",
    "games": "Games",
}


@each_model
@each_language
def test_the_live_banner_is_the_kept_one(model: Model, language: str) -> None:
    """With everything asked and the signal's line, the visitor sees what the ledger keeps."""
    live = banner(model, language, signals_shown=True)
    assert seen(live) == seen(read(world.notice(model, language).html))


@given(
    asked=st.sets(st.sampled_from(ALL), min_size=1), signal=st.booleans(), model=st.sampled_from(world.MODELS)
)
def test_only_what_is_asked_and_the_signals_line_vary(asked: set[str], signal: bool, model: Model) -> None:
    """Leaving out categories or the line takes away their elements and nothing else."""
    found = banner(model, asked=tuple(asked), signals_shown=signal)
    without = tuple(title for name, title in TITLES.items() if name not in asked)
    assert seen(found) == seen(read(world.notice(model).html), without=without, signal=signal)
    assert [item.one("b").text for item in found.all("li")] == [
        t for t in TITLES.values() if t not in without
    ]


@each_model
def test_the_form_says_what_it_was_built_from(model: Model) -> None:
    """The digests of notice and policy, what was asked, and what of it is on."""
    page = banner(model, asked=("analytics", "marketing"))
    fields = {node["name"]: node["value"] for node in page.all("input", type="hidden")}
    on = "" if model is Model.OPT_IN else "analytics marketing counter ads video"
    assert fields == {
        "notice": world.notice(model).digest,
        "policy": world.POLICY.digest,
        "asked": "analytics marketing",
        "shown": on,
        "method": "banner",
    }
    form = next(form for form in page.all("form") if form["method"] == "post")
    assert form["action"] == "/consent/decision"


def test_the_signals_line_is_posted_where_it_was_shown() -> None:
    """So that an express choice made in its knowledge is known as one."""
    assert banner(signals_shown=True).one("input", name="signal")["value"] == "1"
    assert not banner().all("input", name="signal")


def test_a_banner_with_nothing_to_ask_stays_closed() -> None:
    """The control is there all the same, and so is the place where the script opens the choices."""
    page = banner(asked=())
    assert "hidden" in page.one(id="ck-box")
    assert page.one(id="ck-box").text == ""
    assert page.one("a", class_="ck-open")["href"] == "/consent"


def test_a_reopened_banner_asks_everything() -> None:
    """Whatever the visitor decided before."""
    assert len(banner(asked=(), reopened=True).all("li")) == len(ALL)
    assert len(banner(asked=("games",), reopened=True).all("li")) == 1


@pytest.mark.parametrize("signals", [NO_SIGNALS, world.GPC], ids=["off", "on"])
def test_the_control_says_when_the_signal_is_honored(signals: Signals) -> None:
    """California's rule asks for that status to be shown (11 CCR 7025(c)(6))."""
    consent = world.consent("US-CA", signals=signals)
    page = banner(Model.OPT_OUT, asked=(), consent=consent)
    assert ("Opt-out request honored" in page.text) is signals.gpc
    alone = read(render_control(world.POLICY, world.notice(), consent=consent, urls=world.URLS))
    assert shape(alone.one("nav")) == shape(page.one("nav"))
    if signals.gpc:
        assert page.one("span")["data-ck-signal"] == "marketing"


def test_the_script_knows_what_is_allowed_and_how_to_refuse_alone() -> None:
    """It is told the unsigned refusal word for word, so it needs no rules of its own for cookie names."""
    consent = world.consent("US-CA", signals=world.GPC)
    script = read(render_script(world.POLICY, consent=consent, urls=world.URLS)).one("script")
    assert script["data-on"] == "analytics counter games login preferences"
    assert script["data-home"] == "/consent"
    assert (
        script["data-refusal"] == "__Host-consent=0.refused; Path=/; Max-Age=34560000; SameSite=Lax; Secure"
    )
    assert shape(script) == shape(banner().one("script"))


@pytest.mark.parametrize(
    ("cookie", "domain", "refusal"),
    [
        ("consent", None, "consent=0.refused; Path=/; Max-Age=34560000; SameSite=Lax"),
        (
            "__Secure-consent",
            "example.com",
            "__Secure-consent=0.refused; Path=/; Max-Age=34560000; SameSite=Lax; Domain=example.com; Secure",
        ),
    ],
)
def test_the_refusal_has_the_attributes_that_its_name_demands(
    cookie: str, domain: str | None, refusal: str
) -> None:
    """A browser would drop it otherwise (RFC 6265bis section 4.1.3)."""
    assert Urls.under("/consent", cookie=cookie, domain=domain).unsigned_refusal == refusal


def test_all_addresses_live_under_the_prefix() -> None:
    """Wherever the application is mounted."""
    urls = Urls.under("/sub/privacy", home="/sub/")
    paths = (urls.decision, urls.preferences, urls.declaration, urls.receipt, urls.style, urls.script)
    assert all(path.startswith("/sub/privacy") for path in paths)
    assert urls.home == "/sub/"


def test_a_language_without_texts_makes_no_notice() -> None:
    """Rather than one in another language under this one's name."""
    with pytest.raises(UnknownLanguage):
        notice_for(world.POLICY, "tlh", Model.OPT_IN)


def test_a_live_banner_needs_no_inline_code() -> None:
    """No style, no script and no handler in the page, so that a strict CSP lets it be."""
    page = banner(signals_shown=True)
    assert not page.all("style")
    assert page.one("script").text == ""
    assert not [name for node in page for name in node.attributes if name == "style" or name.startswith("on")]


def test_ids_are_unique_and_what_they_label_is_there() -> None:
    """In the kept form, which has both layers."""
    page = read(world.notice().html)
    ids = [node["id"] for node in page if "id" in node]
    assert len(ids) == len(set(ids))
    assert {node["aria-labelledby"] for node in page if "aria-labelledby" in node} <= set(ids)


def test_the_layouts_differ_in_class_and_role_alone() -> None:
    """A dialog says that it is one; the content is the same in all."""
    pages = {
        layout: read(notice_for(world.policy(layout), "en", Model.OPT_IN).html) for layout in world.LAYOUTS
    }
    assert len({page.one(id="ck-box").text for page in pages.values()}) == 1
    assert {layout: page.one(id="ck-box").attributes.get("role") for layout, page in pages.items()} == {
        "bar": None, "box": None, "dialog": "dialog", "inline": None,
    }  # fmt: skip
    assert len({page.one(id="ck-box")["class"] for page in pages.values()}) == 4


def test_an_express_choice_shows_in_what_the_banner_posts() -> None:
    """What the visitor allowed before is on, in whatever the banner asks now."""
    consent = world.consent(decisions=world.decided(Control.SAVE, "games"))
    page = banner(asked=("analytics", "games"), consent=consent)
    assert page.one("input", name="shown")["value"] == "games"


@settings(max_examples=40, deadline=None)
@given(text=ANY_TEXT.filter(lambda text: text.strip() and "\\" not in text))
def test_no_text_of_a_policy_breaks_out_of_the_markup(text: str) -> None:
    """Whatever a policy says, the elements stay the same and the text is read as it was written."""
    strange = _written(text[:200] if text[:200].strip() else text.strip()[:200])
    plain = _written("plain")
    for model in (Model.OPT_IN, Model.IMPLIED):
        page, expected = (read(notice_for(policy, "en", model).html) for policy in (strange, plain))
        assert shape(page) == shape(expected)
        texts = ["".join(node._texts()) for node in page]
        assert as_read(strange.controller.name) in "".join(texts)
        assert as_read(strange.texts["en"]["title"]) in texts


def _written(text: str) -> Policy:
    """Give the policy with `text` wherever it may hold one."""
    changed = world.document()
    both = {"en": text, "fr": text}
    changed["controller"] |= {"name": text, "address": text}
    changed["categories"]["games"] = {"title": both, "description": both}
    for service in changed["services"].values():
        service |= {"title": both, "purposes": dict.fromkeys(service["purposes"], both)}
        service["provider"] |= {"name": text}
        for cookie in service.get("cookies", ()):
            cookie["purpose"] = both
    changed["services"]["ads"]["recipients"]["measure"]["name"] = text
    changed["notice"]["texts"] = {"en": dict.fromkeys(("title", *world.MODELS, "control", "read_more"), text)}
    return Policy.from_dict(changed)
