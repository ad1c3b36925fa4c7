"""The high-water mark: a ledger that went back is not written to, and a mark never goes back."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest

from consentkit.errors import InvalidOption, LedgerCorrupt, LedgerError, LedgerRolledBack, LedgerUnavailable
from consentkit.evidence import highwater
from consentkit.evidence.highwater import open_mark
from consentkit.evidence.ledger import Ledger
from consentkit.tlog import Checkpoint, NoteSigner, open_checkpoint, sign_note
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, LOG, countable, draft
from tests.evidence.witnesses import WitnessServer, serving
from tests.support import ROOT

SIGNER = NoteSigner(LOG, KEYS.log)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder of the marks."""
    folder = tmp_path / "mark s"
    folder.mkdir()
    return folder


@pytest.fixture
def url_of_mark(place: Path) -> str:
    """Its URL."""
    return place.as_uri()


@pytest.fixture
def server() -> Iterator[WitnessServer]:
    """A witness that knows the log."""
    with serving("witness.example/one", SIGNER.verifier) as one:
        yield one


@pytest.fixture(autouse=True)
def no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait a second for each mark."""
    monkeypatch.setattr(highwater, "LAG_SECONDS", 0.01)


def file_of(place: Path, log_name: str = LOG) -> Path:
    """Where a log's mark is."""
    return place / sha256(log_name.encode()).hexdigest() / "checkpoint"


def mark_size(place: Path) -> int:
    """How many entries the mark stands for."""
    path = file_of(place)
    return open_checkpoint(path.read_bytes(), SIGNER.verifier).size if path.exists() else 0


def until(ready: Callable[[], object]) -> None:
    """Wait until something is so; fail if it never is."""
    end = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.005)


def backup(url: str) -> Callable[[], None]:
    """Copy the closed ledger's database, and return what puts it back."""
    path = Path(url.removeprefix("sqlite:///"))
    copy = shutil.copy(path, f"{path}.backup")

    def restore() -> None:
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copy(copy, path)

    return restore


def note(size: int, root: bytes = bytes(32), signer: NoteSigner = SIGNER) -> bytes:
    """A checkpoint that a log signed."""
    return sign_note(Checkpoint(signer.name, size, root).text(), signer)


class TestKeeping:
    def test_the_mark_follows_the_log(self, open_ledger: OpenLedger, place: Path, url_of_mark: str) -> None:
        """Soon after the commit, where a witness would show it."""
        ledger = open_ledger(high_water=url_of_mark)
        for size in (3, 4):
            ledger.append(draft())
            until(lambda size=size: mark_size(place) == size)
        assert file_of(place).read_bytes() == ledger.checkpoint()

    def test_it_is_up_to_date_once_the_ledger_is_closed(
        self, open_ledger: OpenLedger, place: Path, url_of_mark: str
    ) -> None:
        """Even if no decision was recorded, and no thread ever ran."""
        open_ledger(high_water=url_of_mark).close()
        assert mark_size(place) == 2

    def test_it_lags_a_second_at_most(
        self, open_ledger: OpenLedger, place: Path, url_of_mark: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And is not written for each decision of a busy second."""
        monkeypatch.setattr(highwater, "LAG_SECONDS", 0.2)
        ledger = open_ledger(high_water=url_of_mark)
        written: list[float] = []
        real = highwater._FileMark.write

        def write(mark: Any, checkpoint: bytes) -> None:
            written.append(time.monotonic())
            real(mark, checkpoint)

        monkeypatch.setattr(highwater._FileMark, "write", write)
        last = 0
        while len(written) < 4:
            last = ledger.append(draft()).index
        until(lambda: mark_size(place) == last + 1)
        assert all(later - earlier >= 0.19 for earlier, later in itertools.pairwise(written))

    def test_it_never_goes_back(self, place: Path, url_of_mark: str) -> None:
        """A process that is late does not undo what another one wrote; a damaged mark is written anew."""
        mark = open_mark(url_of_mark, LOG)
        mark.write(note(5))
        mark.write(note(4))
        mark.write(note(5, b"\1" * 32))
        assert mark.read() == note(5)
        file_of(place).write_bytes(b"damaged")
        mark.write(note(4))
        assert mark.read() == note(4)
        assert sorted(path.name for path in file_of(place).parent.iterdir()) == [".lock", "checkpoint"]

    def test_it_is_replaced_whole_and_durably(
        self, place: Path, url_of_mark: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The new file is on disk before it takes the old one's name, and the name after that."""
        steps: list[str] = []
        real = Path.replace
        monkeypatch.setattr("os.fsync", lambda _: steps.append("fsync"))
        monkeypatch.setattr(Path, "replace", lambda *paths: (steps.append("replace"), real(*paths))[1])
        monkeypatch.setattr(
            highwater, "sync_folder", lambda path: steps.append(f"sync {path.name == place.name}")
        )
        open_mark(url_of_mark, LOG).write(note(1))
        assert steps == ["sync True", "fsync", "replace", "sync False"]

    def test_several_processes_share_a_mark(self, url: str, place: Path, url_of_mark: str) -> None:
        """It ends at the log's end."""
        program = (
            "import sys\n"
            "from tests.evidence.samples import KEYS, draft\n"
            "from consentkit.evidence.ledger import Ledger\n"
            "with Ledger.open(sys.argv[1], keys=KEYS, high_water=sys.argv[2]) as ledger:\n"
            "    for _ in range(20): ledger.append(draft())\n"
        )
        command = [sys.executable, "-c", program, url, url_of_mark]
        writers = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]
        assert mark_size(place) == 62

    def test_a_place_that_cannot_be_written_to_stops_nobody(
        self, open_ledger: OpenLedger, place: Path, url_of_mark: str
    ) -> None:
        """It is told of, once; decisions are recorded; the mark is made up for later."""
        events: list[Any] = []
        ledger = open_ledger(
            high_water=url_of_mark, on_event=lambda event, **data: events.append((event, data["place"]))
        )
        place.rename(place.with_name("unplugged"))
        for _ in range(3):
            ledger.append(draft())
        until(lambda: events)
        assert events == [("highwater.late", str(file_of(place)))]
        place.with_name("unplugged").rename(place)
        ledger.close()
        assert mark_size(place) == 5
        assert len(events) == 1


