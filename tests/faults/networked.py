"""Faults of the store on PostgreSQL: connections that break, servers that die, and power that is cut."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice, product

import psycopg

from tests.faults.disk import Disk, ext4, unmountable
from tests.faults.embedded import SEED, cut_power, kill_writers
from tests.faults.history import Seen
from tests.faults.table import Row, Scenario
from tests.faults.writers import Writers, wait_until
from tests.postgres_server import PostgresServer, programs, running
from tests.tcp_proxy import Cut, Proxy

# What a client says when it reads, takes its turn, writes and commits.
SAID = (b"AS wanted (history)", b"pg_advisory_xact_lock", b"INSERT INTO opening", b"COMMIT\0")


def unserved() -> str | None:
    """Say why there is no server to try this on; None if there is one."""
    return None if programs() else "no PostgreSQL: set CONSENTKIT_PG_BIN to the folder of initdb and postgres"


@contextmanager
def _server() -> Iterator[PostgresServer]:
    found = programs()
    assert found is not None
    with running(found) as server:
        yield server


def cut_connections(row: Row, rounds: int) -> None:
    """Break connections before, in and after each step, COMMIT above all, while two writers go on."""
    places = cycle((*product(SAID, Cut), *product(SAID[3:], Cut)))
    with _server() as server, Proxy(server.socket) as proxy:
        seen, name = Seen(), "cut"
        with Writers(server.url(name, port=proxy.port), seen, 2) as writers:
            writers.wait_for(1)
            for said, how in islice(places, rounds):
                before = proxy.fired
                proxy.cut(said, how)
                wait_until(lambda before=before: proxy.fired > before, "broken connection")
                row.rounds += 1
                row.fired += 1
                writers.wait_for(1)
        row.judge(seen, server.url(name))


def kill_loop(row: Row, rounds: int) -> None:
    """SIGKILL, with three writers on one server."""
    with _server() as server:
        kill_writers(server.url(), row, rounds, number=3)


def crash_server(row: Row, rounds: int) -> None:
    """Stop the server at once, as a crash does, under three writers; start it again."""
    with _server() as server:
        seen, url = Seen(), server.url()
        with Writers(url, seen, 3) as writers:
            for _ in range(rounds):
                writers.wait_for(3)
                server.crash()
                row.rounds += 1
                row.fired += 1
            writers.wait_for(1)
        row.judge(seen, url)


def kill_backends(row: Row, rounds: int) -> None:
    """SIGKILL the server's process of one of three writers; the server then ends all others and recovers."""
    chance = random.Random(SEED)
    with _server() as server:
        seen, url = Seen(), server.url("killed")
        with Writers(url, seen, 3) as writers:
            for _ in range(rounds):
                writers.wait_for(3)
                row.rounds += 1
                row.fired += _kill_one(server, chance)
                wait_until(lambda: _answers(server), "answer of the server")
            writers.wait_for(1)
        row.judge(seen, url)


def _kill_one(server: PostgresServer, chance: random.Random) -> bool:
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'consentkit killed'"
    with server.connect() as connection:
        pids = [pid for (pid,) in connection.execute(query)]
    os.kill(chance.choice(pids), signal.SIGKILL)
    return True


def _answers(server: PostgresServer) -> bool:
    try:
        server.connect().close()
    except psycopg.OperationalError:
        return False
    return True


def power_cut(row: Row, rounds: int, mode: str = "") -> None:
    """Cut the power of the server's disk under three writers, start again and look."""
    chance = random.Random(SEED)
    for _ in range(rounds):
        with ext4(512) as disk, _server() as server:
            _move(server, disk)
            seen, url = Seen(), server.url()
            try:
                with Writers(url, seen, 3, mode=mode) as writers:
                    writers.wait_for(10)
                    time.sleep(chance.uniform(0, 0.3))
                    row.rounds += 1
                    row.fired += cut_power(disk, seen, row)
            finally:
                server.stop(signal.SIGQUIT)
            disk.unmount()
            disk.mount()
            server.start()
            row.judge(seen, url)
            server.stop()


def _move(server: PostgresServer, disk: Disk) -> None:
    """Let the server keep its data on that disk."""
    server.stop()
    data, moved = server.folder / "data", disk.folder / "data"
    shutil.copytree(data, moved, symlinks=True)
    for path in (moved, *moved.rglob("*")):
        status = (data / path.relative_to(moved)).lstat()
        os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
    shutil.rmtree(data)
    data.symlink_to(moved)
    os.sync()
    server.start()


def _unpowered() -> str | None:
    return unserved() or unmountable()


SCENARIOS = (
    Scenario("PostgreSQL: connection cut", cut_connections, slow=40, quick=4, impossible=unserved),
    Scenario("PostgreSQL: kill -9, three writers", kill_loop, slow=40, impossible=unserved),
    Scenario("PostgreSQL: server crash", crash_server, slow=15, impossible=unserved),
    Scenario("PostgreSQL: kill -9 of a backend", kill_backends, slow=15, impossible=unserved),
    Scenario("PostgreSQL: power cut (ext4)", power_cut, slow=5, impossible=_unpowered),
    Scenario(
        "PostgreSQL: power cut, synchronous_commit=off", partial(power_cut, mode="lax"), slow=2, must_lose=True,
        impossible=_unpowered,
    ),
)  # fmt: skip
