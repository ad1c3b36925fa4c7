"""Whether a document is a policy: its form, then how its parts agree, everything in one answer."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from consentkit.errors import PolicyError, Problem
from consentkit.policy.load import check_values, walk
from consentkit.policy.references import reference_problems
from consentkit.policy.schema import form_problems

__all__ = ["check"]


def check(document: object) -> dict[str, Any]:
    """Return `document` once it is known to be a policy. Raises PolicyError with all problems, in its order."""
    if not isinstance(document, Mapping):
        kind = type(document).__name__
        raise PolicyError(
            [Problem("", kind, "a policy is a JSON object", "an object with schema, version, ...")]
        )
    plain = dict(document)
    check_values(plain)
    form = form_problems(plain)
    sound = _without(plain, (problem.pointer for problem in form)) if form else plain
    problems = [*form, *reference_problems(sound)]
    if problems:
        raise PolicyError(_in_order(problems, plain))
    return plain


def _without(document: dict[str, Any], pointers: Iterable[str]) -> dict[str, Any]:
    """Return a copy with None in place of what the pointers lead to, so that the rest can still be checked."""
    result = copy.deepcopy(document)
    for pointer in pointers:
        *path, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
        place: Any = result
        for part in path:
            place = place[int(part) if isinstance(place, list) else part] if place is not None else None
        if isinstance(place, list):
            place[int(last)] = None
        elif place is not None:
            place[last] = None
    return result


def _in_order(problems: Iterable[Problem], document: dict[str, Any]) -> list[Problem]:
    places = {pointer: number for number, (pointer, _, _) in enumerate(walk(document))}

    def place(problem: Problem) -> tuple[int, str]:
        pointer = problem.pointer
        while pointer not in places:  # what is missing comes after what should hold it
            pointer = pointer.rpartition("/")[0]
        return places[pointer], problem.pointer

    return sorted(problems, key=place)
