"""Fixtures that any part of the test suite may use."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests import support

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

# No deadline and no stop-watch on examples: a busy machine is not a broken law. What CI finds, CI finds again.
settings.register_profile(
    "consentkit",
    deadline=None,
    derandomize="CI" in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("consentkit")


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where ledgers on a server have their spools: not in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("XDG_STATE_HOME", str(folder))
        patch.delenv("STATE_DIRECTORY", raising=False)
        yield folder


@pytest.fixture
def clock() -> support.Clock:
    """A clock fixed at 2026-11-02T12:00:00Z; ``clock()`` reads it, ``clock.advance(span)`` moves it."""
    return support.Clock()


@pytest.fixture
def free_port() -> int:
    """A loopback TCP port that nothing listens on."""
    return support.free_port()


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of other projects' test vectors, which is kept outside the repository.

    ``CONSENTKIT_VECTORS`` names it; without that, ``../shared/vectors`` beside the repository is tried.
    """
    folder = Path(os.environ.get("CONSENTKIT_VECTORS", support.ROOT / ".." / "shared" / "vectors"))
    if not folder.is_dir():
        pytest.skip(f"no test vectors at {folder}: set CONSENTKIT_VECTORS to the folder that holds them")
    return folder


Serve = Callable[..., support.Server]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start real servers on loopback; each is stopped when the module's tests are over.

    ``serve("tests.web.apps:app", server="uvicorn", options=["--workers", "1"], env={...})`` returns a
    ``Server`` with ``url``, ``port``, ``process``, ``output`` and ``stop()``.
    """
    started: list[support.Server] = []

    def start(
        app: str,
        *,
        server: str = "uvicorn",
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> support.Server:
        port = support.free_port()
        log = tmp_path_factory.mktemp("server") / f"{server}.log"
        command = support.server_command(server, app, port, options)
        started.append(support.Server(command, port, log, env or {}))
        return started[-1].wait_ready()

    yield start
    for running in reversed(started):
        running.stop()


@pytest.fixture(scope="session")
def postgres() -> "Iterator[PostgresServer]":
    """A PostgreSQL server; ``postgres.url()`` is that of a ledger in it which is not there yet."""
    from tests.postgres_server import programs, running

    if (found := programs()) is None:
        pytest.skip("no PostgreSQL: set CONSENTKIT_PG_BIN to the folder of initdb and postgres")
    with running(found) as server:
        yield server
