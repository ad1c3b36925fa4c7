"""Openings: what reveals the record behind a log entry. They live beside the tree, so they can be erased."""

from __future__ import annotations

from typing import Any, Final

from attrs import field, frozen

from consentkit.errors import InvalidRecord
from consentkit.evidence._encoding import MAX_INT, decode64_of, encode64, format_json, parse_json
from consentkit.evidence.entry import BLIND_BYTES, commitment

__all__ = ["Opening", "format_opening", "parse_opening"]

_NAMES: Final = {"index", "record", "disclosures", "blind"}


@frozen
class Opening:
    """The record behind entry `index`: its JWT, its disclosures, and the 64 random bytes that blind it."""

    index: int
    record: str = field(repr=False)
    disclosures: tuple[str, ...] = field(repr=False)
    blind: bytes = field(repr=False)

    @property
    def commitment(self) -> bytes:
        """The 32 bytes that the entry must carry for this opening to be its own."""
        return commitment(self.record.encode(), self.blind)


def format_opening(opening: Opening) -> bytes:
    """Return an opening as one line of JSON, newline included, as the files of a pack hold it."""
    return format_json(opening_members(opening)) + b"\n"


def opening_members(opening: Opening) -> dict[str, Any]:
    """Return the members of an opening's JSON object."""
    return {
        "index": opening.index,
        "record": opening.record,
        "disclosures": list(opening.disclosures),
        "blind": encode64(opening.blind),
    }


def parse_opening(line: bytes) -> Opening:
    """Read a line that `format_opening` wrote, or one that says the same. Raises InvalidRecord for all else.

    Says nothing about the record in it: `consentkit.evidence.record.parse_record` does.
    """
    try:
        members = parse_json(line)
    except ValueError as error:
        raise InvalidRecord(f"an opening is not JSON as openings have it: {error}") from None
    return read_opening(members)


def read_opening(members: Any) -> Opening:
    """Take an opening from its JSON object. Raises InvalidRecord when it is none."""
    match members:
        case {"index": index, "record": str(record), "disclosures": list(told), "blind": str(blind), **rest}:
            opened = decode64_of(blind, BLIND_BYTES)
            good = type(index) is int and 0 <= index <= MAX_INT and all(type(d) is str for d in told)
            if good and opened is not None and record.isascii() and not rest:
                return Opening(index, record, tuple(told), opened)
    raise InvalidRecord(f"an opening has just {', '.join(sorted(_NAMES))}, each as it must be")
