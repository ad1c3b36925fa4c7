"""The embedded store: how the file is made, shared, checked and let go."""

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import attrs
import pytest

from consentkit.errors import LedgerConflict, LedgerCorrupt, LedgerUnavailable, OutcomeUnknown
from consentkit.evidence import _sqlite_schema
from consentkit.evidence.entry import entry_line
from consentkit.evidence.opening import Opening
from consentkit.evidence.sqlite import SQLiteStore
from consentkit.evidence.store import Batch, Head, NewOpening, Published, Tail, open_store
from consentkit.tlog import Frontier, Growth, leaf_hash


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database will be."""
    return tmp_path / "consent.db"


@pytest.fixture
def store(path: Path) -> Any:
    """A new store."""
    made = SQLiteStore(path, create=True)
    yield made
    made.release()


def batch(old: Head | None, *lines: bytes, **more: Any) -> Batch:
    frontier = (old.frontier if old else Frontier.empty()).append(map(leaf_hash, lines))
    return Batch(old, Head(frontier, b"note %d" % frontier.size, 5), lines, (), **more)


def opening(index: int, name: str, sequence: int) -> NewOpening:
    return NewOpening(Opening(index, "jwt", ("told",), b"b" * 64), name, sequence)


def settings(path: Path, name: str) -> Any:
    store = SQLiteStore(path)
    value = store._connect().execute(f"PRAGMA {name}").fetchone()[0]
    store.release()
    return value


@pytest.mark.parametrize(
    ("name", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1), ("foreign_keys", 1)],
)
def test_the_database_is_durable_and_forgets_what_is_deleted(
    store: SQLiteStore, path: Path, name: str, value: Any
) -> None:
    """FULL is one fdatasync for each commit; secure_delete overwrites erased openings."""
    with store.view():
        pass
    assert settings(path, name) == value


def test_what_is_committed_is_read_back(store: SQLiteStore) -> None:
    """Entries, nodes, openings, policies, notices, keys, checkpoints."""
    c = b"c" * 32
    full = attrs.evolve(
        batch(None, b"zero\n", entry_line(c)),
        nodes=(Growth(8, 3, (b"n" * 32,)),),
        openings=(opening(1, "h", 0),),
        published=(Published("policy", "d1", 0, b"body"), Published("notice", "d2", 1, b"html")),
        keys=(0,),
        day=7,
    )
    with store.view() as view:
        assert view.head() is None
    with store.lock():
        store.commit(full)
    with store.view() as view:
        assert view.head() == full.new
        assert list(view.entries(0, 9)) == [b"zero\n", entry_line(c)]
        assert list(view.entries(1, 1)) == []
        assert list(view.nodes(8, 0, 9)) == [b"n" * 32]
        assert list(view.nodes(8, 0, 3)) == []
        assert list(view.openings(0, 9)) == [opening(1, "h", 0).opening]
        assert view.tails({"h", "other"}) == {"h": Tail(0, c)}
        assert (view.has("policy", "d1"), view.has("notice", "d1")) == (True, False)
        assert list(view.published("notice")) == [("d2", b"html")]
        assert list(view.key_entries()) == [(0, b"zero\n")]
        assert list(view.checkpoints()) == [(2, b"note 2")]


def test_of_each_day_the_last_checkpoint_is_kept(store: SQLiteStore) -> None:
    """A busy log would have one for each batch."""
    first = batch(None, b"0\n", day=1)
    second = batch(first.new, b"1\n", day=1)
    third = batch(second.new, b"2\n", day=2)
    for one in (first, second, third):
        store.commit(one)
    with store.view() as view:
        assert list(view.checkpoints()) == [(2, b"note 2"), (3, b"note 3")]


def test_a_head_that_has_moved_is_not_replaced(store: SQLiteStore) -> None:
    """Neither by a batch on an older head nor by a second first batch; nothing of it is written."""
    first = batch(None, b"0\n")
    store.commit(first)
    store.commit(batch(first.new, b"1\n"))
    for late in (batch(first.new, b"other\n"), batch(None, b"other\n")):
        with pytest.raises(LedgerConflict):
            store.commit(late)
    with store.view() as view:
        assert list(view.entries(0, 9)) == [b"0\n", b"1\n"]


def test_a_history_has_each_number_once(store: SQLiteStore) -> None:
    """The last line of defence against two records that both claim a place."""
    first = batch(None, b"0\n", openings=(opening(0, "h", 0),))
    store.commit(first)
    with pytest.raises(LedgerConflict):
        store.commit(batch(first.new, b"1\n", openings=(opening(1, "h", 0),)))
    with store.view() as view:
        head = view.head()
    assert head == first.new


def test_a_view_is_one_state(store: SQLiteStore, path: Path) -> None:
    """Whatever others write meanwhile."""
    first = batch(None, b"0\n")
    store.commit(first)
    reader = SQLiteStore(path, read_only=True)
    with reader.view() as view:
        assert view.head() == first.new
        store.commit(batch(first.new, b"1\n"))
        assert view.head() == first.new
        assert list(view.entries(0, 9)) == [b"0\n"]
    reader.release()


def test_the_file_is_private(store: SQLiteStore, path: Path) -> None:
    """It holds pseudonyms; so do its companions."""
    store.commit(batch(None, b"0\n"))
    for name in os.listdir(path.parent):
        assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600, name


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """And left as it is."""
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(LedgerCorrupt, match=r"consent\.db: file is not a database"), SQLiteStore(path).view():
        pass
    assert path.read_bytes().startswith(b"not a database")


def test_the_database_of_another_application_is_refused(path: Path) -> None:
    """Tables of a site must not get a ledger among them by a mistyped URL."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE users (name TEXT)")
    connection.close()
    with pytest.raises(LedgerUnavailable, match="another application"), SQLiteStore(path, create=True).view():
        pass


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    """As `mktemp` makes one."""
    path.touch()
    store = SQLiteStore(path)
    store.commit(batch(None, b"0\n"))
    store.release()


