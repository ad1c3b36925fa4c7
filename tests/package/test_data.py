"""The JSON Schemas are found by name and are themselves valid."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from consentkit import _data

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted(ROOT.glob("schemas/*.schema.json")), ids=lambda path: path.name)
def test_a_schema_is_found_by_its_short_name(path: Path) -> None:
    """What a checkout keeps in ``schemas/`` is what the package hands out."""
    assert _data.schema_text(path.name.removesuffix(".schema.json")) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", _data.schema_names())
def test_a_schema_follows_draft_2020_12(name: str) -> None:
    """Each schema that ships declares draft 2020-12 and obeys its meta-schema."""
    schema = json.loads(_data.schema_text(name))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def test_an_unknown_schema_names_the_known_ones() -> None:
    """A wrong name is answered with the right ones."""
    with pytest.raises(LookupError, match="no schema is called 'polici'"):
        _data.schema_text("polici")


def test_a_wheel_finds_its_schemas_inside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packaged folder wins over the checkout's, since a wheel has no checkout."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "sample.schema.json").write_text("{}")
    monkeypatch.setattr(_data, "files", lambda package: tmp_path)
    assert _data.schema_names() == ("sample",)
