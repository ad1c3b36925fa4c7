"""What a server, a database and a role must be for a ledger, and what is said when they are not."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from consentkit.errors import LedgerConflict, LedgerError, LedgerUnavailable, OutcomeUnknown
from consentkit.evidence import postgres
from consentkit.evidence._postgres_schema import MIGRATIONS
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.postgres import PostgresStore
from consentkit.evidence.store import open_store
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, draft, history
from tests.evidence.test_ledger import check
from tests.postgres_server import PostgresServer
from tests.support import ROOT


def name_of(url: str) -> str:
    """The schema of a ledger."""
    return url.rpartition("ledger=")[2]


@pytest.fixture
def sure(postgres: PostgresServer) -> "Iterator[psycopg.Connection[Any]]":
    """A superuser's connection."""
    with postgres.connect() as connection:
        yield connection


@contextmanager
def role(sure: "psycopg.Connection[Any]", name: str, *rights: str) -> Iterator[None]:
    """A role that may connect, and has these rights."""
    sure.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    try:
        for right in rights:
            sure.execute(f"GRANT {right} TO {name}".encode())
        yield
    finally:
        sure.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        sure.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


# The URL


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@h/db?ledger=Upper",
        "postgresql://u:secret@h/db?ledger=1",
        "postgresql://u:secret@h/db?ledger=pg_x",
        "postgresql://u:secret@h/db?ledger=" + "x" * 49,
        "postgresql://u:secret@h/db?ledger=a&ledger=b",
        "postgresql://u:secret@h/db?ledger=",
        "postgresql://u:secret@h/db?nonsense=1",
        "postgresql://u:secret@[h/db",
    ],
)
def test_a_url_that_names_no_ledger_is_refused_and_not_repeated(url: str) -> None:
    """What it says may be a password."""
    with pytest.raises(LedgerUnavailable) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
    assert caught.value.remedy


def test_a_ledger_has_a_name_of_its_own_or_the_usual_one(postgres: PostgresServer) -> None:
    """Without `ledger=` it is called consentkit; libpq's own parameters stay what they are."""
    with Ledger.open(f"{postgres.dsn()}&connect_timeout=7", keys=KEYS):
        pass
    with postgres.connect() as connection:
        assert connection.execute("SELECT to_regclass('consentkit.head')").fetchone() != (None,)
        connection.execute("DROP SCHEMA consentkit CASCADE")


def test_a_server_that_is_not_there_is_told_without_its_address() -> None:
    """And without the password."""
    with pytest.raises(LedgerUnavailable, match="cannot be reached") as caught:
        PostgresStore("postgresql://user:secret@127.0.0.1:1/db?connect_timeout=2").basis((), ())
    assert not {"secret", "user", "127.0.0.1"} & set(str(caught.value).replace('"', " ").split())


# The schema


def test_ledgers_in_one_database_share_nothing(postgres: PostgresServer) -> None:
    """Each has its tables and its lock, and may be dropped by itself."""
    one, other = postgres.url(), postgres.url()
    with Ledger.open(one, keys=KEYS) as first, Ledger.open(other, keys=KEYS) as second:
        first.append(draft())
        with first._store.lock():
            assert second.append(draft()).index == 2
        with postgres.connect() as connection:
            connection.execute(f"DROP SCHEMA {name_of(one)} CASCADE".encode())
        assert check(second) == 3
        with pytest.raises(LedgerUnavailable):
            first.append(draft())


def test_a_schema_of_another_application_is_left_alone(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]"
) -> None:
    """Not even an empty table of it is touched."""
    url = postgres.url()
    sure.execute(f"CREATE SCHEMA {name_of(url)} CREATE TABLE customers (id int)".encode())
    with pytest.raises(LedgerUnavailable, match="another application"):
        Ledger.open(url, keys=KEYS)


def test_an_empty_schema_that_was_made_for_it_is_taken(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]"
) -> None:
    """So a role without CREATE on the database can have its ledger."""
    url = postgres.url(user="tenant")
    with role(sure, "tenant"):
        sure.execute(f"CREATE SCHEMA {name_of(url)} AUTHORIZATION tenant".encode())
        with Ledger.open(url, keys=KEYS) as ledger:
            assert ledger.append(draft()).index == 2


