"""Sphinx extension: the reference part of policy.md, written from the policy's JSON Schema whenever docs are built."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from consentkit._data import schema_text

PLACE = "<!-- the reference is written here from schemas/policy.schema.json -->"
REMARK = "^x-"
ROOT = "document"
KINDS = {"string": "text", "boolean": "`true` or `false`", "integer": "a whole number", "object": "an object"}

Schema = Mapping[str, Any]


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write(_app: object, docname: str, source: list[str]) -> None:
    """Put the reference in its place; a page that lost the place is an error."""
    if docname == "policy":
        before, place, after = source[0].partition(PLACE)
        if not place:
            raise ValueError(f"docs/policy.md has no line {PLACE!r}")
        source[0] = before + reference(json.loads(schema_text("policy"))) + after


def reference(schema: Schema) -> str:
    """Return a section for each kind of object and a list of the forms that values have, as Markdown."""
    definitions: Schema = schema["$defs"]
    objects = {name: one for name, one in definitions.items() if "properties" in one}
    values = {name: one for name, one in definitions.items() if name not in objects and name != "remark"}
    sections = {ROOT: schema, **objects}
    lines = [line for name, one in sections.items() for line in section(name, one, definitions)]
    lines += ["(policy-values)=", "### Forms of values", ""]
    for name, one in values.items():
        lines += [
            f"({anchor(name)})=",
            f"`{name}`",
            f": {plain(one['description'])} {sentence(form(one))}",
            "",
        ]
    return "\n".join(lines)


def section(name: str, one: Schema, definitions: Schema) -> Iterator[str]:
    """Yield a heading, what the object is, and a table of its members."""
    yield from (
        f"({anchor(name)})=",
        f"### {name.replace('_', ' ').capitalize()}",
        "",
        plain(one["description"]),
        "",
    )
    yield from ("| member | value | what it says |", "|---|---|---|")
    for member, what in one["properties"].items():
        told = what.get("description") or definitions[target(what)]["description"]
        needed = " *(required)*" if member in one.get("required", ()) else ""
        yield f"| `{member}`{needed} | {form(what)} | {plain(told)} |"
        for inner, inside in what.get("properties", {}).items():
            if "$ref" not in what:
                yield f"| `{member}.{inner}` | {form(inside)} | {plain(inside['description'])} |"
    yield ""


def form(what: Schema) -> str:
    """Say in a few words what a member may be."""
    if "$ref" in what:
        return f"[{target(what)}](#{anchor(target(what))})"
    if "const" in what:
        return f"`{json.dumps(what['const'])}`"
    if "enum" in what:
        return ", ".join(f"`{one}`" for one in what["enum"])
    if what["type"] == "array":
        return f"list of {form(what['items'])}"
    entries = [one for name, one in what.get("patternProperties", {}).items() if name != REMARK]
    if entries and "x-expected" not in what:
        by = what["x-names"].partition(":")[0].partition(" such as")[0]
        return f"object: by {by}, {form(entries[0])}"
    if "maximum" in what:
        return f"a whole number from {what['minimum']} to {what['maximum']}"
    return plain(what.get("x-expected", KINDS.get(str(what["type"]), "")))


def target(what: Schema) -> str:
    """Return the name of the definition that a member refers to."""
    return str(what["$ref"]).removeprefix("#/$defs/")


def anchor(name: str) -> str:
    """Return the label of a definition."""
    return f"policy-{name.replace('_', '-')}"


def sentence(text: str) -> str:
    """Return text as a sentence."""
    return f"{text[0].upper()}{text[1:]}."


def plain(text: str) -> str:
    """Return text in which nothing is markup."""
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", text)
