"""Where a demo lives: policy, keys, trust file and ledger in one folder, made on the first run and kept after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from consentkit._data import example_policy
from consentkit.errors import LedgerUnavailable
from consentkit.keys import write_keys

__all__ = ["LOG_NAME", "DemoFolder", "demo_folder"]

LOG_NAME = "courier.example.com/consent-demo"


@frozen
class DemoFolder:
    """The places inside a demo's folder."""

    root: Path

    @property
    def policy(self) -> Path:
        """The policy in force."""
        return self.root / "policy.json"

    @property
    def keys(self) -> Path:
        """The folder of keys."""
        return self.root / "keys"

    @property
    def trust(self) -> Path:
        """The auditor's trust file."""
        return self.keys / "trust.txt"

    @property
    def ledger(self) -> str:
        """The ledger's URL."""
        return f"sqlite:///{self.root / 'consent.db'}"

    def prepare(self) -> None:
        """Make what is not there yet; whatever is there stays as it is.

        Raises InvalidKey when there are some of the keys and not all, and LedgerUnavailable when there is a ledger
        but no keys to go on with.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        if not (self.keys / "log-name.txt").exists():
            if (self.root / "consent.db").exists():
                raise LedgerUnavailable(
                    f"{self.root} has a ledger, but the keys that it was signed with are gone",
                    remedy="put the folder keys/ back, or choose another folder",
                )
            write_keys(self.keys, LOG_NAME)
        with suppress(FileExistsError), self.policy.open("xb") as file:
            file.write(example_policy("news-site"))


@contextmanager
def demo_folder(root: Path | None) -> Iterator[DemoFolder]:
    """Give a prepared folder: `root`, or a temporary one that is removed at the end."""
    if root is not None:
        folder = DemoFolder(root.resolve())
        folder.prepare()
        yield folder
        return
    with TemporaryDirectory(prefix="consentkit-demo-") as made:
        folder = DemoFolder(Path(made).resolve())
        folder.prepare()
        yield folder
