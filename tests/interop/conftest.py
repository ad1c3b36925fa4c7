"""Logs of the sizes at which trees, tiles and bundles change, as a real ledger exports them; and who verifies them."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import frozen

from consentkit.evidence.export import export
from consentkit.evidence.ledger import Ledger
from consentkit.tlog import Checkpoint, NoteSigner, build_tiles, leaf_hash, sign_note, tree_root
from tests.evidence.samples import KEYS, LOG, draft
from tests.interop.tools import NotToBeHad, Venv, c2sp_tools, skip, sumdb

SIZES = (0, 1, 2, 255, 256, 257, 65_536, 65_537, 70_000)
SIGNER = NoteSigner(LOG, KEYS.log)
_AT_ONCE = 1000


@frozen
class Logs:
    """Folders of the log by its size; those with two entries or more are packs of one ledger as it grew."""

    folder: Path
    url: str

    def log(self, size: int) -> Path:
        """The folder that C2SP's tools read."""
        return self.pack(size) / "log"

    def pack(self, size: int) -> Path:
        """The auditor's pack."""
        return self.folder / str(size)

    def checkpoint(self, size: int) -> Checkpoint:
        """The head of the log."""
        return self.head(self.log(size))

    @staticmethod
    def head(log: Path) -> Checkpoint:
        """The head of the log in a folder."""
        return Checkpoint.parse((log / "checkpoint").read_bytes().partition(b"\n\n")[0] + b"\n")


def _bare(folder: Path, size: int) -> None:
    """Write a log of fewer entries than a ledger begins with."""
    entries = [b"consentkit/1 notice %064d\n" % number for number in range(size)]
    for path, data in build_tiles(entries):
        (folder / "log" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "log" / path).write_bytes(data)
    (folder / "log").mkdir(parents=True, exist_ok=True)
    text = Checkpoint(LOG, size, tree_root(map(leaf_hash, entries))).text()
    (folder / "log/checkpoint").write_bytes(sign_note(text, SIGNER))


def grow(ledger: Ledger, size: int) -> None:
    """Append decisions until the log has `size` entries."""
    while (missing := size - ledger.size) > 0:
        futures = [ledger.submit(draft()) for _ in range(min(missing, _AT_ONCE))]
        for future in futures:
            future.result()


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Logs:
    """A log of every size."""
    made = Logs(tmp_path_factory.mktemp("logs"), f"sqlite:///{tmp_path_factory.mktemp('ledger')}/consent.db")
    for size in SIZES:
        if size < 2:
            _bare(made.pack(size), size)
            continue
        with Ledger.open(made.url, keys=KEYS) as ledger:
            grow(ledger, size)
        export(made.url, made.pack(size))
    return made


@pytest.fixture(scope="session")
def c2sp(tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """An environment with aics-tlog and aics-witness."""
    try:
        return c2sp_tools(tmp_path_factory.mktemp("c2sp"))
    except NotToBeHad as error:
        skip(error, "aics-tlog with aics-witness")


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier that is built on golang.org/x/mod."""
    try:
        return sumdb(tmp_path_factory.mktemp("go"))
    except NotToBeHad as error:
        skip(error, "Go with golang.org/x/mod")
