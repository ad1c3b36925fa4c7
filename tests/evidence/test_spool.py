"""The spool: refusals that wait, durably and in order, until the ledger takes their records."""

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.errors import LedgerUnavailable
from consentkit.evidence import Choice
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.record import RecordDraft
from consentkit.evidence.spool import Spool, Spooled, default_spool
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, NOW, draft, history
from tests.support import ROOT, Clock

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


@contextmanager
def away(ledger: Ledger) -> Iterator[None]:
    """The time during which a store can do nothing."""

    def gone(*_: object) -> Any:
        raise LedgerUnavailable("the store is away")

    store = ledger._store
    kept = {name: getattr(store, name) for name in ("view", "lock", "commit", "recover")}
    for name in kept:
        setattr(store, name, gone)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(store, name, method)


@given(drafts, st.integers(), st.binary(min_size=32, max_size=32))
def test_a_line_gives_back_what_it_was_made_of(what: RecordDraft, time: int, key: bytes) -> None:
    """Whatever a draft says; one octet off, and it is no line any more."""
    spooled = Spooled(what, time, key)
    line = spooled.line()
    assert line.endswith(b"\n")
    assert line.isascii()
    assert Spooled.parse(line[:-1]) == spooled
    assert Spooled.parse(line[:70] + b"~" + line[71:-1]) is None


def test_what_waits_is_read_in_its_order(tmp_path: Path) -> None:
    """Across files that were moved aside."""
    spool = Spool(tmp_path / "spool")
    assert not spool.waiting()
    for number in range(4):
        spool.add(refusal(method=f"m{number}"), NOW + number)
        if number == 1:
            next(spool.take())
    assert spool.waiting()
    assert [(one.draft.method, one.time) for one in spool.read()] == [(f"m{n}", NOW + n) for n in range(4)]


def test_it_is_private(tmp_path: Path) -> None:
    """It has pseudonyms in it."""
    Spool(tmp_path / "spool").add(refusal(), NOW)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool", tmp_path / "spool" / "open")]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_line_was_never_acknowledged(tmp_path: Path, cut: int) -> None:
    """It is dropped, and what comes later is kept whole."""
    spool, path = Spool(tmp_path / "spool"), tmp_path / "spool" / "open"
    spool.add(refusal(method="first"), NOW)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    assert [one.draft.method for one in spool.read()] == ["first"]
    spool.add(refusal(method="second"), NOW)
    assert [one.draft.method for one in spool.read()] == ["first", "second"]


