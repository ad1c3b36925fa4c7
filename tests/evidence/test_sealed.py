"""Openings under a key of their subject: what copies of the ledger say once that key is gone."""

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from consentkit.audit import audit
from consentkit.errors import LedgerCorrupt, LedgerError, LedgerUnavailable, OutcomeUnknown
from consentkit.evidence import Choice, Ledger
from consentkit.evidence.batch import Once
from consentkit.evidence.current import read_history
from consentkit.evidence.export import export
from consentkit.evidence.recover import recover
from consentkit.evidence.table import export_table
from consentkit.keys import Keys
from consentkit.policy import Policy
from consentkit.tlog import NoteSigner
from tests.evidence import test_erasure
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, LOG, NOW, TRUST, draft, history, signer
from tests.evidence.test_erasure import DAY, found_in, record, secrets_of
from tests.postgres.reuse import reused
from tests.support import ROOT, Clock

globals().update(
    {
        name: test
        for name, test in reused(test_erasure).items()
        if name != "test_a_process_of_its_own_erases_for_all"  # it knows of no keys
    }
)


@pytest.fixture
def subject_keys(tmp_path: Path) -> str:
    """Where the subject keys are: not beside the ledger."""
    (tmp_path / "keys").mkdir()
    return f"sqlite:///{tmp_path}/keys/subjects.db"


@pytest.fixture
def open_ledger(open_ledger: OpenLedger, subject_keys: str) -> OpenLedger:
    """Open the ledger with its subject keys, unless told otherwise."""
    return lambda **options: open_ledger(**{"subject_keys": subject_keys} | options)


@pytest.fixture
def path(url: str) -> Path:
    """The ledger's file."""
    return Path(url.removeprefix("sqlite:///"))


def copy(source: Path, target: Path) -> None:
    """Copy a database as it is now, as a backup does."""
    with sqlite3.connect(source) as there, sqlite3.connect(target) as here:
        there.backup(here)
    there.close()
    here.close()


