"""The demo's folder is made on the first run and kept as it is from then on."""

import os
from pathlib import Path

import pytest

from consentkit.cli.demo_site.folder import LOG_NAME, DemoFolder, demo_folder
from consentkit.errors import InvalidKey, LedgerUnavailable
from consentkit.keys import Keys
from consentkit.policy import Policy
from tests.support import ROOT


def contents(root: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_a_new_folder_gets_keys_trust_file_and_policy(tmp_path: Path) -> None:
    """The layout is the documented one, and the keys are as `keys new` writes them."""
    with demo_folder(tmp_path / "new" / "demo") as folder:
        assert folder.policy == folder.root / "policy.json"
        assert folder.trust == folder.root / "keys" / "trust.txt"
        assert folder.trust.is_file()
        assert Keys.load(folder.keys).log_name == LOG_NAME
        assert os.stat(folder.keys / "record.pem").st_mode & 0o777 == 0o600
        assert folder.ledger == f"sqlite:///{folder.root}/consent.db"


def test_the_policy_is_the_news_site_example(tmp_path: Path) -> None:
    """What the demo serves is what `examples/` shows, and it is valid."""
    with demo_folder(tmp_path) as folder:
        assert folder.policy.read_bytes() == (ROOT / "examples/policies/news-site.json").read_bytes()
        assert Policy.load(folder.policy).service_for_cookie("adnet_uid") is not None


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """Keys stay, and so does a policy that was edited."""
    DemoFolder(tmp_path).prepare()
    (tmp_path / "policy.json").write_text("{}")
    before = contents(tmp_path)
    DemoFolder(tmp_path).prepare()
    assert contents(tmp_path) == before


def test_half_a_set_of_keys_is_not_completed(tmp_path: Path) -> None:
    """A key that is there is never written over."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "log.pem").write_text("precious")
    with pytest.raises(InvalidKey, match="exists"):
        DemoFolder(tmp_path).prepare()
    assert contents(tmp_path) == {"keys/log.pem": b"precious"}


def test_a_ledger_without_its_keys_is_left_alone(tmp_path: Path) -> None:
    """New keys beside an old ledger would be of no use, so none are made."""
    (tmp_path / "consent.db").write_bytes(b"")
    with pytest.raises(LedgerUnavailable, match="keys that it was signed with are gone"):
        DemoFolder(tmp_path).prepare()
    assert contents(tmp_path) == {"consent.db": b""}


def test_a_temporary_folder_is_removed() -> None:
    """Without a folder of one's own nothing stays behind."""
    with demo_folder(None) as folder:
        assert folder.policy.exists()
    assert not folder.root.exists()
