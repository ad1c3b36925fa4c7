"""What a mistaken line in a developer's file leads to: an error that says what to write instead."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from consentkit import ConsentManager
from consentkit.adapters import asgi, wsgi
from consentkit.errors import InvalidOption
from tests.web.sites import Site

BOTH = pytest.mark.parametrize("adapter", [asgi, wsgi])


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    """An application for WSGI."""
    return []


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    """An application for ASGI."""


def returns_awaitable(scope: Any, receive: Any, send: Any) -> Any:
    """An application for ASGI that is no coroutine function."""


class Both:
    """An application object of a framework, with the interface that its subclass says."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


class WsgiObject(Both):
    """As Flask's or Django's."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer."""


class AsgiObject(Both):
    """As Starlette's or FastAPI's."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""


WSGI = [wsgi_app, WsgiObject(wsgi_app), functools.partial(wsgi_app)]
ASGI = [asgi_app, AsgiObject(asgi_app), functools.partial(asgi_app), returns_awaitable]
UNTOLD: list[Any] = [lambda *arguments: None, type("Dynamic", (), {"__call__": lambda *arguments: None})()]


@BOTH
@pytest.mark.parametrize("app", [wsgi_app, asgi_app])
def test_swapped_arguments_are_told(adapter: Any, app: Any) -> None:
    """The manager wraps nothing."""
    with pytest.raises(InvalidOption, match=r"ConsentMiddleware\(app, manager\)"):
        adapter.ConsentMiddleware(Site(), app)


@BOTH
@pytest.mark.parametrize("manager", [None, "policy.json", ConsentManager])
def test_what_is_no_manager_is_told(adapter: Any, manager: Any) -> None:
    """The class is none either: it has to be opened."""
    with pytest.raises(InvalidOption, match=r"ConsentManager\.open"):
        adapter.ConsentMiddleware((wsgi_app if adapter is wsgi else asgi_app), manager)


@BOTH
def test_what_is_no_application_is_told(adapter: Any) -> None:
    """A forgotten return in the function that makes it, say."""
    with pytest.raises(InvalidOption, match="None is no"):
        adapter.ConsentMiddleware(None, Site())


@pytest.mark.parametrize("app", ASGI)
def test_an_asgi_application_is_none_for_wsgi(app: Any) -> None:
    """It would be called with two arguments, on its first visitor."""
    with pytest.raises(InvalidOption, match=r"import ConsentMiddleware from consentkit\.adapters\.asgi"):
        wsgi.ConsentMiddleware(app, Site())


@pytest.mark.parametrize("app", WSGI)
def test_a_wsgi_application_is_none_for_asgi(app: Any) -> None:
    """And with three here."""
    with pytest.raises(InvalidOption, match=r"import ConsentMiddleware from consentkit\.adapters\.wsgi"):
        asgi.ConsentMiddleware(app, Site())


@BOTH
@pytest.mark.parametrize("manager", [Site(), lambda host: None])
def test_what_fits_or_does_not_tell_passes(adapter: Any, manager: Any) -> None:
    """Nothing is guessed of a callable that takes whatever comes."""
    for app in (*UNTOLD, *(WSGI if adapter is wsgi else ASGI)):
        adapter.ConsentMiddleware(app, manager)