def rows(path: Path, query: str) -> list[Any]:
    """What a database says."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def keys_in(subject_keys: str) -> dict[bytes, bytes]:
    """Every subject key that there is."""
    return dict(rows(Path(subject_keys.removeprefix("sqlite:///")), "SELECT token, key FROM subject_key"))


def opens(path: Path, keys: dict[bytes, bytes]) -> int:
    """How many sealed openings of a database some key opens, whatever the database says about whose they are."""
    count = 0
    for index, blob in rows(path, "SELECT idx, blind FROM opening"):
        for key in keys.values():
            try:
                ChaCha20Poly1305(key).decrypt(blob[16:28], blob[28:], b"%d" % index)
            except InvalidTag:
                continue
            count += 1
    return count


def lawful(ledger: Ledger, *names: str) -> list[int]:
    """Record, in each of these histories, a decision on a policy and a notice that were published."""
    policy = Policy.load(ROOT / "examples/policies/small-blog.json")
    ledger.publish_policy(policy)
    shown = (ledger.publish_notice(b"<!doctype html><title>Privacy</title>"), "en", "consentkit/1", "bar")
    said: dict[str, Any] = {
        "policy": (policy.digest, policy.version),
        "notice": shown,
        "regime": "everywhere",
    }
    choices = {"analytics": Choice(True, "express")}
    drafts = [
        draft(history=name, choices=choices, services={}, asked=("analytics",), **said) for name in names
    ]
    return [future.result().index for future in [ledger.submit(one) for one in drafts]]


# What is sealed


def test_no_file_of_the_ledger_says_what_a_record_says(open_ledger: OpenLedger, tmp_path: Path) -> None:
    """Not to whoever has no keys; whoever has them reads everything."""
    ledger, plain = open_ledger(), tmp_path / "plain"
    plain.mkdir()
    names = [history() for _ in range(30)]
    appended = [ledger.append(draft(history=name)) for name in names]
    wanted = {
        (one.index, what): secret
        for one, name in zip(appended, names, strict=True)
        for what, secret in secrets_of(one.opening, name).items()
    }
    assert found_in(tmp_path, wanted) == set()
    (plain / "opening").write_bytes(appended[3].record.jwt.encode() + appended[3].opening.blind)
    assert {index for index, _ in found_in(tmp_path, wanted)} == {appended[3].index}, (
        "the search finds what is there"
    )
    for one, name in zip(appended, names, strict=True):
        assert ledger.opening(one.index) == one.opening
        assert ledger.history(name) == (one,)


def test_what_is_sealed_tells_no_choice_by_its_length(ledger: Ledger, path: Path) -> None:
    """`true` is shorter than `false`, so an unpadded row would count the refusals."""
    for number in range(2**4):
        choices = {f"c{bit}": Choice(bool(number >> bit & 1), "express") for bit in range(4)}
        ledger.append(draft(choices=choices, asked=tuple(choices)))
    assert len(rows(path, "SELECT DISTINCT length(blind) FROM opening")) == 1
    assert rows(path, "SELECT DISTINCT record, disclosures FROM opening") == [("", "")]


def test_a_pack_and_a_table_are_those_of_any_ledger(
    open_ledger: OpenLedger, url: str, subject_keys: str, tmp_path: Path
) -> None:
    """An auditor needs no subject keys."""
    ledger, name = open_ledger(), history()
    lawful(ledger, name, *[history() for _ in range(300)])
    ledger.erase(name, "request")
    export(url, tmp_path / "pack", subject_keys=subject_keys)
    ledger.export(tmp_path / "again")
    for pack in ("pack", "again"):
        report = audit(tmp_path / pack, TRUST)
        assert report.exit_code == 0, report
    assert export_table(url, tmp_path / "t.parquet", subject_keys=subject_keys) == 300


def test_a_history_is_read_without_the_signing_keys(
    open_ledger: OpenLedger, url: str, subject_keys: str
) -> None:
    """As the command line does."""
    ledger, name = open_ledger(), history()
    record(ledger, name, name)
    found, current = read_history(url, name, subject_keys=subject_keys)
    assert [one.index for one in found] == [one.index for one in ledger.history(name)]
    assert current == ledger.current(name)


def test_a_repeated_request_gets_its_first_answer(ledger: Ledger, path: Path) -> None:
    """What is remembered of it is sealed, too: a digest of few possible requests is no secret."""
    once, name = Once(os.urandom(32), os.urandom(32), NOW + DAY), history()
    first = ledger.append(draft(history=name), once)
    assert ledger.append(draft(history=name), once).index == first.index
    assert ledger.recall(once) is not None
    ((kept,),) = rows(path, "SELECT digest FROM answered")
    assert once.digest not in kept
    ledger.erase(name, "request")
    assert ledger.recall(once) is None


def test_a_sealed_opening_belongs_to_its_place(ledger: Ledger, path: Path) -> None:
    """One that was moved or changed is damage, and no other record."""
    name = history()
    one, other = record(ledger, name, name)
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE opening SET blind = (SELECT blind FROM opening WHERE idx = ?) WHERE idx = ?", (one, other)
    )
    connection.commit()
    connection.close()
    assert ledger.opening(one) is not None
    with pytest.raises(LedgerCorrupt, match=f"entry {other} was not sealed"):
        ledger.opening(other)


# What dies with a key


def test_a_backup_from_before_says_nothing_of_who_was_erased(
    open_ledger: OpenLedger, url: str, path: Path, subject_keys: str, tmp_path: Path
) -> None:
    """The backup has every row; the key that opened some of them is gone, in all copies at once."""
    ledger = open_ledger()
    victim, other = history(), history()
    lost = record(ledger, victim, other, victim)
    kept = lost.pop(1)
    wanted = {
        (one.index, what): secret
        for one in ledger.history(victim)
        for what, secret in secrets_of(one.opening, victim).items()
    }
    backup, old_keys = tmp_path / "backup.db", tmp_path / "old-keys.db"
    copy(path, backup)
    copy(Path(subject_keys.removeprefix("sqlite:///")), old_keys)
    before = keys_in(subject_keys)
    assert ledger.erase(victim, "gdpr-17-1-b") == tuple(lost)
    ledger.close()
    after = keys_in(subject_keys)
    assert (len(before), len(after), opens(backup, before), opens(backup, after)) == (2, 1, 3, 1)

    for name in (f"{path}-wal", f"{path}-shm"):
        Path(name).unlink(missing_ok=True)
    backup.rename(path)
    again = open_ledger()
    assert [again.opening(index) for index in lost] == [None, None]
    assert again.history(victim) == ()
    assert [one.index for one in again.history(other)] == [kept]
    assert found_in(tmp_path, wanted) == set()
    again.close()

    # What makes the difference is the key: with a copy of the old ones, everything is there again.
    found, _ = read_history(url, victim, subject_keys=f"sqlite:///{old_keys}")
    assert [one.index for one in found] == lost


def test_what_was_restored_is_erased_again(open_ledger: OpenLedger, path: Path, tmp_path: Path) -> None:
    """Its rows are found by their token, though nobody can open them; the audit is then told where they are."""
    ledger, name = open_ledger(), history()
    *lost, _ = lawful(ledger, name, name, history())
    copy(path, tmp_path / "backup.db")
    ledger.erase(name, "request")
    ledger.close()
    (tmp_path / "backup.db").rename(path)
    again = open_ledger()
    again.export(tmp_path / "pack")
    assert audit(tmp_path / "pack", TRUST).exit_code == 1
    assert again.erase(name, "request") == tuple(lost)
    again.export(tmp_path / "pack")
    assert audit(tmp_path / "pack", TRUST).exit_code == 0


def test_no_file_has_a_byte_of_a_key_that_was_thrown_away(
    open_ledger: OpenLedger, subject_keys: str, tmp_path: Path
) -> None:
    """Neither the database of keys nor its write-ahead log."""
    ledger, names = open_ledger(), [history() for _ in range(40)]
    record(ledger, *names)
    before = keys_in(subject_keys)
    ledger.erase(names[::2], "request")
    after = keys_in(subject_keys)
    gone = {(0, token.hex()): key for token, key in before.items() if token not in after}
    assert (len(before), len(after), len(gone)) == (40, 20, 20)
    assert found_in(tmp_path, gone) == set()
    assert len(found_in(tmp_path, {(0, token.hex()): key for token, key in after.items()})) == 20


def test_a_key_goes_with_the_last_record_of_its_subject(
    ledger: Ledger, clock: Clock, subject_keys: str
) -> None:
    """Retention may take some of a history and leave the rest."""
    early, late, held = history(), history(), history()
    record(ledger, early, late, held)
    ledger.hold("case-7", held)
    clock.advance(DAY)
    (young,) = record(ledger, late)
    assert ledger.retain(clock()) == young
    assert len(keys_in(subject_keys)) == 2
    assert [one.index for one in ledger.history(late)] == [young]
    assert len(ledger.history(held)) == 1
    ledger.release("case-7")
    clock.advance(DAY)
    ledger.retain(clock())
    assert keys_in(subject_keys) == {}


def test_who_comes_back_after_an_erasure_gets_a_new_key(ledger: Ledger, subject_keys: str) -> None:
    """The old one must not open anything new, nor stay for its sake."""
    name = history()
    record(ledger, name)
    ((token, key),) = keys_in(subject_keys).items()
    ledger.erase(name, "request")
    record(ledger, name)
    assert list(keys_in(subject_keys)) == [token]
    assert keys_in(subject_keys)[token] != key


# When something comes in between


def test_a_key_that_could_not_be_thrown_away_goes_with_the_next_decision(
    open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch, subject_keys: str
) -> None:
    """Whoever erased may die before; the mark on the key stays, and whoever writes next sees it."""
    name = history()
    with open_ledger() as ledger, monkeypatch.context() as patch:
        record(ledger, name)
        patch.setattr(ledger._store, "scrub", lambda: True)
        ledger.erase(name, "request")
        assert len(keys_in(subject_keys)) == 1
    other = open_ledger()
    ((_, old),) = keys_in(subject_keys).items()
    (again,) = record(other, name)
    assert [one.index for one in other.history(name)] == [again]
    assert old not in keys_in(subject_keys).values()


def test_a_key_is_kept_if_the_erasure_was_not_written(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, subject_keys: str
) -> None:
    """The mark comes first, and says nothing by itself."""
    name = history()
    record(ledger, name)
    with monkeypatch.context() as patch:
        patch.setattr(ledger._store._inner, "commit", refuse)  # type: ignore[attr-defined]
        with pytest.raises(LedgerUnavailable):
            ledger.erase(name, "request")
    assert len(ledger.history(name)) == 1
    record(ledger, name)
    assert len(ledger.history(name)) == 2
    assert len(keys_in(subject_keys)) == 1


def refuse(_: object) -> None:
    """Fail as a disk does."""
    raise OutcomeUnknown("the disk is gone")


@pytest.mark.parametrize("step", ["obtain", "mark", "marked"])
def test_without_its_keys_nothing_is_recorded_until_they_are_back(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A record must not be acknowledged that nobody could ever open."""
    name = history()
    record(ledger, name)
    size = ledger.size
    with monkeypatch.context() as patch:
        patch.setattr(ledger._store._keys, step, refuse)  # type: ignore[attr-defined]
        with pytest.raises(LedgerUnavailable):
            ledger.erase(name, "request") if step == "mark" else ledger.append(draft())
    assert ledger.size == size
    record(ledger, name)
    assert len(ledger.history(name)) == 2


