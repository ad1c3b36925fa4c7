"""What is published is accepted by verifiers that others wrote, and by the auditor's own walk over the tree."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import obstore
import pytest

from consentkit.audit.findings import Findings
from consentkit.audit.folder import Folder as Reader
from consentkit.audit.pack import Pack
from consentkit.audit.tree import walk_tree
from consentkit.evidence.bucket import Folder, open_bucket
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.publication import publish
from consentkit.evidence.s3 import S3
from tests.evidence.samples import KEYS, LOG
from tests.interop.conftest import Logs, grow
from tests.interop.test_verifiers import VKEY, aics_tlog, audited, tiles
from tests.interop.tools import Venv, outcome
from tests.object_store import CREDENTIALS, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def from_folder(logs: Logs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of 70,000 entries, published to a folder."""
    folder = tmp_path_factory.mktemp("published")
    assert publish(logs.url, Folder(folder / "log")) == 70_000
    return folder


@pytest.fixture(scope="session")
def from_s3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that was published to S3 whenever it had grown, as somebody fetched it: 700 entries."""
    folder = tmp_path_factory.mktemp("fetched")
    url = f"sqlite:///{tmp_path_factory.mktemp('grown')}/consent.db"
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        place = server.url(f"b{uuid4().hex}")
        for size in (2, 200, 256, 257, 512, 700):
            with Ledger.open(url, keys=KEYS, publish=place) as ledger:
                grow(ledger, size)
        bucket, store = open_bucket(place), S3.of_url(place)._store
        for page in obstore.list(store):
            for file in page:
                found = bucket.read(file["path"])
                assert found is not None
                (folder / "log" / file["path"]).parent.mkdir(parents=True, exist_ok=True)
                (folder / "log" / file["path"]).write_bytes(found.data)
    return folder


@pytest.mark.parametrize(("fixture", "size"), [("from_folder", 70_000), ("from_s3", 700)])
class TestPublished:
    @pytest.fixture
    def log(self, request: pytest.FixtureRequest, fixture: str) -> Path:
        """The folder of the log."""
        folder: Path = request.getfixturevalue(fixture)
        return folder / "log"

    def test_aics_tlog_accepts_it(self, c2sp: Venv, log: Path, size: int) -> None:
        """Checkpoint, every tile and every bundle."""
        place = "--note", log / "checkpoint", "--origin", LOG
        code, told = aics_tlog(c2sp, "verify-checkpoint", *place, "--log-key", VKEY)
        assert code == 0, told
        code, told = audited(c2sp, log, Logs.head(log))
        assert (code, told.split()) == (0, [str(count) for count in tiles(size)]), told

    def test_sumdb_accepts_it(self, go: Path, log: Path, size: int) -> None:
        """Signature, tiles, entries and proofs."""
        assert outcome([go, log, VKEY]) == (0, f"{size}\n")

    def test_the_audit_of_the_tree_accepts_it(self, log: Path, size: int) -> None:
        """The same walk that an auditor's pack gets, without a finding."""
        pack = Pack(Reader(log.parent), Findings())
        head = Logs.head(log)
        tree = walk_tree(pack, size, head.root, [], lambda bundle: None)
        assert (tree.root, tree.reached, list(pack.findings.sorted())) == (head.root, size, [])
