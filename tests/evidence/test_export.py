"""The pack: what an auditor gets, complete, in the published formats, and brought up to date without surprise."""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from consentkit.errors import LedgerCorrupt, LedgerError, LedgerUnavailable
from consentkit.evidence.bucket import Folder
from consentkit.evidence.entry import RecordEntry, parse_entry
from consentkit.evidence.export import export, openings_path
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.opening import parse_opening
from consentkit.tlog import NoteSigner, TileReader, build_tiles, open_checkpoint
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, LOG, draft
from tests.evidence.test_faults import tamper
from tests.support import Clock

VERIFIER = NoteSigner(LOG, KEYS.log).verifier
DAY = 86_400_000


def fill(ledger: Ledger, count: int) -> None:
    futures = [ledger.submit(draft()) for _ in range(count)]
    for future in futures:
        future.result()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tree(pack: Path) -> TileReader:
    """Read a pack's log with nothing but the log key."""
    checkpoint = open_checkpoint((pack / "log/checkpoint").read_bytes(), VERIFIER)
    return TileReader(lambda path: (pack / "log" / path).read_bytes(), checkpoint.size, checkpoint.root)


def check_pack(pack: Path) -> int:
    """Check tree, entries and openings of a pack; returns its size."""
    reader = tree(pack)
    openings = {}
    for path in (pack / "openings").rglob("*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True):
            opening = parse_opening(line)
            assert pack / openings_path(opening.index // 256) == path
            openings[opening.index] = opening
    for index in range(reader.size):
        match parse_entry(reader.entry(index)):
            case RecordEntry(c):
                assert openings.pop(index).commitment == c
    assert not openings
    return reader.size


def test_a_pack_holds_the_whole_log_and_what_opens_it(ledger: Ledger, tmp_path: Path) -> None:
    """Every entry proven by the signed root, every record opened, at and around the edges of tiles."""
    fill(ledger, 600)
    ledger.export(tmp_path / "pack")
    assert check_pack(tmp_path / "pack") == 602


@pytest.mark.parametrize("records", [0, 1, 253, 254, 255, 510])
def test_the_tiles_are_those_of_the_entries(ledger: Ledger, tmp_path: Path, records: int) -> None:
    """The very files that C2SP's tlog-tiles wants for this log, no more and no fewer."""
    fill(ledger, records)
    ledger.export(tmp_path / "pack")
    written = {path: data for path, data in files(tmp_path / "pack" / "log").items() if path != "checkpoint"}
    assert written == dict(build_tiles(ledger.entries(0, 9999)))


def test_a_pack_holds_policies_notices_and_checkpoints(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    """Each under its digest or size; the last checkpoint of each day and of each export."""
    body = b'{"version":"1"}'
    policy: Any = SimpleNamespace(digest=sha256(body).hexdigest(), version="1", canonical=body)
    ledger.publish_policy(policy)
    notice = ledger.publish_notice(b"<p>May we?")
    clock.advance(DAY)
    fill(ledger, 3)
    ledger.append(draft())
    ledger.export(tmp_path / "pack")
    pack = files(tmp_path / "pack")
    assert pack[f"policies/{policy.digest}.json"] == body
    assert pack[f"notices/{notice}.html"] == b"<p>May we?"
    assert sorted(name for name in pack if name.startswith("checkpoints/")) == [
        "checkpoints/4",
        "checkpoints/8",
    ]
    assert open_checkpoint(pack["checkpoints/4"], VERIFIER).size == 4
    assert pack["checkpoints/8"] == pack["log/checkpoint"] == ledger.checkpoint()
    assert pack["holds.jsonl"] == b""
    assert b"consentkit audit" in pack["README.md"]


def test_a_pack_holds_no_key(ledger: Ledger, tmp_path: Path) -> None:
    """Neither secret nor public ones in any file but the log's own entries: trust comes by another way."""
    fill(ledger, 5)
    ledger.export(tmp_path / "pack")
    for name, data in files(tmp_path / "pack").items():
        assert b"PRIVATE" not in data, name
        assert str(VERIFIER).encode() not in data, name


def test_exporting_again_brings_a_pack_up_to_date(ledger: Ledger, tmp_path: Path) -> None:
    """It becomes what a fresh one would be, earlier checkpoints aside; whole files are left as they are."""
    pack = tmp_path / "pack"
    fill(ledger, 300)
    ledger.export(pack)
    before = {path: os.stat(path).st_mtime_ns for path in pack.rglob("*") if path.is_file()}
    fill(ledger, 300)
    ledger.export(pack)
    ledger.export(tmp_path / "fresh")
    old, new = files(pack), files(tmp_path / "fresh")
    assert old.keys() - new.keys() == {"checkpoints/302", "log/tile/1/000.p/1"}
    assert {name: old[name] for name in new} == new
    whole = pack / "log/tile/entries/000"
    assert os.stat(whole).st_mtime_ns == before[whole]
    assert check_pack(pack) == 602


def test_exporting_without_news_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """The same files, byte for byte."""
    fill(ledger, 300)
    ledger.export(tmp_path / "pack")
    before = files(tmp_path / "pack")
    ledger.export(tmp_path / "pack")
    assert files(tmp_path / "pack") == before


@pytest.mark.parametrize("after", [1, 5, 9, 12])
def test_an_export_that_was_interrupted_is_carried_on(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Whenever it stops there is no checkpoint that promises more than is there; the next run completes it."""
    fill(ledger, 600)
    pack = tmp_path / "pack"
    calls = iter(range(after))

    def replace(path: Path, target: Path) -> Path:
        if next(calls, None) is None:
            raise OSError(28, "No space left on device")
        os.rename(path, target)
        return target

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        ledger.export(pack)
    assert not (pack / "log/checkpoint").exists()
    monkeypatch.undo()
    ledger.export(pack)
    assert check_pack(pack) == 602
    ledger.export(tmp_path / "fresh")
    assert files(pack) == files(tmp_path / "fresh")


def test_the_checkpoint_comes_last(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sees it sees all that it covers."""
    fill(ledger, 10)
    order: list[str] = []
    put = Folder._put
    monkeypatch.setattr(
        Folder,
        "_put",
        lambda self, place, *rest, **more: (order.append(place), put(self, place, *rest, **more))[1],
    )
    ledger.export(tmp_path / "pack")
    assert order[-1] == "log/checkpoint"


def test_progress_is_told(ledger: Ledger, tmp_path: Path) -> None:
    """What, how much of it, out of how much."""
    fill(ledger, 300)
    told: list[tuple[str, int, int]] = []
    ledger.export(tmp_path / "pack", lambda *values: told.append(values))
    assert told == [("entries", 256, 302), ("entries", 302, 302)]


def test_a_ledger_is_exported_without_its_keys(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """While the site goes on writing to it; nothing is written to the ledger."""
    fill(ledger, 3)
    export(url, tmp_path / "pack")
    ledger.append(draft())
    assert check_pack(tmp_path / "pack") == 5
    assert ledger.size == 6


def test_the_pack_of_another_log_is_left_alone(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    """Whatever is in the way is named, and nothing is overwritten."""
    other = attrs.evolve(KEYS, log_name="example.com/other")
    with Ledger.open(f"sqlite:///{tmp_path}/other.db", keys=other, clock=clock) as stranger:
        stranger.export(tmp_path / "pack")
    before = files(tmp_path / "pack")
    with pytest.raises(LedgerError, match=r"example\.com/other"):
        ledger.export(tmp_path / "pack")
    assert files(tmp_path / "pack") == before


@pytest.mark.embedded
def test_a_pack_that_is_ahead_of_its_ledger_is_left_alone(open_ledger: OpenLedger, tmp_path: Path) -> None:
    """A ledger restored from an old backup is found out here."""
    open_ledger().close()
    shutil.copy(tmp_path / "consent.db", tmp_path / "backup.db")
    ledger = open_ledger()
    fill(ledger, 3)
    ledger.export(tmp_path / "pack")
    with pytest.raises(LedgerError, match="it has 5 entries, and the ledger has"):
        export(f"sqlite:///{tmp_path}/backup.db", tmp_path / "pack")


def test_a_pack_that_the_ledger_does_not_continue_is_left_alone(
    ledger: Ledger, tmp_path: Path, clock: Clock
) -> None:
    """The same name, but another past: a fork."""
    fill(ledger, 3)
    ledger.export(tmp_path / "pack")
    with Ledger.open(f"sqlite:///{tmp_path}/fork.db", keys=KEYS, clock=clock) as fork:
        fill(fork, 4)
        with pytest.raises(LedgerError, match="does not continue it"):
            fork.export(tmp_path / "pack")


def test_a_damaged_checkpoint_is_not_overwritten(ledger: Ledger, tmp_path: Path) -> None:
    """Somebody should look at it first."""
    ledger.export(tmp_path / "pack")
    (tmp_path / "pack/log/checkpoint").write_bytes(b"nonsense")
    with pytest.raises(LedgerError, match="checkpoint is damaged"):
        ledger.export(tmp_path / "pack")


@pytest.mark.embedded
def test_a_ledger_whose_tree_is_damaged_is_not_exported(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """The auditor would only find out later."""
    fill(ledger, 3)
    ledger.close()
    tamper(tmp_path / "consent.db", "UPDATE entry SET line = x'00' WHERE idx = 4")
    with pytest.raises(LedgerCorrupt):
        export(url, tmp_path / "pack")


def test_partial_tiles_go_when_full_ones_have_come(ledger: Ledger, tmp_path: Path) -> None:
    """As the format allows; those that still are the newest stay."""
    pack = tmp_path / "pack"
    ledger.export(pack)
    assert (pack / "log/tile/0/000.p/2").exists()
    fill(ledger, 300)
    ledger.export(pack)
    assert not (pack / "log/tile/0/000.p").exists()
    assert not (pack / "log/tile/entries/000.p").exists()
    assert (pack / "log/tile/0/001.p/46").exists()


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("bundle", "path"),
    [
        (0, "openings/000.jsonl"),
        (999, "openings/999.jsonl"),
        (1234, "openings/x001/234.jsonl"),
        (10**6, "openings/x001/x000/000.jsonl"),
    ],
)
def test_openings_are_numbered_as_tiles_are(bundle: int, path: str) -> None:
    """So that a file's name says which entries it opens."""
    assert openings_path(bundle) == path


@pytest.mark.embedded
@pytest.mark.parametrize(
    "url",
    [
        "consent.db",
        "postgres://localhost/x",
        "sqlite:consent.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x?mode=ro",
        "SQLITE:///x",
    ],
)
def test_a_url_that_names_no_ledger_is_explained(url: str, tmp_path: Path) -> None:
    """With the form that is understood."""
    with pytest.raises(LedgerUnavailable) as caught:
        export(url, tmp_path / "pack")
    assert "sqlite:///path/consent.db" in caught.value.remedy


@pytest.mark.embedded
def test_what_is_not_there_is_not_created(tmp_path: Path) -> None:
    """Exporting from a mistyped URL makes no new ledger."""
    with pytest.raises(LedgerUnavailable, match="there is no ledger"):
        export(f"sqlite:///{tmp_path}/missing.db", tmp_path / "pack")
    assert list(tmp_path.iterdir()) == []


def test_a_pack_is_private(ledger: Ledger, tmp_path: Path) -> None:
    """It holds pseudonyms: only its owner reads it until they decide otherwise."""
    ledger.export(tmp_path / "pack")
    assert (tmp_path / "pack").stat().st_mode & 0o077 == 0


def test_openings_are_lines_of_json(ledger: Ledger, tmp_path: Path) -> None:
    """That any program reads."""
    fill(ledger, 2)
    ledger.export(tmp_path / "pack")
    lines = (tmp_path / "pack/openings/000.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == [2, 3]


def test_a_folder_that_is_no_pack_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    """Nothing is written beside keys or into a project: what goes to an auditor holds the pack alone."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "log.pem").write_text("secret")
    with pytest.raises(LedgerError, match=r"is no pack: it holds log\.pem"):
        ledger.export(folder)
    assert files(folder) == {"log.pem": b"secret"}
