"""Key files: written once, privately and completely, and read back with errors that name the file."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from consentkit.errors import InvalidKey
from consentkit.keys import Keys, write_keys
from consentkit.tlog import TrustPolicy

LOG = "example.com/consent"
SECRETS = ["cookie.json", "log.pem", "record.pem"]
FILES = sorted([*SECRETS, "log-name.txt", "trust.txt"])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask() -> Iterator[None]:
    """Let the test set any umask."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_written_keys_are_loaded_again(tmp_path: Path) -> None:
    """The same log name, keys and cookie secret."""
    written = write_keys(tmp_path / "keys", LOG)
    loaded = Keys.load(tmp_path / "keys")
    assert (loaded.log_name, loaded.cookie) == (LOG, written.cookie)
    assert loaded.log.key_id == written.log.key_id != written.record.key_id == loaded.record.key_id
    assert loaded.record.sign(b"x") == written.record.sign(b"x")


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_only_the_owner_can_read_the_secrets_whatever_the_umask(
    tmp_path: Path, umask: None, mask: int
) -> None:
    """Neither a lax umask opens them nor a strict one locks the owner out."""
    os.umask(mask)
    write_keys(tmp_path / "keys", LOG)
    assert mode(tmp_path / "keys") == 0o700
    assert {name: mode(tmp_path / "keys" / name) for name in FILES} == {
        name: 0o600 if name in SECRETS else 0o644 for name in FILES
    }


def test_a_folder_that_is_used_for_other_things_keeps_its_mode(tmp_path: Path) -> None:
    """Writing keys into a project's folder does not lock others out of the project."""
    (tmp_path / "other").touch()
    tmp_path.chmod(0o755)
    write_keys(tmp_path, LOG)
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "log.pem") == 0o600


def test_an_empty_folder_is_made_private(tmp_path: Path) -> None:
    """As if it had been created for the keys."""
    (tmp_path / "keys").mkdir(mode=0o755)
    write_keys(tmp_path / "keys", LOG)
    assert mode(tmp_path / "keys") == 0o700


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_ever_overwritten(tmp_path: Path, name: str) -> None:
    """One file in the way, even a dangling link, and nothing at all is written."""
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidKey, match="never overwritten") as caught:
        write_keys(tmp_path, LOG)
    assert name in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_failure_on_the_way_leaves_no_half_set_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk at the third file: the next attempt starts from nothing."""
    calls = iter([None, None, OSError(28, "No space left on device")])
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and (error := next(calls)):
            raise error
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(InvalidKey, match="No space left"):
        write_keys(tmp_path / "keys", LOG)
    assert list((tmp_path / "keys").iterdir()) == []


def test_every_file_and_folder_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that sign the first record must not vanish with a power cut after it."""
    synced: set[str] = set()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "keys"
    write_keys(folder, LOG)
    assert synced == {str(path) for path in (tmp_path, folder, *(folder / name for name in FILES))}


def test_the_trust_file_names_the_log_key(tmp_path: Path) -> None:
    """It parses as C2SP's tlog-policy, trusts the log key under the log's name, and demands no witness."""
    keys = write_keys(tmp_path / "keys", LOG)
    trust = TrustPolicy.parse((tmp_path / "keys" / "trust.txt").read_bytes())
    (log_key,) = trust.log_keys
    assert (log_key.name, log_key.public_key) == (LOG, keys.log.public_key)
    assert (trust.quorum, trust.witnesses) == ("none", ())


@pytest.mark.parametrize("name", [name for name in FILES if name != "trust.txt"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """With the command that makes keys."""
    write_keys(tmp_path, LOG)
    (tmp_path / name).unlink()
    with pytest.raises(InvalidKey, match=f"{name} is missing") as caught:
        Keys.load(tmp_path)
    assert "consentkit keys new" in caught.value.remedy


@pytest.mark.parametrize("name", [name for name in FILES if name != "trust.txt"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"x" * 100_000])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """With a remedy, and no traceback of a decoder."""
    write_keys(tmp_path, LOG)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidKey, match=name) as caught:
        Keys.load(tmp_path)
    assert caught.value.remedy


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder in place of a file, say."""
    write_keys(tmp_path, LOG)
    (tmp_path / "log.pem").unlink()
    (tmp_path / "log.pem").mkdir()
    with pytest.raises(InvalidKey, match=r"log\.pem: Is a directory"):
        Keys.load(tmp_path)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """The keys still load: a site must not go down over it."""
    write_keys(tmp_path, LOG)
    (tmp_path / name).chmod(0o640)
    with caplog.at_level(logging.WARNING):
        Keys.load(tmp_path)
    assert [str(tmp_path / name) in message for message in caplog.messages] == [True]


def test_a_log_that_carries_on_keeps_what_visitors_have(tmp_path: Path) -> None:
    """Record key and cookie secrets stay; the log key is new; auditors accept both logs."""
    old = write_keys(tmp_path / "old", LOG)
    new = write_keys(tmp_path / "new", "example.com/two", after=old)
    assert (new.record, new.cookie) == (old.record, old.cookie)
    assert new.log != old.log
    assert Keys.load(tmp_path / "new") == new
    trust = TrustPolicy.parse((tmp_path / "new/trust.txt").read_bytes())
    assert [key.name for key in trust.log_keys] == ["example.com/two", LOG]
    assert [key.public_key for key in trust.log_keys] == [new.log.public_key, old.log.public_key]


def test_a_log_does_not_carry_on_after_itself(tmp_path: Path) -> None:
    """A second log of the same name would be a fork."""
    old = write_keys(tmp_path / "old", LOG)
    with pytest.raises(InvalidKey, match="has its keys"):
        write_keys(tmp_path / "new", LOG, after=old)
    assert not (tmp_path / "new").exists()


def test_a_record_key_that_is_kept_elsewhere_is_not_written(tmp_path: Path) -> None:
    """A key service gives it away to nobody; the message says what to do instead."""

    class Service:
        key_id, public_key = "id", bytes(32)

        def sign(self, data: bytes) -> bytes:
            return data

    old = Keys.generate(LOG)
    old = Keys(LOG, old.log, Service(), old.cookie)
    with pytest.raises(InvalidKey, match="kept elsewhere"):
        write_keys(tmp_path / "new", "example.com/two", after=old)