def test_an_older_format_is_not_read_as_if_it_were_new(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader does not migrate; it says who does. A writer migrates."""
    store.commit(batch(None, b"0\n"))
    store.release()
    more = "CREATE TABLE later (x);"
    monkeypatch.setattr("consentkit.evidence._sqlite_schema.MIGRATIONS", (*_sqlite_schema.MIGRATIONS, more))
    with pytest.raises(LedgerUnavailable, match="older format"), SQLiteStore(path, read_only=True).view():
        pass
    with store.view() as view:
        assert list(view.entries(0, 9)) == [b"0\n"]
    assert settings(path, "user_version") == len(_sqlite_schema.MIGRATIONS)
    with SQLiteStore(path, read_only=True).view() as view:
        assert view.head() is not None


def test_a_ledger_of_the_first_format_opens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before there was a place for cosignatures is all there, and the place as well."""
    with monkeypatch.context() as patch:
        patch.setattr("consentkit.evidence._sqlite_schema.MIGRATIONS", _sqlite_schema.MIGRATIONS[:1])
        first = SQLiteStore(path, create=True)
        first.commit(batch(None, b"0\n"))
        first.release()
        assert settings(path, "user_version") == 1
    later = SQLiteStore(path)
    later.keep_cosigned(1, b"note 1\n\n", b"line\n")
    with later.view() as view:
        assert list(view.entries(0, 9)) == [b"0\n"]
        assert list(view.cosigned()) == [(1, b"note 1\n\nline\n")]
    later.release()


def test_cosignatures_gather_under_their_size(store: SQLiteStore) -> None:
    """Each line is kept once, whoever brings it and however often; the newest size comes first."""
    for line in (b"one\n", b"two\n", b"one\n"):
        store.keep_cosigned(7, b"seven\n", line)
    store.keep_cosigned(9, b"nine\n", b"one\n")
    with store.view() as view:
        assert list(view.cosigned()) == [(9, b"nine\none\n"), (7, b"seven\none\ntwo\n")]
        assert list(view.cosigned(8)) == list(view.cosigned(limit=1)) == [(9, b"nine\none\n")]


def test_a_ledger_that_is_set_aside_is_whole_and_its_place_free(store: SQLiteStore, path: Path) -> None:
    """Nothing stays behind in a write-ahead log, and no earlier one is overwritten."""
    store.commit(batch(None, b"0\n"))
    assert store.set_aside() == f"sqlite:///{path}.old-1"
    again = SQLiteStore(path, create=True)
    again.commit(batch(None, b"1\n"))
    assert again.set_aside() == f"sqlite:///{path}.old-2"
    assert sorted(file.suffix for file in path.parent.iterdir()) == [".lock", ".old-1", ".old-2"]
    with open_store(f"sqlite:///{path}.old-1", read_only=True).view() as view:
        assert list(view.entries(0, 9)) == [b"0\n"]


def test_a_ledger_in_use_is_not_set_aside(store: SQLiteStore, path: Path) -> None:
    """A site that still runs would go on writing into the renamed file."""
    store.commit(batch(None, b"0\n"))
    other = SQLiteStore(path)
    with pytest.raises(LedgerUnavailable, match="in use"):
        other.set_aside()
    with store.view() as view:
        assert list(view.entries(0, 9)) == [b"0\n"]
    store.release()
    assert other.set_aside().endswith(".old-1")
    with pytest.raises(LedgerUnavailable, match="no ledger at"):
        other.set_aside()


def test_an_empty_file_is_no_ledger_to_a_reader(path: Path) -> None:
    """It says so, and creates nothing in it."""
    path.touch()
    with pytest.raises(LedgerUnavailable, match="holds no ledger"), SQLiteStore(path, read_only=True).view():
        pass
    assert path.stat().st_size == 0


def test_a_folder_that_is_missing_or_a_path_that_cannot_be_is_explained(tmp_path: Path) -> None:
    """The ledger makes no folders: a mistyped path should not go unnoticed."""
    with pytest.raises(LedgerUnavailable, match=r"lock cannot be opened: No such file"):
        SQLiteStore(tmp_path / "no/consent.db", create=True)._connect()
    with pytest.raises(LedgerUnavailable, match="there is no ledger"):
        SQLiteStore(tmp_path / "consent.db")._connect()
    (tmp_path / "folder").mkdir()
    with pytest.raises(LedgerUnavailable, match="unable to open"):
        SQLiteStore(tmp_path / "folder")._connect()


def test_a_file_that_cannot_be_created_is_explained(path: Path) -> None:
    """A dangling link into nowhere, say."""
    path.symlink_to(path.parent / "no" / "where")
    with pytest.raises(LedgerUnavailable, match="cannot be created"):
        SQLiteStore(path, create=True)._connect()


class Failing:
    """A connection whose named statement fails."""

    def __init__(self, connection: sqlite3.Connection, statement: str) -> None:
        self.connection, self.statement = connection, statement

    def execute(self, sql: str, *values: Any) -> Any:
        if sql.startswith(self.statement):
            raise sqlite3.OperationalError("disk I/O error")
        return self.connection.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("BEGIN", LedgerUnavailable),
        ("INSERT INTO head", LedgerUnavailable),
        ("INSERT INTO checkpoint", LedgerUnavailable),
        ("COMMIT", OutcomeUnknown),
    ],
)
def test_a_failure_says_whether_anything_can_have_been_written(
    store: SQLiteStore, statement: str, error: type[Exception]
) -> None:
    """Only a failed COMMIT leaves that open."""
    store._connection = Failing(store._connect(), statement)  # type: ignore[assignment]
    with pytest.raises(LedgerUnavailable) as caught:
        store.commit(batch(None, b"0\n"))
    assert type(caught.value) is error
    store.recover()
    with store.view() as view:
        assert view.head() is None


