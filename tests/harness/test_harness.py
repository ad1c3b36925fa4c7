"""The shared fixtures do what they promise."""

import urllib.request
from datetime import timedelta

import pytest

from tests import support
from tests.harness.apps import BODY


def fetch(url: str) -> bytes:
    """Return the body that a GET of ``url`` brings."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


def test_the_clock_stands_still_until_moved(clock: support.Clock) -> None:
    """Two readings agree; a step moves both a timedelta's and a number's worth."""
    assert clock() == clock() == support.START
    assert clock.advance(timedelta(days=1)) == support.START + 86_400_000
    assert clock.advance(-1) == clock() == support.START + 86_399_999


@pytest.mark.parametrize(("server", "app"), [("uvicorn", "asgi"), ("gunicorn", "wsgi")])
def test_a_real_server_answers_and_stops(serve, server: str, app: str) -> None:
    """A served application is reachable, and its process is gone after ``stop``."""
    running = serve(f"tests.harness.apps:{app}", server=server)
    assert fetch(running.url) == BODY
    assert running.stop() in {0, 143, -15}
    with pytest.raises(OSError, match="refused"):
        fetch(running.url)


def test_a_server_that_cannot_start_says_why(serve) -> None:
    """The server's own output is in the error."""
    with pytest.raises(RuntimeError, match=r"tests\.harness\.nowhere"):
        serve("tests.harness.nowhere:app")


def test_an_unknown_server_is_refused() -> None:
    """A misspelt server name is an error at once."""
    with pytest.raises(ValueError, match="gunicron"):
        support.server_command("gunicron", "x:y", 1)
