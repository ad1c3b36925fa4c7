"""Whether an adapter was given what it can work with, said when the application is built and not by its visitors."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Signature, iscoroutinefunction, signature
from typing import Final, Literal

from consentkit.errors import InvalidOption

__all__ = ["check_wiring"]

_ARGUMENTS: Final = {"ASGI": "scope, receive, send", "WSGI": "environ, start_response"}
_CALL: Final = "ConsentMiddleware(app, manager)"


def check_wiring(app: object, manager: object, interface: Literal["ASGI", "WSGI"]) -> None:
    """Raise InvalidOption for arguments that are swapped or missing, and for an application of the other interface.

    An application whose signature does not tell what it is passes.
    """
    if _is_manager(app):
        raise InvalidOption("the manager stands where the application goes", remedy=f"write {_CALL}")
    if isinstance(manager, type) or not (_is_manager(manager) or callable(manager)):
        raise InvalidOption(
            f"{manager!r} is no manager",
            remedy="give what ConsentManager.open(...) gave, or a callable from host to manager",
        )
    if not callable(app):
        raise InvalidOption(f"{app!r} is no {interface} application", remedy=f"write {_CALL}")
    other = "WSGI" if interface == "ASGI" else "ASGI"
    if _interface(app) == other:
        raise InvalidOption(
            f"this is the middleware for {interface}, and {_name(app)} is an application for {other}: "
            f"it takes ({_ARGUMENTS[other]})",
            remedy=f"import ConsentMiddleware from consentkit.adapters.{other.lower()}",
        )


def _is_manager(candidate: object) -> bool:
    return hasattr(candidate, "visit") and hasattr(candidate, "decide_for")


def _interface(app: Callable[..., object]) -> str | None:
    """Tell what an application's signature shows it to be: a coroutine or three arguments, or else two."""
    if iscoroutinefunction(app) or iscoroutinefunction(getattr(app, "__call__", None)):  # noqa: B004
        return "ASGI"
    try:
        found = signature(app)
    except (TypeError, ValueError):
        return None
    two, three = _takes(found, 2), _takes(found, 3)
    return None if two == three else "WSGI" if two else "ASGI"


def _takes(found: Signature, count: int) -> bool:
    try:
        found.bind(*range(count))
    except TypeError:
        return False
    return True


def _name(app: object) -> str:
    name = getattr(app, "__qualname__", None)
    return name if isinstance(name, str) else f"a {type(app).__qualname__}"