def test_recovery_moves_everything_into_the_database_file(store: SQLiteStore, path: Path) -> None:
    """So that what is visible afterwards no longer depends on a log whose sync may have failed."""
    store.commit(batch(None, b"0\n"))
    store.recover()
    assert os.path.getsize(f"{path}-wal") == 0
    copied = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    assert copied.execute("SELECT count(*) FROM entry").fetchone() == (1,)
    copied.close()


def test_recovery_is_refused_while_somebody_reads(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be made durable is not taken for durable."""
    monkeypatch.setattr("consentkit.evidence._sqlite_file._WAIT_SECONDS", 0.05)
    store.commit(first := batch(None, b"0\n"))
    reader = SQLiteStore(path, read_only=True)
    with reader.view() as view:
        view.head()
        store.commit(batch(first.new, b"1\n"))
        with pytest.raises(LedgerUnavailable, match="being read"):
            store.recover()
    reader.release()
    store.recover()


def test_a_failing_recovery_is_an_error(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger goes on refusing."""
    real = store._open
    monkeypatch.setattr(store, "_open", lambda: Failing(real(), "PRAGMA wal_checkpoint"))
    with pytest.raises(LedgerUnavailable, match="disk I/O error"):
        store.recover()


def test_a_damaged_page_is_damage(store: SQLiteStore, path: Path) -> None:
    """SQLite's own words, and what to do."""
    first = batch(None, *(b"%d\n" % number for number in range(2000)))
    store.commit(first)
    store.release()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(LedgerCorrupt) as caught, store.view() as view:
        list(view.entries(0, 2000))
    assert "backup" in caught.value.remedy


def test_a_url_is_a_path_relative_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes and a name, or four for a path from the root; odd characters are just characters."""
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///a #%41.db", f"sqlite:///{tmp_path}/b.db"):
        store = open_store(url, create=True)
        with store.view():
            pass
        store.release()
    assert {"a #%41.db", "b.db"} <= set(os.listdir(tmp_path))
