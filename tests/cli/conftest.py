"""A ledger, its keys, its pack and a receipt, as the command line works with them."""

from pathlib import Path

import pytest
from attrs import frozen
from click.testing import CliRunner, Result

from consentkit.cli.root import app
from consentkit.evidence import Choice, Ledger, RecordDraft
from consentkit.keys import Keys, write_keys
from consentkit.policy import Policy
from tests.support import ROOT

POLICIES = ROOT / "examples/policies"


@frozen
class Desk:
    """Where everything of one site lies."""

    folder: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'consent.db'}"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def trust(self) -> Path:
        return self.keys / "trust.txt"

    @property
    def pack(self) -> Path:
        return self.folder / "pack"

    @property
    def receipt(self) -> Path:
        return self.folder / "receipt.json"


def fill(desk: Desk, subject_keys: str | None = None) -> None:
    policy = Policy.load(POLICIES / "small-blog.json")
    with Ledger.open(desk.url, keys=Keys.load(desk.keys), subject_keys=subject_keys) as ledger:
        ledger.publish_policy(policy)
        notice = ledger.publish_notice(b"<!doctype html><title>Privacy</title>")
        draft = RecordDraft(
            event="given", method="banner", site="https://example.com",
            choices={"analytics": Choice(True, "express"), "comments": Choice(False, "express")},
            asked=("analytics", "comments"), policy=(policy.digest, policy.version),
            notice=(notice, "en", "consentkit/1", "bar"), region="FR", regime="everywhere", model="opt-in",
            signals={"gpc": False, "shown": False}, expires=None, history="AAAAAAAAAAAAAAAAAAAAAA",
        )  # fmt: skip
        index = ledger.append(draft).index
        receipt = ledger.receipt(index)
        assert receipt is not None
        desk.receipt.write_bytes(receipt.encode())
        ledger.export(desk.pack)


@pytest.fixture(scope="session")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A site's desk, not to be changed."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    write_keys(desk.keys, "example.com/consent")
    fill(desk)
    return desk


def run(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
