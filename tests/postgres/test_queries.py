"""What is asked of a large ledger is looked up by an index, whether the server has looked at the tables or not."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from consentkit.evidence import _postgres_tables as tables
from consentkit.evidence.ledger import Ledger
from tests.evidence.samples import KEYS, history
from tests.postgres_server import PostgresServer

ROWS = 20_000
FILL = f"""
INSERT INTO entry SELECT n, ('consentkit/1 record ' || n)::bytea FROM generate_series(9, {ROWS}) AS n;
INSERT INTO node SELECT 8, n, sha256(n::text::bytea) FROM generate_series(0, {ROWS}) AS n;
INSERT INTO opening SELECT n, left(translate(encode(sha256(n::text::bytea), 'base64'), '+/', '-_'), 22), 0,
    lpad('', 200, 'x'), lpad('', 80, 'y'), sha512(n::text::bytea) FROM generate_series(9, {ROWS}) AS n;
INSERT INTO answered SELECT sha256(('a' || n)::bytea), sha256(('b' || n)::bytea), n, n FROM generate_series(9, {ROWS}) n;
"""
LARGE = re.compile(r"Seq Scan on (?:opening|entry|node|answered)\b.*")


@pytest.fixture(scope="module", params=["analysed", "never analysed"])
def large(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger with many rows, which its head does not know of."""
    url = postgres.url()
    name = url.rpartition("ledger=")[2]
    with Ledger.open(url, keys=KEYS) as ledger, postgres.connect() as connection:
        connection.execute(f"SET search_path TO {name}; {FILL}".encode())
        if request.param == "analysed":
            connection.execute("ANALYZE opening, entry, node, answered, head, key_entry, consentkit")
        yield ledger
        connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plans of all statements with parameters that are executed meanwhile."""
    found: list[str] = []
    execute = psycopg.Connection.execute

    def explained(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
        if params is not None and self.info.transaction_status.name != "UNKNOWN" and not self._pipeline:
            prefix = b"EXPLAIN " if isinstance(query, bytes) else "EXPLAIN "
            found.append("\n".join(line for (line,) in execute(self, prefix + query, params).fetchall()))
        return execute(self, query, params, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", explained)
    return found


def test_whatever_is_asked_for_is_looked_up(large: Ledger, plans: list[str]) -> None:
    """Histories, the latest choices, an opening, a receipt's hashes, and what a batch is built on."""
    assert large.history(history()) == ()
    assert not large.current(history()).choices
    assert large.opening(5) is None
    store = large._store
    store.basis([history() for _ in range(20)], [bytes(32)])
    with store.view() as view:
        view.tails([history()])
        view.answered([bytes(32)])
        list(view.entries(5, 10))
        list(view.nodes(8, 5, 10))
        list(view.openings(5, 10))
        list(view.removals(5))
        view.has("policy", "x")
    assert len(plans) >= 10
    assert [scan for plan in plans for scan in LARGE.findall(plan)] == []


def test_what_is_taken_away_is_looked_up(large: Ledger) -> None:
    """One record among many, by its index in the log, wherever there is something of it."""
    with large._store.view():
        connection = large._store._connect()  # type: ignore[attr-defined]
        for statement in tables._REMOVE:
            query, ranges = f"EXPLAIN {statement}".encode(), ([5, 9], [6, 10], [])
            plan = "\n".join(line for (line,) in connection.execute(query, ranges).fetchall())
            assert not LARGE.search(plan), plan


def test_the_check_finds_a_scan(large: Ledger, plans: list[str]) -> None:
    """So it can fail."""
    with large._store.view() as view:
        view._read("SELECT idx FROM opening WHERE blind = %b", b"")  # type: ignore[attr-defined]
    assert LARGE.search(plans[-1])
