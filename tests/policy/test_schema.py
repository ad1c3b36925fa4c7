"""The schema itself: closed, described, strict, and translated in full."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from consentkit._data import schema_text
from consentkit.policy import regions, schema
from consentkit.policy.values import BUILT_IN_CATEGORIES, Model

SCHEMA: dict[str, Any] = json.loads(schema_text("policy"))
ANNOTATIONS = {
    "$schema",
    "$id",
    "$defs",
    "$comment",
    "title",
    "description",
    "examples",
    "x-expected",
    "x-names",
}
APPLICATORS = {"$ref", "properties", "patternProperties", "items"}


def subschemas(place: str = "#", found: Any = SCHEMA) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema inside the schema with its place."""
    yield place, found
    for group in ("properties", "patternProperties", "$defs"):
        for name, inner in found.get(group, {}).items():
            yield from subschemas(f"{place}/{group}/{name}", inner)
    if "items" in found:
        yield from subschemas(f"{place}/items", found["items"])


ALL = list(subschemas())
OBJECTS = [(place, found) for place, found in ALL if "properties" in found or "patternProperties" in found]


@pytest.mark.parametrize(("place", "found"), ALL, ids=[place for place, _ in ALL])
def test_every_part_is_described(place: str, found: dict[str, Any]) -> None:
    """An editor can show what each property is for."""
    described = found if "description" in found else SCHEMA["$defs"][found["$ref"].removeprefix("#/$defs/")]
    assert len(described["description"]) > 8


@pytest.mark.parametrize(("place", "found"), OBJECTS, ids=[place for place, _ in OBJECTS])
def test_every_object_is_closed_but_for_remarks(place: str, found: dict[str, Any]) -> None:
    """A misspelt name cannot pass, and the site's own remarks can."""
    assert found["additionalProperties"] is False
    assert found["patternProperties"]["^x-"] == {"$ref": "#/$defs/remark"}


def test_the_remark_is_the_only_schema_that_accepts_everything() -> None:
    """Everything else says of what type it is, or which values there are."""
    loose = [place for place, found in ALL if not {"type", "enum", "const", "$ref"} & found.keys()]
    assert loose == ["#/$defs/remark"]


def test_every_keyword_in_use_has_its_sentences() -> None:
    """A keyword added to the schema needs a teller."""
    used = {keyword for _, found in ALL for keyword in found} - ANNOTATIONS - APPLICATORS
    assert used == set(schema._TELLERS)


def test_every_pattern_says_what_it_expects() -> None:
    """A regular expression is no help to a person."""
    assert [place for place, found in ALL if "pattern" in found and "x-expected" not in found] == []


@pytest.mark.parametrize(
    ("place", "found"),
    [(place, found) for place, found in ALL if "examples" in found],
    ids=[place for place, found in ALL if "examples" in found],
)
def test_every_example_is_valid(place: str, found: dict[str, Any]) -> None:
    """What the schema shows is what it accepts."""
    validator = Draft202012Validator({**found, "$defs": SCHEMA["$defs"]})
    assert [error.message for example in found["examples"] for error in validator.iter_errors(example)] == []


def test_no_pattern_lets_a_final_line_feed_pass() -> None:
    """In Python, $ alone matches before one, and the version is written to a log of lines."""
    patterns = [found["pattern"] for _, found in ALL if "pattern" in found and found["pattern"] != r"\S"]
    patterns += [rule for _, found in ALL for rule in found.get("patternProperties", ()) if rule != "^x-"]
    examples = [
        "analytics",
        "2026-11",
        "en",
        "FR",
        "/p",
        "a@b.c",
        "6 months",
        "session",
        "*.example.com",
        "_ga_*",
        "Aa",
    ]
    assert len(patterns) > 10
    for pattern in patterns:
        fitting = [text for text in examples if re.search(pattern, text)]
        assert fitting
        assert not any(re.search(pattern, f"{text}\n") for text in fitting)


def test_the_schema_and_the_code_name_the_same_things() -> None:
    """Models, groups and built-in categories are spelt alike in both."""
    assert SCHEMA["$defs"]["model"]["enum"] == [str(model) for model in Model]
    assert all(name in SCHEMA["properties"]["categories"]["description"] for name in BUILT_IN_CATEGORIES)
    assert all(group in SCHEMA["$defs"]["region"]["description"] for group in regions.GROUPS)
