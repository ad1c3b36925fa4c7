"""From a file to a JSON document: strictly JSON, within limits, every name once."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from os import PathLike
from typing import Any, NoReturn

import attrs

from consentkit.errors import PolicyError, Problem

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_MEMBERS",
    "MAX_VALUES",
    "check_values",
    "child",
    "parse",
    "read",
    "walk",
]

MAX_BYTES = 1 << 20
"""Octets of JSON text; a site with hundreds of services needs a fifth of it."""
MAX_DEPTH = 32
"""Objects and arrays inside each other."""
MAX_MEMBERS = 1_000
"""Entries of one object or array."""
MAX_VALUES = 100_000
"""Values in the whole document."""

_SAFE_INTEGER = 2**53 - 1
_OPENING, _CLOSING, _NEXT = frozenset("{["), frozenset("}]"), ","
_CONSTANTS = frozenset(["NaN", "Infinity", "-Infinity"])
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


def child(pointer: str, name: str | int) -> str:
    """Return the JSON pointer of `name` inside what `pointer` points at (RFC 6901)."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


def read(path: str | PathLike[str]) -> bytes:
    """Return the octets of the file `path`. Raises PolicyError if it cannot be read or is too large."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        problem = Problem("", str(path), "there is no such file", "the path of a policy in JSON")
    except IsADirectoryError:
        problem = Problem("", str(path), "this is a folder", "the path of a policy in JSON")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = Problem("", str(path), f"the file cannot be read: {reason}", "a file this user may read")
    raise PolicyError([problem], remedy="check the path")


def parse(data: bytes | str) -> dict[str, Any]:
    """Return the object that JSON text in UTF-8 (RFC 8259) describes; a byte order mark is passed over.

    Raises PolicyError, with line and column, for anything else: broken JSON, NaN and infinities, an object
    that gives one name twice, text beyond `MAX_BYTES`, nesting beyond what `check_values` allows.
    """
    text = _decoded(data)
    suspect = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal suspect
        result = dict(found)
        suspect = suspect or len(result) != len(found)
        return result

    def constant(_: str) -> None:
        nonlocal suspect
        suspect = True

    try:
        document = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        _refuse(Problem("", None, f"this is not JSON at {place}: {error.msg[:1].lower()}{error.msg[1:]}"))
    except RecursionError:
        _refuse(_too_deep(""))
    if suspect:
        raise PolicyError(list(_misspelt(text)))
    if not isinstance(document, dict):
        _refuse(Problem("", None, "a policy is a JSON object", "an object with schema, version, ..."))
    return document


def walk(document: object) -> Iterator[tuple[str, int, object]]:
    """Yield each value with its pointer and depth, in document order, without recursion.

    What has more than `MAX_MEMBERS` entries is not entered, so a caller that stops in time stays unharmed.
    """
    todo: list[tuple[str, int, object]] = [("", 1, document)]
    while todo:
        pointer, depth, value = todo.pop()
        yield pointer, depth, value
        if isinstance(value, dict | list) and len(value) <= MAX_MEMBERS:
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            todo += [(child(pointer, name), depth + 1, inner) for name, inner in entries][::-1]


def check_values(document: object) -> None:
    """Check that `document` is made of what JSON can say (RFC 8259, RFC 8785), within the limits of this module.

    Raises PolicyError. It stops at the first limit that is passed, so neither a deep, a circular nor an
    exploding structure does harm.
    """
    problems: list[Problem] = []
    for count, (pointer, depth, value) in enumerate(walk(document)):
        if depth > MAX_DEPTH:
            _refuse(_too_deep(pointer))
        if count >= MAX_VALUES:
            _refuse(Problem("", None, f"the policy has more than {MAX_VALUES} values", "a smaller document"))
        problem = _value_problem(pointer, value)
        if problem is not None:
            problems.append(problem)
    if problems:
        raise PolicyError(problems)


def _value_problem(pointer: str, value: object) -> Problem | None:
    match value:
        case None | bool():
            return None
        case str():
            bad = _SURROGATE.search(value)
            return bad and Problem(pointer, None, "the text has half of a surrogate pair", "Unicode text")
        case float() if value - value != 0:  # an infinity or NaN
            return Problem(pointer, str(value), "JSON has no such number", "a finite number")
        case int() | float():
            # Beyond this, parsers disagree about the value, and so would they about the digest (RFC 7493).
            fits = -_SAFE_INTEGER <= value <= _SAFE_INTEGER
            return None if fits else Problem(pointer, None, "the number is too large", "at most 2**53 - 1")
        case list() | dict() if len(value) > MAX_MEMBERS:
            return Problem(pointer, None, f"it has {len(value)} entries", f"at most {MAX_MEMBERS}")
        case list():
            return None
        case dict():
            bad_names = [name for name in value if not isinstance(name, str) or _SURROGATE.search(name)]
            if not bad_names:
                return None
            return Problem(pointer, repr(bad_names[0]), "a name is not Unicode text", "text in Unicode")
    return Problem(
        pointer, type(value).__name__, "JSON has no such value", "text, number, true, false, list, object"
    )


def _decoded(data: bytes | str) -> str:
    if len(data) > MAX_BYTES:
        _refuse(Problem("", None, f"the policy is larger than {MAX_BYTES} octets", "a smaller document"))
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        message = f"the text is not UTF-8 at line {line}, octet {column}"
        _refuse(Problem("", f"0x{data[error.start]:02x}", message, "JSON saved as UTF-8"))


def _integer(text: str) -> int:
    """Read an integer; cut to 20 characters one is still too large, and `check_values` says so."""
    return int(text[:20])


@attrs.define
class _Frame:
    """Where the scan is inside an object (`names` met so far) or an array (`names` None)."""

    pointer: str
    names: set[str] | None
    name: str | None = None
    index: int = 0

    @property
    def here(self) -> str:
        return child(self.pointer, self.index if self.name is None else self.name)


def _misspelt(text: str) -> Iterator[Problem]:
    """Find in JSON that a lenient parser accepts what it should not have: doubled names, NaN, infinities."""
    lines = [match.start() for match in re.finditer("\n", text)]
    stack: list[_Frame] = []
    for match in _TOKEN.finditer(text):
        piece, frame = match[0], stack[-1] if stack else _Frame("", None)
        here = frame.here if stack else ""
        if piece in _OPENING:
            stack.append(_Frame(here, set() if piece == "{" else None))
        elif piece in _CLOSING:
            stack.pop()
        elif piece == _NEXT:
            frame.index, frame.name = frame.index + 1, None
        elif piece in _CONSTANTS:
            place = _place(match.start(), lines)
            yield Problem(here, piece, f"JSON has no such number, {place}", "a number")
        elif frame.names is not None and frame.name is None:
            frame.name = json.loads(piece)
            if frame.name in frame.names:
                place = _place(match.start(), lines)
                yield Problem(
                    frame.here, None, f"this name is given twice, again at {place}", "one of the two"
                )
            frame.names.add(frame.name)


def _place(position: int, lines: list[int]) -> str:
    line = bisect_left(lines, position)
    return f"line {line + 1}, column {position - (lines[line - 1] if line else -1)}"


def _refuse(problem: Problem) -> NoReturn:
    raise PolicyError([problem])


def _too_deep(pointer: str) -> Problem:
    return Problem(
        pointer, None, f"objects and lists are nested deeper than {MAX_DEPTH}", "a flatter document"
    )