class TestOpening:
    def test_a_restored_backup_is_refused(
        self, open_ledger: OpenLedger, url: str, place: Path, url_of_mark: str
    ) -> None:
        """Before anything is signed that contradicts the log that was."""
        open_ledger(high_water=url_of_mark).close()
        restore = backup(url)
        ledger = open_ledger(high_water=url_of_mark)
        ledger.append(draft())
        ledger.close()
        restore()
        with pytest.raises(LedgerRolledBack, match="has 2 entries, and had 3") as caught:
            open_ledger(high_water=url_of_mark)
        assert "ledger recover" in caught.value.remedy
        assert mark_size(place) == 3
        with Ledger.open(url, keys=KEYS) as unguarded:
            assert unguarded.size == 2

    def test_an_empty_database_in_the_ledger_s_place_is_refused(
        self, open_ledger: OpenLedger, url: str, url_of_mark: str
    ) -> None:
        """As after a volume was not mounted: it is the same log name, begun again."""
        open_ledger(high_water=url_of_mark).close()
        Path(url.removeprefix("sqlite:///")).unlink()
        with pytest.raises(LedgerRolledBack, match="has 0 entries, and had 2"):
            open_ledger(high_water=url_of_mark)

    def test_a_restored_backup_that_went_on_is_refused(
        self, open_ledger: OpenLedger, url: str, place: Path, url_of_mark: str
    ) -> None:
        """It is longer than the mark, and another log; and it does not become the mark."""
        open_ledger().close()
        restore = backup(url)
        ledger = open_ledger(high_water=url_of_mark)
        ledger.append(draft())
        ledger.close()
        before = file_of(place).read_bytes()
        restore()
        with Ledger.open(url, keys=KEYS) as other:
            for _ in range(5):
                other.append(draft())
        with pytest.raises(LedgerRolledBack, match="does not continue"):
            open_ledger(high_water=url_of_mark)
        assert file_of(place).read_bytes() == before

    def test_a_ledger_that_is_ahead_of_its_mark_opens(
        self, open_ledger: OpenLedger, place: Path, url_of_mark: str
    ) -> None:
        """As after a crash within the lag, or when the mark is new."""
        open_ledger(high_water=url_of_mark).close()
        ledger = open_ledger()
        ledger.append(draft())
        ledger.close()
        assert mark_size(place) == 2
        open_ledger(high_water=url_of_mark).close()
        assert mark_size(place) == 3

    def test_a_mark_of_an_empty_log_refuses_nothing(
        self, open_ledger: OpenLedger, place: Path, url_of_mark: str
    ) -> None:
        """Every log continues the empty one."""
        file_of(place).parent.mkdir()
        file_of(place).write_bytes(note(0, sha256().digest()))
        assert open_ledger(high_water=url_of_mark).size == 2

    @pytest.mark.parametrize(
        "spoilt", [b"", b"damaged", note(1, signer=NoteSigner(LOG, KEYS.record)), note(1) * 2], ids=range(4)
    )
    def test_a_mark_that_the_log_did_not_sign_is_refused(
        self, open_ledger: OpenLedger, place: Path, url_of_mark: str, spoilt: bytes
    ) -> None:
        """Whoever spoiled it must not have the last word."""
        file_of(place).parent.mkdir()
        file_of(place).write_bytes(spoilt)
        with pytest.raises(LedgerError, match="none of this log"):
            open_ledger(high_water=url_of_mark)
        assert file_of(place).read_bytes() == spoilt

    def test_a_folder_that_is_not_there_is_not_made(
        self, open_ledger: OpenLedger, place: Path, url_of_mark: str
    ) -> None:
        """An unmounted volume looks like that, and would hide the mark."""
        place.rmdir()
        with pytest.raises(LedgerUnavailable, match="is not there"):
            open_ledger(high_water=url_of_mark)
        assert not place.exists()

    def test_a_mark_that_cannot_be_read_is_said_so(
        self, open_ledger: OpenLedger, place: Path, url_of_mark: str
    ) -> None:
        """And nothing is opened for it."""
        file_of(place).mkdir(parents=True)
        with pytest.raises(LedgerUnavailable, match="cannot be read"):
            open_ledger(high_water=url_of_mark)

    def test_logs_have_marks_of_their_own(
        self, open_ledger: OpenLedger, tmp_path: Path, url_of_mark: str
    ) -> None:
        """One place serves several ledgers."""
        open_ledger(high_water=url_of_mark).close()
        keys = attrs.evolve(KEYS, log_name="example.com/other")
        other = f"sqlite:///{tmp_path}/other.db"
        Ledger.open(other, keys=keys, random=countable(), high_water=url_of_mark).close()
        assert open_mark(url_of_mark, LOG).read() != open_mark(url_of_mark, keys.log_name).read()

    def test_a_ledger_that_went_back_while_it_was_open_is_not_written_to(
        self, open_ledger: OpenLedger, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when a database fails over to a replica that lags behind; without any mark, too."""
        ledger = open_ledger()
        ledger.close()
        restore = backup(url)
        ledger = open_ledger()
        ledger.append(draft())
        ledger._store.release()
        restore()
        ledger._sound = False
        with pytest.raises(LedgerCorrupt, match="had 3 before"):
            ledger.append(draft())


class TestAtAWitness:
    def test_what_a_witness_cosigned_is_a_mark(
        self, open_ledger: OpenLedger, url: str, server: WitnessServer
    ) -> None:
        """It is read at its monitoring prefix, and written by nobody else."""
        prefix = f"{server.url}/prefix"
        ledger = open_ledger(high_water=prefix, witnesses=[server.witness()])
        ledger.close()
        restore = backup(url)
        ledger = open_ledger(high_water=prefix, witnesses=[server.witness()])
        ledger.append(draft())
        ledger.cosign()
        ledger.close()
        open_ledger(high_water=prefix).close()
        restore()
        with pytest.raises(LedgerRolledBack, match="has 2 entries, and had 3"):
            open_ledger(high_water=prefix)
        with pytest.raises(OSError, match="written by its witness"):
            open_mark(prefix, LOG).write(b"")

    @pytest.mark.parametrize("answer", ["nobody", "an error"])
    def test_one_that_does_not_answer_keeps_no_ledger_closed(
        self,
        open_ledger: OpenLedger,
        server: WitnessServer,
        free_port: int,
        monkeypatch: pytest.MonkeyPatch,
        answer: str,
    ) -> None:
        """A site that cannot start because a witness is down would be the worse harm; it is told of."""
        monkeypatch.setattr(server, "monitor", lambda _: (500, b""))
        url = f"http://127.0.0.1:{free_port}" if answer == "nobody" else server.url
        events: list[str] = []
        ledger = open_ledger(high_water=url, on_event=lambda event, **_: events.append(event))
        assert ledger.append(draft()).index == 2
        assert events == ["highwater.late"]

    def test_it_is_not_asked_while_decisions_wait(
        self, open_ledger: OpenLedger, server: WitnessServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A ledger that is opened anew, after an error of the store, relies on what it knows."""
        asked: list[str] = []
        monkeypatch.setattr(server, "monitor", lambda path: (asked.append(path), (404, b""))[1])
        ledger = open_ledger(high_water=f"{server.url}/prefix")
        ledger._sound = False
        ledger.append(draft())
        assert len(asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "file://host/folder",
        "file:folder",
        "file:///folder?x",
        "http://example.com/",
        "folder",
        "s3://bucket/x",
    ],
)
def test_a_mark_is_at_a_folder_or_a_witness(url: str) -> None:
    """Anything else is refused before the ledger is opened."""
    with pytest.raises(InvalidOption):
        open_mark(url, LOG)
