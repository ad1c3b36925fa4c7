"""The form of a policy: JSON Schema 2020-12, with its errors told so that a person can act on them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import rfc8785

from consentkit._data import schema_text
from consentkit.errors import Problem
from consentkit.policy.load import child
from consentkit.policy.wording import choice, nearest, respelt

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

__all__ = ["form_problems"]

_KINDS = {
    "string": "text",
    "object": "an object",
    "array": "a list",
    "integer": "a whole number",
    "boolean": "true or false",
}


def form_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return everything in which `document` departs from `schemas/policy.schema.json`.

    A problem's pointer leads to what is wrong itself: the missing member, the unknown name, the second of two.
    """
    found = (problem for error in _validator().iter_errors(document) for problem in _problems(error))
    return list({(problem.pointer, problem.message): problem for problem in found}.values())


@cache
def _validator() -> Validator:
    # Loaded on first use: a process that only works with policies already checked need not pay for it.
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.validators import extend  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    empty: Registry[Any] = Registry()  # without a way to retrieve anything
    quick: type[Draft202012Validator] = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {"uniqueItems": _unique}
    )
    return quick(json.loads(schema_text("policy")), registry=empty)


def _unique(_: Validator, wanted: bool, found: Any, __: object) -> Iterator[ValidationError]:
    """Check `uniqueItems` in linear time, where jsonschema compares each item with each."""
    from jsonschema import ValidationError  # noqa: PLC0415

    if wanted and isinstance(found, list) and len(found) != len({rfc8785.dumps(item) for item in found}):
        yield ValidationError("has non-unique elements")


def _problems(error: ValidationError) -> Iterator[Problem]:
    pointer = ""
    for part in error.absolute_path:
        pointer = child(pointer, part)
    schema = error.schema if isinstance(error.schema, dict) else {}
    yield from _TELLERS[str(error.validator)](pointer, error.instance, error.validator_value, schema)


def _missing(pointer: str, found: Any, required: Any, schema: dict[str, Any]) -> Iterator[Problem]:
    """Tell of members that are missing, except those that are there under a name spelt wrong."""
    known = schema["properties"]
    meant = {nearest(name, known) for name in _strangers(found, schema)}
    for name in required:
        if name not in found and name not in meant:
            about = _resolved(known[name])
            expected = about.get("x-expected") or _first_words(
                known[name].get("description", about["description"])
            )
            yield Problem(child(pointer, name), None, "this is missing", expected)


def _unknown(pointer: str, found: Any, _: Any, schema: dict[str, Any]) -> Iterator[Problem]:
    for name in _strangers(found, schema):
        place = child(pointer, name)
        if "x-names" in schema:
            rules = [pattern for pattern in schema["patternProperties"] if pattern != "^x-"]
            fit = respelt(name, rules[0])
            expected = f'"{fit}" ({schema["x-names"]})' if fit else schema["x-names"]
            yield Problem(place, name, "this cannot be a name here", expected)
        else:
            expected = choice(name, schema["properties"])
            yield Problem(
                place, name, "there is no such property here", f"{expected}; the site's own start with x-"
            )


def _type(pointer: str, found: Any, kinds: Any, schema: dict[str, Any]) -> Iterator[Problem]:
    wanted = " or ".join(_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    yield Problem(
        pointer, found, f"this must be {wanted}, not {_kind(found)}", schema.get("x-expected", wanted)
    )


def _choice(pointer: str, found: Any, known: Any, _: Any) -> Iterator[Problem]:
    yield Problem(pointer, found, "this is not one of the values there are", choice(found, known))


def _constant(pointer: str, found: Any, wanted: Any, _: Any) -> Iterator[Problem]:
    yield Problem(pointer, found, "only one value is possible here", json.dumps(wanted))


def _pattern(pointer: str, found: Any, pattern: Any, schema: dict[str, Any]) -> Iterator[Problem]:
    fit = respelt(found, pattern)
    expected = f'"{fit}" ({schema["x-expected"]})' if fit else schema["x-expected"]
    yield Problem(pointer, found, "this is not in the right form", expected)


def _short(pointer: str, found: Any, _: Any, schema: dict[str, Any]) -> Iterator[Problem]:
    yield Problem(
        pointer, found, "this is empty or too short", schema.get("x-expected", "at least one entry")
    )


def _long(pointer: str, found: Any, limit: Any, _: Any) -> Iterator[Problem]:
    yield Problem(pointer, found, f"this is too long, with {len(found)}", f"at most {limit}")


def _range(pointer: str, found: Any, _: Any, schema: dict[str, Any]) -> Iterator[Problem]:
    expected = f"a whole number from {schema['minimum']} to {schema['maximum']}"
    yield Problem(pointer, found, "this number is out of range", expected)


def _doubles(pointer: str, found: Any, _: Any, __: Any) -> Iterator[Problem]:
    seen: dict[bytes, int] = {}
    for index, item in enumerate(found):
        first = seen.setdefault(rfc8785.dumps(item), index)
        if first != index:
            yield Problem(
                child(pointer, index), item, f"this is there already, as entry {first}", "each entry once"
            )


_TELLERS: Mapping[str, Callable[[str, Any, Any, dict[str, Any]], Iterator[Problem]]] = {
    "additionalProperties": _unknown,
    "const": _constant,
    "enum": _choice,
    "maxItems": _long,
    "maxLength": _long,
    "maximum": _range,
    "minItems": _short,
    "minLength": _short,
    "minProperties": _short,
    "minimum": _range,
    "pattern": _pattern,
    "required": _missing,
    "type": _type,
    "uniqueItems": _doubles,
}


def _strangers(found: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return the names in `found` that neither `properties` nor `patternProperties` speak of."""
    patterns = list(schema.get("patternProperties", ()))
    return [
        name
        for name in found
        if name not in schema.get("properties", ()) and not any(re.search(rule, name) for rule in patterns)
    ]


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference inside the schema."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    definitions: Mapping[str, Any] = _validator().schema["$defs"]  # type: ignore[index]
    found: Mapping[str, Any] = definitions[reference.removeprefix("#/$defs/")]
    return found


def _first_words(description: str) -> str:
    """Return a description's first clause, fit to follow "expected"."""
    clause = re.split(r"[.:;](?: |$)", description)[0]
    return clause[:1].lower() + clause[1:]


def _kind(found: object) -> str:
    match found:
        case None:
            return "null"
        case bool():
            return "true" if found else "false"
        case str():
            return "text"
        case dict():
            return "an object"
        case list():
            return "a list"
    return "a number"