def test_processes_share_the_keys_of_a_subject(open_ledger: OpenLedger, subject_keys: str) -> None:
    """Whichever of them records first makes the key."""
    one, other = open_ledger(), open_ledger()
    names = [history() for _ in range(20)]
    for number, name in enumerate(names * 3):
        record((one, other)[number % 2], name)
    assert [len(one.history(name)) for name in names] == [3] * 20
    assert one.history(names[0]) == other.history(names[0])
    assert len(keys_in(subject_keys)) == 20


def test_a_forked_process_goes_on_with_connections_of_its_own(ledger: Ledger) -> None:
    """Of the keys, too."""
    name = history()
    record(ledger, name)
    if not (child := os.fork()):
        status = 1
        try:
            ledger.append(draft(history=name))
            status = len(ledger.history(name)) != 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    record(ledger, name)
    assert len(ledger.history(name)) == 3


# Whose keys they are


def test_sealed_openings_are_not_read_without_keys(open_ledger: OpenLedger, url: str, tmp_path: Path) -> None:
    """It is said what to do, by everything that reads openings."""
    open_ledger()
    for read in (
        lambda: open_ledger(subject_keys=None),
        lambda: export(url, tmp_path / "pack"),
        lambda: export_table(url, tmp_path / "t.parquet"),
        lambda: read_history(url, history()),
    ):
        with pytest.raises(LedgerError, match="sealed under subject keys") as caught:
            read()
        assert "--subject-keys" in (caught.value.remedy or "")


