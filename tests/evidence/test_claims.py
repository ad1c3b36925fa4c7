"""The quick check of claims and the published JSON Schema are one rule."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from consentkit._data import schema_text
from consentkit.errors import InvalidRecord
from consentkit.evidence.claims import check_claims
from tests.evidence.samples import build, draft

SCHEMA = json.loads(schema_text("record"))
VALIDATOR = Draft202012Validator(SCHEMA)
FULL = [
    dict(build().claims),
    dict(
        build(
            draft(notice=None, region=None, expires=None, services={}), sequence=1, previous=bytes(32)
        ).claims
    ),
    dict(
        build(
            draft(extra={"page": "/"}, event="refused", model="notice", signals={"gpc": True, "shown": True})
        ).claims
    ),
]

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 2**63, "", "a", "A", "en", "x" * 300, "a\n", [], ["a", "a"], ["a"], [1], {}, {"a": 1},
    "2026-11-02T12:00:00.000Z", "2026-11-02T24:00:00.000Z", "2026-13-02T12:00:00.000Z", "2026-11-02 12:00:00.000Z",
    "2026-11-02T12:00:00.000Z\n", "٢026-11-02T12:00:00.000Z", "ab" * 32, "ab" * 32 + "\n", "A" * 43, "A" * 42 + "B", "A" * 44,
    {"analytics": {"granted": 1, "basis": "express"}}, {"analytics": {"granted": True}}, {"Bad": {"granted": True, "basis": "express"}},
    {"analytics": {"granted": True, "basis": "express", "x": 1}}, {"analytics": {"granted": True, "basis": []}}, {"analytics": None},
    {f"c{n}": {"granted": True, "basis": "signal"} for n in range(257)}, [f"c{n}" for n in range(257)], {"page": "x" * 2049},
    {"page": 1}, {"gpc": True, "shown": 1}, {"gpc": True}, "https://example.com", "https://Example.com", "http://[::1]:8000",
    "http://127.0.0.1:8000", "https://example.com/", "ftp://example.com", "US-CA", "us", "opt-in", "given", "sha-256",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document, as a path."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    return found


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def verdict(claims: Any) -> bool:
    try:
        check_claims(claims)
    except InvalidRecord:
        return False
    return True


def agree(claims: Any) -> None:
    assert verdict(claims) == VALIDATOR.is_valid(claims)


def test_the_schema_is_a_valid_schema() -> None:
    """Of draft 2020-12, with a description for every property."""
    Draft202012Validator.check_schema(SCHEMA)
    for name, rule in SCHEMA["properties"].items():
        assert rule["description"], name


@pytest.mark.parametrize("claims", FULL)
def test_what_is_signed_is_what_the_schema_describes(claims: dict[str, Any]) -> None:
    """Records of different kinds."""
    VALIDATOR.validate(claims)
    check_claims(claims)


@given(st.data())
def test_check_and_schema_agree_on_any_change(data: st.DataObject) -> None:
    """Some place in a good record gets another value, or vanishes, or something is added."""
    claims = copy.deepcopy(data.draw(st.sampled_from(FULL)))
    path = data.draw(st.sampled_from(places(claims)))
    match data.draw(st.sampled_from(["set", "drop", "add"])):
        case "set":
            put(claims, path, data.draw(st.sampled_from(ODD)))
        case "drop":
            holder: Any = claims
            for key in path[:-1]:
                holder = holder[key]
            del holder[path[-1]]
        case _:
            put(claims, (*path[:-1], "x-more"), data.draw(st.sampled_from(ODD)))
    agree(claims)


@pytest.mark.parametrize("name", sorted({*SCHEMA["properties"], "other"}))
def test_check_and_schema_agree_on_every_odd_value(name: str) -> None:
    """For every claim, every odd value there is."""
    for value in ODD:
        agree({**FULL[2], name: value})


@pytest.mark.parametrize("claims", ODD)
def test_check_and_schema_agree_on_what_is_no_record_at_all(claims: Any) -> None:
    """Not even an object."""
    agree(claims)


def test_a_day_that_no_calendar_has_is_refused() -> None:
    """The one thing that a pattern cannot say."""
    assert not verdict({**FULL[0], "time": "2026-02-30T12:00:00.000Z"})
    assert not verdict({**FULL[0], "time": "1969-12-31T23:59:59.999Z"})


@given(st.text(max_size=20))
def test_check_and_schema_agree_on_any_text(text: str) -> None:
    """In each claim that is a text."""
    for name in ("site", "log", "method", "region", "regime", "id", "previous"):
        agree({**FULL[1], name: text})
