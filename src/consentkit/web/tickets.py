"""Tickets to receipts: what a decision's answer leads to its receipt by, for visitors who carry nothing that would.

A ticket names one entry of one log for an hour. It is kept nowhere: whoever has the answer has it.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from typing import Final
from urllib.parse import parse_qs

from consentkit.errors import InvalidKey
from consentkit.keys import CookieKeys
from consentkit.web.request import Request

__all__ = ["QUERY", "ticket_for", "ticket_in", "ticket_index"]

QUERY: Final = "of"
"""The name of the query's field that holds a ticket."""

LIFETIME: Final = 3_600_000
"""Milliseconds."""

_FORM: Final = re.compile(r"([A-Za-z0-9_-]{4})\.([0-9]{1,15})\.([0-9]{1,15})\.([A-Za-z0-9_-]{43})")


def ticket_for(index: int, keys: CookieKeys, log_name: str, now: int) -> str:
    """Make a ticket to the receipt of an entry; `now` is UTC milliseconds."""
    key_id = keys.signing.key_id
    told = f"{key_id}.{index}.{now + LIFETIME}"
    return f"{told}.{_tag(told, keys, key_id, log_name)}"


def ticket_in(request: Request) -> str | None:
    """Give what has the form of a ticket in a request's query; None when there is no such thing."""
    if not request.query:
        return None
    values = parse_qs(request.query, max_num_fields=None).get(QUERY, ())
    return values[0] if len(values) == 1 and _FORM.fullmatch(values[0]) else None


def ticket_index(ticket: str, keys: CookieKeys, log_name: str, now: int) -> int | None:
    """Give the index that a ticket names; None for one that is too old, of another log, or not ours."""
    match = _FORM.fullmatch(ticket)
    if match is None or now >= int(match[3]):
        return None
    try:
        tag = _tag(ticket.rpartition(".")[0], keys, match[1], log_name)
    except InvalidKey:
        return None
    return int(match[2]) if hmac.compare_digest(tag, match[4]) else None


def _tag(told: str, keys: CookieKeys, key_id: str, log_name: str) -> str:
    # No scope of a cookie begins like this.
    mac = hmac.digest(keys.derive(key_id, f"receipt:{log_name}"), told.encode("ascii"), "sha256")
    return urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")
