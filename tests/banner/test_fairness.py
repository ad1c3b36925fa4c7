"""Fair by construction: no policy, language, layout or visitor makes refusing harder than accepting."""

from __future__ import annotations

import inspect
from functools import cache
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.banner import notice_for, preferences_page, render_banner
from consentkit.consent import Control
from consentkit.policy import Model
from tests.banner import world
from tests.banner.dom import Node, read
from tests.banner.test_notice import banner

WORDS = {"title": "T", "control": "C", "read_more": "R", **dict.fromkeys(world.MODELS, "I")}
OWN = dict.fromkeys(world.LANGUAGES, WORDS)


def controls(layer: Node) -> list[Node]:
    """Give the buttons of a layer's one row."""
    return layer.one(class_="ck-row").all("button")


@cache
def pages(own: bool | None = None) -> list[tuple[Model, str, Node]]:
    """Give the notice in every language, model and layout, with texts of the policy's `own`, without, or both."""
    texts = [{}] if own is False else [OWN] if own else [{}, OWN]
    return [
        (model, language, read(notice_for(world.policy(layout, words), language, model).html))
        for words, layout, language, model in product(texts, world.LAYOUTS, world.LANGUAGES, world.MODELS)
    ]


def test_accept_and_refuse_are_alike_in_every_notice() -> None:
    """One kind of element, one class, one row, and nothing that sets one apart but its name and value."""
    for _, _, page in pages():
        for layer in (page.one(id="ck-first"), page.one(id="ck-form")):
            assert {(b.tag, b["class"]) for b in controls(layer)} == {("button", "ck-b")}
            assert {frozenset(b.attributes) for b in controls(layer)} <= {
                frozenset({"class"}), frozenset({"class", "name", "value"}),
            }  # fmt: skip


def test_refusing_takes_one_step_on_the_first_layer() -> None:
    """As accepting does; a notice that only informs has neither."""
    for model, _, page in pages():
        values = [b.attributes.get("value") for b in controls(page.one(id="ck-first"))]
        yes = Control.ACCEPT_ALL if model in (Model.OPT_IN, Model.OPT_OUT) else Control.ACKNOWLEDGE
        assert values == ([yes, None] if model is Model.NOTICE else [yes, Control.REFUSE_ALL, None])


def test_the_choices_offer_saving_first_and_both_answers_for_all() -> None:
    """Enter in a toggle presses the first button of a form, which must not be one that accepts."""
    for _, _, page in pages():
        values = [b["value"] for b in controls(page.one(id="ck-form"))]
        assert values == [Control.SAVE, Control.REFUSE_ALL, Control.ACCEPT_ALL]


def test_the_labels_of_accept_and_refuse_are_not_for_the_policy_to_choose() -> None:
    """All texts that a policy may set leave them as they are."""
    labels = [
        [
            (model, language, b["value"], b.text)
            for model, language, page in pages(own)
            for b in page.all("button", name="control")
        ]
        for own in (False, True)
    ]
    assert labels[0] == labels[1] != []
    assert "R" in {b.text for _, _, page in pages(True) for b in page.all("button")}


@pytest.mark.parametrize("own", [{}, OWN], ids=["built-in", "own"])
def test_who_asks_what_for_and_how_to_withdraw_cannot_be_left_out(own: dict) -> None:
    """Whatever texts a policy sets, the first layer names controller, purposes, withdrawal and privacy policy."""
    for model in world.MODELS:
        first = read(notice_for(world.policy(texts=own), "en", model).html).one(id="ck-first")
        control = own.get("en", {}).get("control", "Privacy & cookies")
        assert "Harbour News" in first.text
        assert "at any time" in first.text
        assert f"under “{control}” on every page" in first.text
        assert [item.one("b").text for item in first.all("li")] == [
            "Preferences", "Audience measurement", "Advertising", "Games",
        ]  # fmt: skip
        assert first.one("a")["href"] == "https://harbour.example/privacy"


def test_no_argument_and_no_text_asks_for_a_toggle_to_be_on() -> None:
    """The functions take nothing that could tick, hide or shrink; a change here is a change of what is promised."""
    assert set(inspect.signature(render_banner).parameters) == {
        "policy", "notice", "asked", "consent", "signals_shown", "urls", "reopened",
    }  # fmt: skip
    assert set(inspect.signature(preferences_page).parameters) == {
        "policy", "notice", "consent", "signals_shown", "urls", "message", "ticket",
    }  # fmt: skip


NAMES = sorted(world.POLICY.names - {"necessary"})


@given(
    region=st.sampled_from(sorted(world.REGIONS.values())),
    control=st.sampled_from(Control),
    on=st.sets(st.sampled_from(NAMES)),
    gpc=st.booleans(),
)
def test_a_toggle_is_on_exactly_if_its_name_is_allowed(
    region: str, control: Control, on: set[str], gpc: bool
) -> None:
    """Whatever a visitor decided before; and what is posted as shown is what the toggles show."""
    consent = world.consent(
        region, world.decided(control, *on, region=region), world.GPC if gpc else world.NO_SIGNALS
    )
    page = read(
        preferences_page(world.POLICY, world.notice(), consent=consent, signals_shown=gpc, urls=world.URLS)
    )
    boxes = {box["value"]: "checked" in box for box in page.all("input", type="checkbox")}
    assert boxes == {name: consent.allows(name) for name in NAMES if name not in NECESSARY_SERVICES}
    assert set(page.one("input", name="shown")["value"].split()) == {
        name for name, ticked in boxes.items() if ticked
    }
    assert set(page.one("input", name="asked")["value"].split()) == set(world.POLICY.category_ids)


NECESSARY_SERVICES = {service.id for service in world.POLICY.services_in("necessary")}


def test_a_new_visitor_in_an_opt_in_region_finds_everything_off() -> None:
    """On the page, and in what the banner posts."""
    page = read(
        preferences_page(
            world.POLICY, world.notice(), consent=world.consent(), signals_shown=False, urls=world.URLS
        )
    )
    assert not [box for box in page.all("input", type="checkbox") if "checked" in box]
    assert banner().one("input", name="shown")["value"] == ""


def test_what_is_necessary_has_no_toggle() -> None:
    """Neither the category nor its services: there is nothing to choose, and it says so."""
    section = read(world.notice().html).one("section", **{"aria-labelledby": "ck-c-necessary"})
    assert not section.all("input")
    assert "Always on" in section.text
    assert "Sign-in" in section.text