def test_a_damaged_line_is_kept_for_a_person(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The lines around it are recorded."""
    spool, path = Spool(tmp_path / "spool"), tmp_path / "spool" / "open"
    for method in ("first", "second", "third"):
        spool.add(refusal(method=method), NOW)
    path.write_bytes(path.read_bytes().replace(b'"second"', b'"sec0nd"'))
    ((aside, found),) = list(spool.take())
    assert [one.draft.method for one in found] == ["first", "third"]
    spool.done(aside)
    (kept,) = (tmp_path / "spool").iterdir()
    assert kept.name.startswith("damaged-")
    assert "cannot be read" in caplog.text
    assert not spool.waiting()


def test_nothing_is_lost_while_others_drain(tmp_path: Path) -> None:
    """A file that is moved aside under a writer takes the line along or leaves it for the next one."""
    spool, drained = Spool(tmp_path / "spool"), []
    over = threading.Event()

    def drain() -> None:
        while True:
            last = over.is_set()
            for path, found in spool.take():
                drained.extend(one.draft.method for one in found)
                spool.done(path)
            if last:
                return

    thread = threading.Thread(target=drain)
    thread.start()
    writers = [
        threading.Thread(target=lambda n=n: [spool.add(refusal(method=f"w{n}-{k}"), NOW) for k in range(30)])
        for n in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    over.set()
    thread.join()
    assert sorted(drained) == sorted(f"w{n}-{k}" for n in range(3) for k in range(30))


def test_a_folder_that_takes_nothing_says_so(tmp_path: Path) -> None:
    """Then the refusal is in force on its visitor's device only."""
    (tmp_path / "spool").write_bytes(b"a file")
    with pytest.raises(LedgerUnavailable, match="cannot keep a decision"):
        Spool(tmp_path / "spool").add(refusal(), NOW)


def test_a_ledger_on_a_server_has_a_spool_only_if_told(tmp_path: Path) -> None:
    """There is no place beside it."""
    assert default_spool("sqlite:////data/consent.db") == Path("/data/consent.db-spool")
    assert default_spool("postgresql://host/db") is None


class TestDraining:
    def test_it_enters_the_log_once_and_says_when_it_was_made(
        self, open_ledger: OpenLedger, clock: Clock
    ) -> None:
        """With the time of entering as its time."""
        ledger, name = open_ledger(), history()
        with away(ledger):
            ledger.spool(refusal(history=name))
            clock.advance(3_600_000)
        ledger.append(draft())
        (record,) = ledger.history(name)
        assert record.time == NOW + 3_600_000
        assert record.record.claims["extra"] == {"decided": "2026-11-02T12:00:00.000Z"}
        ledger.close()
        assert len(open_ledger().history(name)) == 1

    def test_it_comes_before_what_was_decided_later(self, open_ledger: OpenLedger) -> None:
        """A history's later grant stands behind the refusal that waited."""
        ledger, name = open_ledger(), history()
        with away(ledger):
            ledger.spool(refusal(history=name))
        ledger.append(draft(history=name))
        assert [one.record.claims["event"] for one in ledger.history(name)] == ["refused", "given"]

    def test_a_thread_tries_again_until_the_store_is_back(
        self, open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without anybody deciding anything."""
        monkeypatch.setattr("consentkit.evidence._spooling._FIRST_PAUSE", 0.01)
        drained = threading.Event()
        ledger = open_ledger(on_event=lambda event, **_: event == "ledger.drained" and drained.set())
        name = history()
        with away(ledger):
            ledger.spool(refusal(history=name))
        assert drained.wait(20)
        assert len(ledger.history(name)) == 1

    def test_dying_between_recording_and_deleting_records_nothing_twice(
        self, open_ledger: OpenLedger, url: str
    ) -> None:
        """The file is drained again, and each of its decisions is known."""
        ledger, name = open_ledger(), history()
        folder = default_spool(url)
        assert folder is not None
        Spool(folder).add(refusal(history=name), NOW)
        kept = (folder / "open").read_bytes()
        ledger.append(draft())
        (folder / "open").write_bytes(kept)
        ledger.append(draft())
        assert len(ledger.history(name)) == 1
        assert not Spool(folder).waiting()

    def test_current_counts_what_waits(self, open_ledger: OpenLedger) -> None:
        """A withdrawal outweighs the grant that it withdraws, with the store there and away."""
        ledger, name = open_ledger(), history()
        ledger.append(draft(history=name))
        assert ledger.current(name).choices["analytics"].granted
        with away(ledger):
            ledger.spool(refusal(event="withdrawn", history=name))
            standing = ledger.current(name).choices["analytics"]
            assert (standing.granted, standing.index) == (False, None)
            with pytest.raises(LedgerUnavailable):
                ledger.current(history())
        assert not ledger.current(name).choices["analytics"].granted

    def test_erasing_reaches_it(self, open_ledger: OpenLedger, tmp_path: Path) -> None:
        """No file has the pseudonym afterwards."""
        ledger, name = open_ledger(), history()
        with away(ledger):
            ledger.spool(refusal(history=name))
        assert len(ledger.erase(name, "gdpr-17-1-a")) == 1
        ledger.close()
        assert not [
            path for path in tmp_path.rglob("*") if path.is_file() and name.encode() in path.read_bytes()
        ]

    def test_what_was_acknowledged_survives_a_kill(self, url: str, tmp_path: Path) -> None:
        """SIGKILL right after each acknowledgement; the next process records each refusal once."""
        program = (
            "import os, sys\n"
            "from tests.evidence.samples import KEYS\n"
            "from tests.evidence.test_spool import away, refusal\n"
            "from consentkit.evidence.ledger import Ledger\n"
            "ledger = Ledger.open(sys.argv[1], keys=KEYS)\n"
            "with away(ledger):\n"
            "    for name in sys.argv[2:]:\n"
            "        ledger.spool(refusal(history=name))\n"
            "        print(name, flush=True)\n"
            "    os.kill(os.getpid(), 9)\n"
        )
        names = [history() for _ in range(5)]
        ran = subprocess.run(
            [sys.executable, "-c", program, url, *names], cwd=ROOT, stdout=subprocess.PIPE, check=False
        )
        assert ran.returncode == -signal.SIGKILL
        told = re.findall(r"^[\w-]{22}$", ran.stdout.decode(), re.MULTILINE)
        assert told == names
        with Ledger.open(url, keys=KEYS) as ledger:
            assert [len(ledger.history(name)) for name in names] == [1] * 5

    def test_a_fork_goes_on_draining(self, open_ledger: OpenLedger) -> None:
        """The parent's thread and lock are not the child's."""
        ledger, name = open_ledger(), history()
        with away(ledger):
            ledger.spool(refusal(history=name))
        child = os.fork()
        if not child:
            status = 1
            try:
                ledger.append(draft())
                status = 0 if len(ledger.history(name)) == 1 else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