def test_a_later_format_is_refused(store: PostgresStore, sure: "psycopg.Connection[Any]", url: str) -> None:
    """Whoever writes it knows what this version does not."""
    store.basis((), ())
    sure.execute(f"UPDATE {name_of(url)}.consentkit SET version = 99".encode())
    for read_only in (False, True):
        with pytest.raises(LedgerUnavailable, match=f"format 99, and this version knows {len(MIGRATIONS)}"):
            PostgresStore(url, read_only=read_only).basis((), ())


def test_a_format_that_changes_under_a_running_process_stops_it(
    open_ledger: OpenLedger, sure: "psycopg.Connection[Any]", url: str
) -> None:
    """A newer version that was deployed beside it may have brought the tables up to date."""
    ledger = open_ledger()
    sure.execute(f"UPDATE {name_of(url)}.consentkit SET version = 99".encode())
    with pytest.raises(LedgerError, match="format 99"):
        ledger.append(draft())


# What takes a ledger back from the format that follows each one.
EARLIER = {
    1: "DROP TABLE removal, hold, held, answered",
    2: "ALTER TABLE opening ALTER history SET STATISTICS -1, ALTER record SET STATISTICS -1,"
    " ALTER disclosures SET STATISTICS -1, ALTER blind SET STATISTICS -1;"
    " ALTER TABLE answered ALTER key SET STATISTICS -1, ALTER digest SET STATISTICS -1",
}


def older(sure: "psycopg.Connection[Any]", url: str, version: int) -> None:
    """Make a ledger of an earlier format, with a record in it."""
    with Ledger.open(url, keys=KEYS) as ledger:
        ledger.append(draft())
    with sure.transaction():
        sure.execute(f"SET LOCAL search_path TO {name_of(url)}".encode())
        for step in range(len(MIGRATIONS) - 1, version - 1, -1):
            sure.execute(EARLIER[step].encode())
        sure.execute("UPDATE consentkit SET version = %s", (version,))


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_earlier_format_is_brought_up_to_date(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]", version: int
) -> None:
    """By whoever opens it for writing; who only reads says so."""
    url = postgres.url()
    older(sure, url, version)
    with pytest.raises(LedgerUnavailable, match="older format"):
        PostgresStore(url, read_only=True).basis((), ())
    with Ledger.open(url, keys=KEYS) as ledger:
        assert check(ledger) == 3
        name = history()
        ledger.hold("case", indexes=[2])
        assert ledger.append(draft(history=name)).index == 4
        assert ledger.erase(name, "request") == (4,)


def sampled(sure: "psycopg.Connection[Any]", url: str) -> set[str]:
    """The columns of openings of whose values the server's statistics hold samples."""
    query = "SELECT attname FROM pg_stats WHERE schemaname = %s AND tablename = 'opening'"
    return {name for (name,) in sure.execute(query, (name_of(url),))}


def test_the_statistics_of_the_server_hold_nothing_of_what_may_be_erased(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]"
) -> None:
    """ANALYZE, which runs by itself, copies pseudonyms and blinding values, and VACUUM leaves the copies there."""
    url = postgres.url()
    older(sure, url, 2)
    analyze = f"ANALYZE {name_of(url)}.opening".encode()
    sure.execute(analyze)
    personal = {"history", "record", "disclosures", "blind"}
    assert sampled(sure, url) > personal
    Ledger.open(url, keys=KEYS).close()
    assert not sampled(sure, url) & personal
    sure.execute(analyze)
    assert sampled(sure, url) == {"idx", "sequence"}


OPEN = (
    "import sys\n"
    "from consentkit.evidence.ledger import Ledger\n"
    "from tests.evidence.samples import KEYS, draft\n"
    "sys.stdin.readline()\n"
    "with Ledger.open(sys.argv[1], keys=KEYS) as ledger:\n"
    "    print(ledger.append(draft()).index)\n"
)


