"""The spool: refusals that wait, durably and in order, until the ledger takes their records."""

import errno
import os
import stat
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.errors import SpoolUnavailable
from consentkit.evidence import Choice
from consentkit.evidence.record import RecordDraft
from consentkit.evidence.spool import Spool, Spooled, default_spool
from tests.evidence.samples import NOW, draft

texts = st.text(max_size=12)
choices = st.dictionaries(texts, st.builds(Choice, st.booleans(), texts), max_size=3)
drafts = st.builds(
    RecordDraft,
    event=texts, method=texts, site=texts, choices=choices, services=choices, asked=st.lists(texts).map(tuple),
    policy=st.tuples(texts, texts), notice=st.none() | st.tuples(texts, texts, texts, texts),
    region=st.none() | texts, regime=texts, model=texts, signals=st.dictionaries(texts, st.booleans(), max_size=2),
    expires=st.none() | st.integers(), history=texts, extra=st.dictionaries(texts, texts, max_size=2),
    time=st.none() | st.integers(),
)  # fmt: skip


def refusal(**changes: Any) -> RecordDraft:
    """A refusal of everything."""
    no = {name: Choice(False, "express") for name in ("analytics", "marketing")}
    return draft(**{"event": "refused", "choices": no, "expires": None, **changes})


def keep(spool: Spool, method: str = "form", *, time: int = NOW, **changes: Any) -> None:
    """Have a refusal wait."""
    spool.add(Spooled(refusal(method=method, **changes), time, os.urandom(32)))


def drained(spool: Spool, never: Collection[str] = ()) -> list[Spooled]:
    """Take all that waits, as a ledger does that has no use for some of it."""
    taken: list[Spooled] = []

    def enter(found: list[Spooled]) -> list[Spooled]:
        taken.extend(found)
        return [one for one in found if one.draft.method in never]

    for path in spool.files():
        spool.drain(path, enter)
    return taken


def fails(*_: object) -> Any:
    """What a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


keys = st.binary(min_size=32, max_size=32)
attempts = st.tuples(st.integers(0), st.binary().map(bytes.hex).map(str.encode))


@given(
    st.builds(Spooled, drafts, st.integers(), keys, st.none() | st.tuples(keys, keys), st.none() | attempts)
)
def test_a_line_gives_back_what_it_was_made_of(spooled: Spooled) -> None:
    """Whatever a draft says; one octet off, and it is no line any more."""
    line = spooled.line()
    assert line.endswith(b"\n")
    assert line.isascii()
    assert Spooled.parse(line[:-1]) == spooled
    assert Spooled.parse(line[:70] + b"~" + line[71:-1]) is None


def test_what_waits_is_read_in_its_order(tmp_path: Path) -> None:
    """From the files of all processes."""
    spools = [Spool(tmp_path / "spool") for _ in range(2)]
    assert not spools[0].waiting()
    for number in range(4):
        keep(spools[number // 2], f"m{number}", time=NOW + number)
    assert spools[0].waiting()
    assert len(spools[0].files()) == 2
    assert [(one.draft.method, one.time) for one in spools[0].read()] == [
        (f"m{n}", NOW + n) for n in range(4)
    ]


def test_it_is_private(tmp_path: Path) -> None:
    """It has pseudonyms in it."""
    spool = Spool(tmp_path / "spool")
    keep(spool)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (spool.folder, *spool.files())]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_line_was_never_acknowledged(tmp_path: Path, cut: int) -> None:
    """It is dropped; whoever comes later writes to another file."""
    spool = Spool(tmp_path / "spool")
    keep(spool, "first")
    (path,) = spool.files()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    keep(Spool(spool.folder), "second")
    assert [one.draft.method for one in spool.read()] == ["first", "second"]
    assert [one.draft.method for one in drained(spool)] == ["first", "second"]
    assert not list(spool.folder.iterdir())


def test_what_could_not_be_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody was told that it was kept; the next one is, whole."""
    spool = Spool(tmp_path / "spool")
    keep(spool, "first")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(SpoolUnavailable, match="cannot keep a decision: No space left"):
            keep(spool, "second")
    keep(spool, "third")
    assert [one.draft.method for one in spool.read()] == ["first", "third"]