def test_keys_are_chosen_when_a_ledger_is_made(open_ledger: OpenLedger, subject_keys: str) -> None:
    """Half of a ledger in the clear would be a promise that is not kept; no keys are made by trying."""
    open_ledger(subject_keys=None)
    with pytest.raises(LedgerError, match="there is no store of subject keys at"):
        open_ledger()
    assert not Path(subject_keys.removeprefix("sqlite:///")).exists()


def test_keys_of_another_ledger_are_refused(open_ledger: OpenLedger, tmp_path: Path) -> None:
    """With them, nobody would have any record."""
    open_ledger()
    others = f"sqlite:///{tmp_path}/keys/others.db"
    Ledger.open(f"sqlite:///{tmp_path}/other.db", keys=KEYS, subject_keys=others).close()
    with pytest.raises(LedgerError, match="not those of this ledger"):
        open_ledger(subject_keys=others)


def test_keys_that_are_lost_are_not_replaced(open_ledger: OpenLedger, subject_keys: str, url: str) -> None:
    """New ones would open nothing."""
    ledger = open_ledger()
    record(ledger, history())
    ledger.close()
    shutil.rmtree(Path(subject_keys.removeprefix("sqlite:///")).parent)
    with pytest.raises(LedgerError, match="there already"):
        open_ledger()
    with pytest.raises(LedgerError, match="there already"):
        read_history(url, history(), subject_keys=subject_keys)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("sqlite:///{}/consent.db", "of their own"),
        ("redis://there", "not the URL"),
        ("sqlite:///", "no database"),
    ],
)
def test_what_cannot_be_a_store_of_keys_is_refused(
    open_ledger: OpenLedger, tmp_path: Path, keys: str, says: str
) -> None:
    """Least of all the ledger itself."""
    with pytest.raises(LedgerError, match=says):
        open_ledger(subject_keys=keys.format(tmp_path))


def test_a_new_log_goes_on_with_the_same_keys(open_ledger: OpenLedger, url: str, subject_keys: str) -> None:
    """And erasing in it reaches what is left of the old one, whose rows nobody can take away."""
    ledger, name = open_ledger(), history()
    record(ledger, name)
    ledger.close()
    verifier = NoteSigner(LOG, KEYS.log).verifier
    new = Keys("example.com/consent/2", signer("log 2"), KEYS.record, KEYS.cookie)
    found = recover(url, old_key=verifier, keys=new, subject_keys=subject_keys)
    assert found.old_url is not None
    assert len(read_history(found.old_url, name, subject_keys=subject_keys)[0]) == 1
    with Ledger.open(url, keys=new, subject_keys=subject_keys) as later:
        record(later, name)
        assert len(later.history(name)) == 1
        later.erase(name, "request")
    assert read_history(found.old_url, name, subject_keys=subject_keys)[0] == ()
