"""Erasure, holds, retention and histories, as they are typed."""

import shutil
from pathlib import Path

import pytest

from consentkit.evidence import Ledger
from consentkit.keys import Keys, write_keys
from tests.cli.conftest import POLICIES, Desk, fill, run

HISTORY = "AAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
def desk(shared_desk: Desk, tmp_path: Path) -> Desk:
    """A copy of the desk, to be changed."""
    return Desk(Path(shutil.copytree(shared_desk.folder, tmp_path / "desk")))


def test_a_history_is_told_in_words(shared_desk: Desk) -> None:
    """What was chosen, on what, and what stands."""
    result = run("ledger", "history", shared_desk.url, HISTORY)
    assert result.exit_code == 0
    for words in (
        "Entry 4, 20", "given, by banner", "allowed     analytics", "refused     comments", "; policy ", "; FR",
        "https://example.com", "Now", "allowed since 20", "refused since 20",
    ):  # fmt: skip
        assert words in result.output


def test_a_history_that_is_not_there_is_an_error(shared_desk: Desk) -> None:
    """It may never have been, or be erased: nobody can tell."""
    result = run("ledger", "history", shared_desk.url, "BAAAAAAAAAAAAAAAAAAAAA")
    assert result.exit_code == 1
    assert "no record of the history" in result.stderr


def test_a_pseudonym_may_begin_with_a_hyphen(shared_desk: Desk) -> None:
    """As one in 64 does; help says how it is written."""
    result = run("ledger", "history", shared_desk.url, "--", "-AAAAAAAAAAAAAAAAAAAAA")
    assert "no record of the history -AAAA" in result.stderr
    assert "Put -- before" in run("ledger", "history", "--help").output


def test_what_was_erased_is_gone_and_the_pack_still_audits(desk: Desk) -> None:
    """The pack that was there before is brought up to date."""
    result = run("ledger", "erase", desk.url, HISTORY, "--reason", "gdpr-17-1-b", "--keys", desk.keys)
    assert (result.exit_code, result.output) == (0, "Erased 1 record: 4.\n")
    assert run("ledger", "history", desk.url, HISTORY).exit_code == 1
    run("ledger", "export", desk.url, desk.pack)
    assert (desk.pack / "openings/000.jsonl").read_bytes() == b""
    report = run("audit", desk.pack, "--trust", desk.trust)
    assert report.exit_code == 0
    assert "0 opened, 1 erased, 0 expired" in report.output
    assert "1 erased for gdpr-17-1-b, 20" in report.output


def test_there_may_be_nothing_to_erase(desk: Desk) -> None:
    """Which is what the person asked for."""
    arguments = ("erase", desk.url, "BAAAAAAAAAAAAAAAAAAAAA", "--reason", "request", "--keys", desk.keys)
    result = run("ledger", *arguments)
    assert (result.exit_code, result.output) == (0, "There was nothing to erase.\n")


def test_a_hold_keeps_a_record_until_it_is_released(desk: Desk) -> None:
    """From the dispute to its end, and the auditor sees both."""
    keys = ("--keys", desk.keys)
    held = run("ledger", "hold", desk.url, "case-7", HISTORY, *keys)
    assert held.output == "The hold case-7 is on 1 record: 4.\n"
    refused = run("ledger", "erase", desk.url, HISTORY, "--reason", "request", *keys)
    assert refused.exit_code == 1
    assert "the hold case-7 is on records of it" in refused.stderr
    run("ledger", "export", desk.url, desk.pack)
    assert "case-7 in force on 1 records" in run("audit", desk.pack, "--trust", desk.trust).output
    assert run("ledger", "release", desk.url, "case-7", *keys).exit_code == 0
    assert run("ledger", "erase", desk.url, HISTORY, "--reason", "request", *keys).exit_code == 0
    run("ledger", "export", desk.url, desk.pack)
    assert run("audit", desk.pack, "--trust", desk.trust).exit_code == 0


def test_a_hold_can_be_placed_by_index(desk: Desk) -> None:
    """An auditor's question names an entry, not a person."""
    result = run("ledger", "hold", desk.url, "case-8", "--index", "4", "--keys", desk.keys)
    assert result.output == "The hold case-8 is on 1 record: 4.\n"
    assert run("ledger", "hold", desk.url, "case-9", "--index", "0", "--keys", desk.keys).exit_code == 1


def test_records_expire_by_date_or_by_policy(desk: Desk) -> None:
    """Nothing is as old as the policy's retention; everything is older than a day to come."""
    keys = ("--keys", desk.keys)
    kept = run("ledger", "retain", desk.url, "--policy", POLICIES / "small-blog.json", *keys)
    assert kept.exit_code == 0
    assert "Nothing that is not on hold" in kept.output
    gone = run("ledger", "retain", desk.url, "--before", "2199-01-01", *keys)
    assert "Records below entry 5 have expired" in gone.output
    fill(desk)
    run("ledger", "export", desk.url, desk.pack)
    report = run("audit", desk.pack, "--trust", desk.trust)
    assert report.exit_code == 0
    assert "0 erased, 1 expired" in report.output


@pytest.mark.parametrize(
    "options", [(), ("--before", "2020-01-01", "--policy", POLICIES / "small-blog.json")]
)
def test_retention_is_given_in_one_way(desk: Desk, options: tuple[object, ...]) -> None:
    """Neither or both is wrong usage."""
    assert run("ledger", "retain", desk.url, *options, "--keys", desk.keys).exit_code == 2


def test_a_reader_that_keeps_bytes_from_being_overwritten_is_told_of(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that runs beside it keeps the old pages of the file in use."""
    monkeypatch.setattr("consentkit.evidence.ledger._SCRUB_PAUSES", (0.0, 0.01))
    with Ledger.open(desk.url, keys=Keys.load(desk.keys)) as ledger, ledger._view() as view:
        view.head()
        result = run("ledger", "erase", desk.url, HISTORY, "--reason", "request", "--keys", desk.keys)
    assert result.exit_code == 0
    assert "not overwritten in the files yet" in result.stderr


def test_a_ledger_that_is_not_there_is_not_made(desk: Desk) -> None:
    """A wrong URL must not look like a success."""
    arguments = (f"sqlite:///{desk.folder}/none.db", HISTORY, "--reason", "request", "--keys", desk.keys)
    assert run("ledger", "erase", *arguments).exit_code == 1
    assert not (desk.folder / "none.db").exists()


def test_every_command_opens_what_is_sealed(tmp_path: Path) -> None:
    """Once it is told where the keys are; without them it says so."""
    desk, subjects = Desk(tmp_path), f"sqlite:///{tmp_path}/subjects.db"
    write_keys(desk.keys, "example.com/consent")
    fill(desk, subjects)
    told, writing = ["--subject-keys", subjects], ["--keys", desk.keys]
    for command in (
        ["history", desk.url, HISTORY],
        ["export", desk.url, tmp_path / "other"],
        ["export", desk.url, tmp_path / "t.parquet", "--format", "parquet"],
        ["hold", desk.url, "case-7", HISTORY, *writing],
        ["release", desk.url, "case-7", *writing],
        ["erase", desk.url, HISTORY, "--reason", "request", *writing],
        ["retain", desk.url, "--before", "2020-01-01", *writing],
    ):
        blind = run("ledger", *command)
        assert blind.exit_code != 0
        assert "--subject-keys" in blind.stderr
        assert run("ledger", *command, *told).exit_code == 0