def test_a_file_grows_only_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one holds is entered at once."""
    monkeypatch.setattr("consentkit.evidence.spool._FULL", 2000)
    spool = Spool(tmp_path / "spool")
    for number in range(9):
        keep(spool, f"m{number}")
    assert len(spool.files()) == 3
    assert [one.draft.method for one in spool.read()] == [f"m{n}" for n in range(9)]


def test_a_damaged_line_is_kept_for_a_person(tmp_path: Path) -> None:
    """The lines around it are recorded, and what nobody will ever take is kept as well."""
    spool = Spool(tmp_path / "spool")
    for method in ("first", "second", "third", "fourth"):
        keep(spool, method)
    (path,) = spool.files()
    path.write_bytes(path.read_bytes().replace(b'"second"', b'"sec0nd"'))
    found = drained(spool, never=["fourth"])
    assert [one.draft.method for one in found] == ["first", "third", "fourth"]
    assert not spool.waiting()
    (kept,) = spool.damaged()
    lines = kept.read_bytes().splitlines()
    assert [b"sec0nd" in line for line in lines] == [True, False]
    assert [b"fourth" in line for line in lines] == [False, True]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(spool.folder.iterdir()) == [kept]


def test_nothing_is_lost_while_others_drain(tmp_path: Path) -> None:
    """A writer whose file is being drained takes another one, and waits for nobody."""
    spool, taken = Spool(tmp_path / "spool"), []
    over = threading.Event()

    def drain() -> None:
        while True:
            last = over.is_set()
            taken.extend(one.draft.method for one in drained(spool))
            if last:
                return

    thread = threading.Thread(target=drain)
    thread.start()
    writers = [
        threading.Thread(target=lambda n=n: [keep(spool, f"w{n}-{k}") for k in range(30)]) for n in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    over.set()
    thread.join()
    assert sorted(taken) == sorted(f"w{n}-{k}" for n in range(3) for k in range(30))


def test_a_writer_does_not_wait_for_whoever_drains(tmp_path: Path) -> None:
    """The ledger may take its time."""
    spool = Spool(tmp_path / "spool")
    keep(spool, "first")

    def enter(found: list[Spooled]) -> list[Spooled]:
        keep(spool, "second")
        return []

    spool.drain(spool.files()[0], enter)
    assert [one.draft.method for one in spool.read()] == ["second"]


def test_one_drains_at_a_time(tmp_path: Path) -> None:
    """Else what was erased meanwhile could come again."""
    spool = Spool(tmp_path / "spool")
    keep(spool)
    with spool.draining(0) as mine, Spool(spool.folder).draining(0.02) as too:
        assert (mine, too) == (True, False)
    with spool.draining(0) as again:
        assert again


def test_what_cannot_be_entered_stays(tmp_path: Path) -> None:
    """Until it can."""
    spool = Spool(tmp_path / "spool")
    keep(spool, "first")
    with pytest.raises(ZeroDivisionError):
        spool.drain(spool.files()[0], lambda _: [1 // 0])
    assert [one.draft.method for one in drained(spool)] == ["first"]


def test_it_is_read_on_from_where_one_was(tmp_path: Path) -> None:
    """Whole lines only."""
    spool = Spool(tmp_path / "spool")
    keep(spool, "first")
    (path,) = spool.files()
    found, end = spool.read_on(path, 0)
    with path.open("ab") as file:
        file.write(b"half a li")
    assert spool.read_on(path, end) == ([], end)
    assert [one.draft.method for one in found] == ["first"]
    path.unlink()
    assert spool.read_on(path, end) == ([], end)


def test_a_folder_that_takes_nothing_says_so(tmp_path: Path) -> None:
    """Then the refusal is in force on its visitor's device only."""
    (tmp_path / "spool").write_bytes(b"a file")
    spool = Spool(tmp_path / "spool")
    assert not spool.writable()
    with pytest.raises(SpoolUnavailable, match="cannot keep a decision"):
        keep(spool)
    assert Spool(tmp_path / "not" / "yet").writable()


def test_the_spool_of_a_file_is_beside_it() -> None:
    """On the same disk."""
    assert default_spool("sqlite:////data/consent.db") == Path("/data/consent.db-spool")


def test_the_spool_of_a_server_is_in_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each ledger, whoever connects to it, with whatever password."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    folder = default_spool("postgresql://me:secret@host/db?ledger=shop&connect_timeout=3")
    assert folder is not None
    assert folder.parent == Path("/state/consentkit")
    assert default_spool("postgresql://you@host/db?ledger=shop") == folder
    assert default_spool("postgresql://me@host/db?ledger=news") != folder
    assert default_spool("postgresql://me@other/db?ledger=shop") != folder
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/shop:/var/lib/more")
    assert (
        default_spool("postgresql://host/db")
        == Path("/var/lib/shop/consentkit") / (default_spool("postgresql://x@host/db") or Path()).name
    )
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(default_spool("postgresql://host/db")).startswith("/home/me/.local/state/consentkit/spool-")