@pytest.mark.parametrize("version", [None, 1])
def test_processes_that_make_or_migrate_one_ledger_at_once_take_turns(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]", version: int | None
) -> None:
    """As in a rolling deployment: one does it, the others find it done."""
    url = postgres.url()
    if version:
        older(sure, url, version)
    there = 3 if version else 2
    command = [sys.executable, "-c", OPEN, url]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(3)]
    for process in running:
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    told = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sorted(map(int, told)) == [there, there + 1, there + 2]
    with Ledger.open(url, keys=KEYS) as ledger:
        assert check(ledger) == there + 3


def test_a_ledger_that_took_the_place_of_another_is_noticed(
    open_ledger: OpenLedger, sure: "psycopg.Connection[Any]", postgres: PostgresServer, url: str
) -> None:
    """Same name, same keys, other tables: what was recorded before is not in it."""
    ledger = open_ledger()
    ledger.append(draft())
    sure.execute(f"DROP SCHEMA {name_of(url)} CASCADE".encode())
    open_ledger().append(draft())
    with pytest.raises(LedgerError, match="another one than it was"):
        ledger.append(draft())


def test_writers_that_pass_the_lock_by_do_not_replace_a_head(
    ledger: Ledger, sure: "psycopg.Connection[Any]", url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The swap itself compares, besides what is compared when the turn begins; and nothing of the batch is written."""
    store = ledger._store
    assert isinstance(store, PostgresStore)
    commit = PostgresStore.commit

    def disturbed(store: PostgresStore, batch: Any) -> None:
        assert store._take_turn().head == batch.old
        sure.execute(f"UPDATE {name_of(url)}.head SET checkpoint = checkpoint || '-'".encode())
        commit(store, batch)

    monkeypatch.setattr(PostgresStore, "commit", disturbed)
    with pytest.raises(LedgerConflict):
        ledger.append(draft())
    monkeypatch.undo()
    query = f"SELECT count(*) FROM {name_of(url)}.entry".encode()
    assert sure.execute(query).fetchone() == (2,)


# The server


def test_a_server_that_is_too_old_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made there."""
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", property(lambda _: 120_018))
    with pytest.raises(LedgerUnavailable, match="PostgreSQL 12") as caught:
        Ledger.open(url, keys=KEYS)
    assert "13 or later" in caught.value.remedy


@contextmanager
def setting(sure: "psycopg.Connection[Any]", name: str, value: str) -> Iterator[None]:
    """Have the server run with another setting for a while."""
    sure.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
    try:
        apply(sure, name, value)
        yield
    finally:
        sure.execute(f"ALTER SYSTEM RESET {name}".encode())
        apply(sure, name, "on")


def apply(sure: "psycopg.Connection[Any]", name: str, value: str) -> None:
    """Reload the settings, and wait until this session's server process has seen it."""
    sure.execute("SELECT pg_reload_conf()")
    while sure.execute(f"SHOW {name}".encode()).fetchone() != (value,):
        pass


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_may_forget_what_it_acknowledged_is_warned_of(
    sure: "psycopg.Connection[Any]", url: str, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Each process that opens the ledger says so; nobody else can know."""
    with setting(sure, name, "off"), Ledger.open(url, keys=KEYS):
        assert f"the server has {name} off" in caplog.text
    caplog.clear()
    with Ledger.open(url, keys=KEYS):
        assert "may lose" not in caplog.text


@pytest.mark.parametrize("where", ["role", "database", "url"])
@pytest.mark.parametrize(("asked", "got"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
def test_no_setting_makes_a_commit_less_than_durable(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]", where: str, asked: str, got: str
) -> None:
    """`synchronous_commit = off` acknowledges what a crash takes back."""
    url = postgres.url(user="hasty")
    with role(sure, "hasty", "CREATE ON DATABASE postgres"):
        if where == "role":
            sure.execute(f"ALTER ROLE hasty SET synchronous_commit = {asked}".encode())
        elif where == "database":
            sure.execute(f"ALTER DATABASE postgres SET synchronous_commit = {asked}".encode())
        else:
            url += f"&options=-csynchronous_commit%3D{asked}"
        try:
            store = PostgresStore(url, create=True)
            store.basis((), ())
            shown = "SHOW synchronous_commit"
            assert store._connect().execute(shown).fetchone() == (asked,)
            with store.lock():
                assert store._connect().execute(shown).fetchone() == (got,)
            store.release()
        finally:
            sure.execute("ALTER DATABASE postgres RESET synchronous_commit")


# The role


def test_a_role_that_may_not_make_a_ledger_is_told_what_it_needs(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]"
) -> None:
    """CREATE on the database, or a schema of its own."""
    with role(sure, "guest"):
        with pytest.raises(LedgerUnavailable, match="permission denied for database") as caught:
            Ledger.open(postgres.url(user="guest"), keys=KEYS)
        assert "CREATE on the database" in caught.value.remedy


def test_a_role_that_may_not_see_a_ledger_is_told_so(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]", url: str
) -> None:
    """Rather than that there is none."""
    Ledger.open(url, keys=KEYS).close()
    with role(sure, "guest"):
        with pytest.raises(LedgerUnavailable, match="permission denied for schema") as caught:
            PostgresStore(postgres.url(name_of(url), user="guest")).basis((), ())
        assert "owns the schema" in caught.value.remedy


def test_a_role_that_may_read_exports_and_does_not_write(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]", url: str
) -> None:
    """An auditor's, say."""
    Ledger.open(url, keys=KEYS).close()
    name = name_of(url)
    with role(sure, "reader", f"USAGE ON SCHEMA {name}", f"SELECT ON ALL TABLES IN SCHEMA {name}"):
        mine = postgres.url(name, user="reader")
        store = PostgresStore(mine, read_only=True)
        head = store.basis((), ()).head
        assert head is not None
        assert head.size == 2
        store.release()
        with (
            Ledger.open(mine, keys=KEYS) as ledger,
            pytest.raises(LedgerUnavailable, match="permission denied for table"),
        ):
            ledger.append(draft())


def test_what_a_role_may_not_vacuum_is_not_said_to_be_vacuumed(
    postgres: PostgresServer, sure: "psycopg.Connection[Any]", url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The server skips tables of others with a warning and reports success."""
    Ledger.open(url, keys=KEYS).close()
    name, told = name_of(url), []
    rights = (f"USAGE ON SCHEMA {name}", f"ALL ON ALL TABLES IN SCHEMA {name}")
    if int(sure.info.server_version) >= 170_000:
        rights = (rights[0], f"SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name}")
    with (
        role(sure, "writer", *rights),
        Ledger.open(
            postgres.url(name, user="writer"), keys=KEYS, on_event=lambda event, **_: told.append(event)
        ) as ledger,
    ):
        gone = history()
        ledger.append(draft(history=gone))
        with caplog.at_level(logging.WARNING):
            assert ledger.erase(gone, "request") == (2,)
        assert "ledger.unscrubbed" in told
        assert "was not vacuumed" in caplog.text


# The session


def test_nothing_is_kept_in_a_session(open_ledger: OpenLedger) -> None:
    """A pooler that hands out connections by transaction may stand in between."""
    ledger = open_ledger()
    for number in range(8):  # psycopg prepares what it has run five times, unless told otherwise
        assert ledger.append(draft()).index == 2 + number
        session = ledger._store._connect()  # type: ignore[attr-defined]
        assert session.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        session.execute("DISCARD ALL")
    assert check(ledger) == 10


def test_a_lock_that_is_not_let_go_of_is_not_waited_for_for_ever(
    open_ledger: OpenLedger, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that stands still with the lock is ended by the server; who waits says so before."""
    ledger = open_ledger()
    monkeypatch.setattr(ledger._store, "_turning", ledger._store._turning.replace("60s", "100ms"))  # type: ignore[attr-defined]
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store.lock():
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        with pytest.raises(LedgerUnavailable, match="lock timeout") as caught:
            ledger.append(draft())
        assert isinstance(caught.value, OutcomeUnknown)  # it could not look, either
    finally:
        done.set()
        thread.join()
    assert ledger.append(draft()).index == 2
    assert "'30s'" in postgres._WRITE
