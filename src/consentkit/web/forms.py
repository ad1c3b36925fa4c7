"""A posted decision, as a form or as JSON: bytes in, a checked value out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

import attrs

from consentkit.consent.decision import Answer, Control, NoticeRef
from consentkit.errors import BadRequest
from consentkit.policy import Model, Policy

__all__ = ["Submission", "answer_to", "parse_submission"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_METHOD = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_MAX_FIELDS = 512
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_CONTROLS = tuple(control.value for control in Control)
_LISTS = ("asked", "shown", "on")


@attrs.frozen(kw_only=True)
class Submission:
    """What a notice's form posts.

    `control` is the button used; `asked` the categories and services that had a toggle; `shown` those whose
    toggle was on when shown (None: not said), and `on` those that were on when posted; `notice` and `policy`
    are the digests of what was shown, "" when not said. Names are checked for their form only: a page may be
    older than the policy.
    """

    control: Control
    notice: str = ""
    policy: str = ""
    asked: tuple[str, ...] = ()
    shown: frozenset[str] | None = None
    on: frozenset[str] = frozenset()
    signal: bool = False
    method: str = "banner"


# Visitors of one page give few different answers, so most of what is posted has been read before.
@lru_cache(maxsize=256)
def parse_submission(content_type: bytes, body: bytes) -> Submission:
    """Read a posted decision. Unknown fields do not matter.

    Raises BadRequest: 415 for another kind of body, 400 for one that cannot be understood.
    """
    kind = content_type.partition(b";")[0].strip(b" \t").lower().decode("latin-1")
    if kind == _FORM:
        return _submission(_form_fields(body))
    if kind == _JSON:
        return _submission(_json_fields(body))
    raise BadRequest(f"a decision is posted as {_FORM} or {_JSON}", status=415)


def _form_fields(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError:  # UnicodeDecodeError included, from the body as from what it percent-encodes
        raise BadRequest("the form cannot be read") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in _LISTS:
            fields.setdefault(name, []).extend(value.split())
        elif name in fields:
            raise BadRequest("a field that has one value comes twice")
        else:
            fields[name] = value
    return fields


def _json_fields(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadRequest("the body is no JSON") from None
    if not isinstance(document, dict):
        raise BadRequest("the body is no JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name comes twice")
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _submission(fields: Mapping[str, Any]) -> Submission:
    return Submission(
        control=_control(fields),
        notice=_text(fields, "notice", _DIGEST),
        policy=_text(fields, "policy", _DIGEST),
        asked=_names(fields, "asked"),
        shown=None if fields.get("shown") is None else frozenset(_names(fields, "shown")),
        on=frozenset(_names(fields, "on")),
        signal=_flag(fields, "signal"),
        method=_text(fields, "method", _METHOD) or "banner",
    )


def _control(fields: Mapping[str, Any]) -> Control:
    value = fields.get("control")
    if isinstance(value, str) and value in _CONTROLS:
        return Control(value)
    raise BadRequest(f"the field 'control' must be one of: {', '.join(_CONTROLS)}")


def _text(fields: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = fields.get(name)
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not form.fullmatch(value):
        raise BadRequest(f"the field {name!r} is malformed")
    return value


def _names(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    if value is None:
        return ()
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, list) or len(items) > _MAX_FIELDS:
        raise BadRequest(f"the field {name!r} must list names")
    if not all(isinstance(item, str) and _NAME.fullmatch(item) for item in items):
        raise BadRequest(f"the field {name!r} holds something that is no name")
    return tuple(dict.fromkeys(items))


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value in (None, False, "", "0"):
        return False
    if value is True or value == "1":
        return True
    raise BadRequest(f"the field {name!r} must be true or false")


@lru_cache(maxsize=256)
def answer_to(submission: Submission, notice: NoticeRef | None, policy: Policy) -> Answer:
    """Turn a submission into an answer to `notice`, the one it names if that was published; `policy` is its.

    Where it is not said how the toggles were shown, each of them is an act. Without a notice, or with a policy
    that is not that notice's, the answer names a notice of no policy: it can refuse and not grant.
    """
    if notice is None or submission.policy not in ("", notice.policy):
        notice = NoticeRef(submission.notice, "", "", Model.OPT_IN, "", "")
    shown, on = submission.shown, submission.on
    toggles = dict.fromkeys((*submission.asked, *(shown or ()), *on))
    for category in submission.asked:
        toggles |= dict.fromkeys(_singled_out(submission, category, policy))
    return Answer(
        control=submission.control,
        asked=submission.asked,
        choices=MappingProxyType({name: name in on for name in toggles}),
        shown=MappingProxyType({n: n not in on if shown is None else n in shown for n in toggles}),
        signal_shown=submission.signal,
        notice=notice,
        method=submission.method,
    )


def _singled_out(submission: Submission, category: str, policy: Policy) -> list[str]:
    """Give a category's services if any of them was ticked: then those left alone are a no of their own.

    A form posts no toggle that is off. Where no service is ticked, all of them follow their category, but for
    those that were shown on: switching them off was an act.
    """
    services = [s.id for s in policy.services_in(category)] if category in policy.category_ids else []
    return services if submission.on.intersection(services) else []
