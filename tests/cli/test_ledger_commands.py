"""Packs with witnesses, and recovery, as they are typed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from consentkit.evidence import Ledger
from consentkit.evidence.witness import Submitter
from consentkit.keys import Keys
from consentkit.tlog import NoteSigner
from tests.cli.conftest import Desk, fill, run
from tests.evidence.witnesses import WitnessServer, serving


@pytest.fixture
def desk(shared_desk: Desk, tmp_path: Path) -> Desk:
    """A copy of the desk, to be spoiled, without a pack."""
    copy = Desk(Path(shutil.copytree(shared_desk.folder, tmp_path / "desk")))
    shutil.rmtree(copy.pack)
    return copy


@pytest.fixture
def server(desk: Desk) -> Iterator[WitnessServer]:
    """A witness that knows the desk's log."""
    keys = Keys.load(desk.keys)
    with serving("witness.example/one", NoteSigner(keys.log_name, keys.log).verifier) as one:
        yield one


@pytest.fixture
def trust(desk: Desk, server: WitnessServer) -> Path:
    """A trust file that demands the witness, and says where it is."""
    file = desk.folder / "witnessed.txt"
    log = desk.trust.read_text().splitlines()[0]
    file.write_text(f"{log}\nwitness W {server.key} {server.url}/prefix\nquorum W\n")
    return file


def test_a_pack_is_exported_with_the_cosignatures_that_its_auditor_demands(desk: Desk, trust: Path) -> None:
    """One file serves both sides."""
    assert run("ledger", "export", desk.url, desk.pack, "--witnesses", trust).exit_code == 0
    result = run("audit", desk.pack, "--trust", trust)
    assert result.exit_code == 0
    assert "needs W; cosigned by W" in result.output


def test_without_them_the_auditor_misses_them(desk: Desk, trust: Path) -> None:
    """Nothing is wrong, and something is missing."""
    run("ledger", "export", desk.url, desk.pack)
    result = run("audit", desk.pack, "--trust", trust)
    assert result.exit_code == 3
    assert "INCOMPLETE" in result.output


def test_a_site_that_goes_on_is_caught_up_with(
    desk: Desk, trust: Path, server: WitnessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision between cosigning and export costs another round."""
    rounds: list[int] = []
    real = Submitter.at_once

    def at_once(submitter: Submitter) -> str:
        problem = real(submitter)
        rounds.append(1)
        if len(rounds) < 3:
            fill(desk)
        return problem

    monkeypatch.setattr(Submitter, "at_once", at_once)
    assert run("ledger", "export", desk.url, desk.pack, "--witnesses", trust).exit_code == 0
    assert len(rounds) == 3
    assert run("audit", desk.pack, "--trust", trust).exit_code == 0


def test_a_witness_that_refuses_is_named_and_the_pack_written(
    desk: Desk, trust: Path, server: WitnessServer
) -> None:
    """The pack is of use without it."""
    server.answers = [(404, b"unknown log\n")]
    result = run("ledger", "export", desk.url, desk.pack, "--witnesses", trust)
    assert result.exit_code == 0
    assert "Not cosigned by witness.example/one: unknown log" in result.stderr
    assert (desk.pack / "log/checkpoint").exists()


def test_a_file_that_gives_no_witness_is_wrong_usage(desk: Desk) -> None:
    """Exit code 2, as for everything that the caller brings."""
    result = run("ledger", "export", desk.url, desk.pack, "--witnesses", desk.trust)
    assert result.exit_code == 2
    assert "gives the URL of no witness" in result.output


def recover(desk: Desk, *more: object, name: str = "example.com/two") -> tuple[str, ...]:
    old, new = ("--keys", str(desk.keys)), ("--new-keys", str(desk.folder / "new"))
    return ("ledger", "recover", desk.url, "--new-log", name, *old, *new, *map(str, more))


def test_a_restored_ledger_is_carried_on_after(desk: Desk, tmp_path: Path) -> None:
    """From the refusal to a site that runs and a pack that audits, against both logs' names."""
    mark = (tmp_path / "marks").as_uri()
    (tmp_path / "marks").mkdir()
    path = desk.folder / "consent.db"
    shutil.copy(path, tmp_path / "backup.db")
    with Ledger.open(desk.url, keys=Keys.load(desk.keys), high_water=mark):
        pass
    fill(desk)
    with Ledger.open(desk.url, keys=Keys.load(desk.keys), high_water=mark) as ledger:
        size, head = ledger.size, ledger.checkpoint()
    shutil.copy(tmp_path / "backup.db", path)
    result = run(*recover(desk, "--high-water", mark))
    assert result.exit_code == 0, result.output
    assert f"{size} entries" in result.output
    assert f"{desk.url}.old-1" in result.output
    new = Keys.load(desk.folder / "new")
    old = Keys.load(desk.keys)
    assert (new.record, new.cookie, new.log_name) == (old.record, old.cookie, "example.com/two")
    assert new.log != old.log
    with Ledger.open(desk.url, keys=new, high_water=mark) as ledger:
        assert ledger.size == 3
    run("ledger", "export", desk.url, desk.pack)
    (tmp_path / "kept").write_bytes(head)
    trust = desk.folder / "new/trust.txt"
    assert run("audit", desk.pack, "--trust", trust, "--previous", tmp_path / "kept").exit_code == 0
    assert stat_mode(desk.folder / "new/log.pem") == 0o600


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_second_attempt_uses_the_keys_of_the_first(desk: Desk) -> None:
    """Keys are written before the ledger is touched, which may fail."""
    with Ledger.open(desk.url, keys=Keys.load(desk.keys)):
        result = run(*recover(desk))
        assert result.exit_code == 1
        assert "in use" in result.output
    written = (desk.folder / "new/log.pem").read_bytes()
    assert run(*recover(desk)).exit_code == 0
    assert (desk.folder / "new/log.pem").read_bytes() == written


def test_keys_of_something_else_are_not_overwritten(desk: Desk) -> None:
    """Nor is the ledger touched."""
    shutil.copytree(desk.keys, desk.folder / "new")
    result = run(*recover(desk))
    assert result.exit_code == 1
    assert "exists" in result.output
    assert not (desk.folder / "consent.db.old-1").exists()


@pytest.mark.parametrize("name", ["https://example.com", ""])
def test_a_name_that_no_log_can_have_changes_nothing(desk: Desk, name: str) -> None:
    """The keys would be of no use."""
    assert run(*recover(desk, name=name)).exit_code == 1
    assert not (desk.folder / "new").exists()


def test_the_old_name_is_refused(desk: Desk) -> None:
    """A second log of the same name is what this is to prevent."""
    result = run(*recover(desk, name=Keys.load(desk.keys).log_name))
    assert result.exit_code == 1
    assert "another name" in result.output
    assert not (desk.folder / "new").exists()


def test_a_checkpoint_of_somebody_else_is_wrong_usage(desk: Desk, tmp_path: Path) -> None:
    """It says nothing about this log."""
    (tmp_path / "kept").write_bytes(b"not a checkpoint")
    result = run(*recover(desk, "--previous", tmp_path / "kept"))
    assert result.exit_code == 2
    assert not (desk.folder / "new").exists()
    head = tmp_path / "head"
    with Ledger.open(desk.url, keys=Keys.load(desk.keys)) as ledger:
        head.write_bytes(ledger.checkpoint())
    assert run(*recover(desk, "--previous", head)).exit_code == 0
