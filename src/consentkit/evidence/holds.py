"""Holds as a pack tells of them: one line of JSON for each, which opens it to the records that it is about."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from consentkit.errors import InvalidRecord
from consentkit.evidence._encoding import MAX_INT, format_json, parse_json
from consentkit.evidence.entry import is_field
from consentkit.evidence.store import Hold

__all__ = ["format_hold", "parse_hold"]


def format_hold(hold: Hold) -> bytes:
    """Return a hold as one line of JSON, newline included."""
    members = {
        "hold": hold.hold_id,
        "placed": hold.placed,
        "released": hold.released,
        "indexes": list(hold.indexes),
    }
    return format_json(members) + b"\n"


def parse_hold(line: bytes) -> Hold:
    """Read a line that `format_hold` wrote, or one that says the same. Raises InvalidRecord for all else."""
    try:
        members = parse_json(line)
    except ValueError as error:
        raise InvalidRecord(f"a hold is not JSON as holds have it: {error}") from None
    match members:
        case {"hold": str(name), "placed": placed, "released": released, "indexes": list(indexes), **rest}:
            ends = released is None or (_is_index(released) and released > placed)
            if not rest and is_field(name) and _is_index(placed) and ends and _ascend(indexes, placed):
                return Hold(name, placed, released, tuple(indexes))
    raise InvalidRecord("a hold has just hold, indexes, placed and released, each as it must be")


def _is_index(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT


def _ascend(indexes: list[Any], below: int) -> bool:
    return all(map(_is_index, indexes)) and all(a < b for a, b in pairwise([*indexes, below]))
