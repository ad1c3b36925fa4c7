"""The end of a process: the ledger's file is whole, although nobody has closed it."""

from __future__ import annotations

import gc
import logging
import sqlite3
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from consentkit.evidence import Ledger, _exits
from consentkit.keys import Keys, write_keys

OPENED = """
import os, sys
from types import SimpleNamespace
from consentkit.evidence import Ledger
from consentkit.keys import Keys
from tests.evidence.samples import draft
ledger = Ledger.open(sys.argv[1], keys=Keys.load(sys.argv[2]), **eval(sys.argv[3]))
"""
RECORDED = "ledger.append(draft())\n"


def ended(folder: Path, code: str, options: str = "{}") -> str:
    """Run a program that opens a ledger in `folder` and goes on with `code`; give what it wrote."""
    if not (folder / "keys").exists():
        write_keys(folder / "keys", "example.com/consent")
    url = f"sqlite:///{folder / 'consent.db'}"
    command = [sys.executable, "-c", OPENED + code, url, str(folder / "keys"), options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout


def size(path: Path) -> int:
    """Return how many entries the database file alone has, without what may lie beside it."""
    connection = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    try:
        found: int = connection.execute("SELECT size FROM head").fetchone()[0]
        return found
    finally:
        connection.close()


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "del ledger", "ledger.close()", "ledger.rest()"])
def test_what_was_recorded_is_in_the_file_itself(tmp_path: Path, ending: str) -> None:
    """However the program ends, and whether or not it closed the ledger."""
    ended(tmp_path, RECORDED + ending)
    assert size(tmp_path / "consent.db") == 3
    assert not (tmp_path / "consent.db-wal").exists()


def test_what_is_queued_at_the_end_is_recorded(tmp_path: Path) -> None:
    """Nobody waits for it any more, and it counts."""
    ended(tmp_path, "for _ in range(20): ledger.submit(draft())")
    assert size(tmp_path / "consent.db") == 22


def test_a_child_that_ends_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    """Whether it used the ledger or not; both ends are complete."""
    for used in ("pass", "ledger.append(draft())"):
        fork = (
            f"ledger.append(draft())\nchild = os.fork()\nif child == 0:\n    {used}\n    sys.exit(0)\n"
            "assert os.waitpid(child, 0)[1] == 0\nledger.append(draft())\n"
        )
        ended(tmp_path, fork)
    assert size(tmp_path / "consent.db") == 2 + 2 + 3
    assert not (tmp_path / "consent.db-wal").exists()


def test_a_child_that_only_inherited_the_ledger_does_not_touch_its_mark(tmp_path: Path) -> None:
    """A child without rights there must not complain, nor write what is the parent's to write."""
    (tmp_path / "marks").mkdir()
    fork = (
        "ledger.append(draft())\nchild = os.fork()\nif child == 0:\n"
        "    ledger._outside._keeper = SimpleNamespace(step=lambda: print('stepped'))\n    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    mark = (tmp_path / "marks").as_uri()
    assert ended(tmp_path, fork, f"{{'high_water': {mark!r}}}") == ""
    assert list((tmp_path / "marks").iterdir())


def test_a_ledger_is_not_kept_alive_for_the_end(tmp_path: Path) -> None:
    """Who lets go of it lets go of it."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'consent.db'}", keys=Keys.generate("example.com/consent"))
    ledger.close()
    assert ledger not in _exits._known
    known = weakref.ref(ledger)
    del ledger
    gc.collect()
    assert known() is None


def test_one_that_cannot_be_closed_does_not_keep_the_others_open(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged."""
    closed: list[str] = []

    class Broken(_exits.Closable):
        def close(self) -> None:
            raise OSError("no disk")

    class Sound(_exits.Closable):
        def close(self) -> None:
            closed.append("sound")

    ones = [Broken(), Sound(), Broken(), Sound()]
    monkeypatch.setattr(_exits, "_known", weakref.WeakSet(ones))
    with caplog.at_level(logging.ERROR):
        _exits._close_all()
    assert closed == ["sound", "sound"]
    assert [record.message for record in caplog.records] == [
        "a ledger could not be closed at the end of the process"
    ] * 2


def test_a_ledger_that_rests_is_used_again_like_any_other(tmp_path: Path) -> None:
    """It connects anew; meanwhile its file is whole and can be copied."""
    from tests.evidence.samples import draft

    path = tmp_path / "consent.db"
    with Ledger.open(f"sqlite:///{path}", keys=Keys.generate("example.com/consent")) as ledger:
        ledger.append(draft())
        ledger.rest()
        assert size(path) == 3
        assert not Path(f"{path}-wal").exists()
        assert ledger.append(draft()).index == 3
        assert ledger.size == 4
