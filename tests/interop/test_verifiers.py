"""What a ledger exports is accepted by verifiers that others wrote, at every size at which something changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from consentkit.tlog import Checkpoint, Tile, decode_bundle, entries_path, tile_path
from tests.evidence.samples import KEYS, signer
from tests.interop.conftest import SIGNER, SIZES, Logs
from tests.interop.tools import Venv, outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

AUDIT = Path(__file__).with_name("audit_tiles.py")
VKEY = str(SIGNER.verifier)


def tiles(size: int) -> tuple[int, int]:
    """How many tiles and bundles a log has."""
    count, level = 0, size
    while level:
        count, level = count + -(-level // 256), level // 256
    return count, -(-size // 256)


def indexes(size: int) -> list[int]:
    """Entries at the edges of tiles, of the tree, and somewhere in the middle."""
    wanted = {0, 1, 254, 255, 256, size // 2, 65_535, 65_536, size - 2, size - 1}
    return sorted(index for index in wanted if 0 <= index < size)


def entry(logs: Logs, size: int, index: int) -> bytes:
    """An entry as the folder has it."""
    number, place = divmod(index, 256)
    width = min(256, size - number * 256)
    path = entries_path(number, width)
    return decode_bundle((logs.log(size) / path).read_bytes(), width, path)[place]


def aics_tlog(c2sp: Venv, *arguments: object) -> tuple[int, str]:
    """Run aics-tlog, which answers with one JSON object."""
    return outcome([c2sp.program("aics-tlog"), *arguments])


def audited(c2sp: Venv, log: Path, head: Checkpoint) -> tuple[int, str]:
    """Have every tile and bundle authenticated."""
    return outcome([c2sp.program("python"), AUDIT, log, head.size, head.root.hex()])


@pytest.mark.parametrize("size", SIZES)
class TestAicsTlog:
    def test_it_verifies_the_checkpoint(self, c2sp: Venv, logs: Logs, size: int) -> None:
        """Under the log's key, as our verifier keys are written."""
        place = "--note", logs.log(size) / "checkpoint", "--origin", SIGNER.name
        code, told = aics_tlog(c2sp, "verify-checkpoint", *place, "--log-key", VKEY)
        assert code == 0, told
        assert json.loads(told)["size"] == size

    def test_it_refuses_the_checkpoint_under_another_key(self, c2sp: Venv, logs: Logs, size: int) -> None:
        """So that accepting it means something."""
        other = str(type(SIGNER)(SIGNER.name, signer("somebody else")).verifier)
        code, told = aics_tlog(
            c2sp, "verify-checkpoint", "--note", logs.log(size) / "checkpoint", "--log-key", other
        )
        assert code == 1, told

    def test_it_verifies_inclusion(self, c2sp: Venv, logs: Logs, tmp_path: Path, size: int) -> None:
        """With proofs that it makes from our tiles by itself."""
        for index in indexes(size):
            (tmp_path / "leaf").write_bytes(entry(logs, size, index))
            code, told = aics_tlog(
                c2sp, "verify-inclusion", "--index", index, "--leaf", tmp_path / "leaf",
                "--tiles", logs.log(size), "--checkpoint", logs.log(size) / "checkpoint", "--log-key", VKEY,
            )  # fmt: skip
            assert code == 0, told

    def test_it_authenticates_every_tile(self, c2sp: Venv, logs: Logs, size: int) -> None:
        """And every bundle: as many as a log of that size has."""
        code, told = audited(c2sp, logs.log(size), logs.checkpoint(size))
        assert (code, told.split()) == (0, [str(count) for count in tiles(size)]), told


def spoil(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "path",
    [entries_path(100, 256), tile_path(0, 100), tile_path(1, 0), Tile(0, 273, 112).path, tile_path(2, 0, 1)],
)
class TestTamperedLog:
    @pytest.fixture
    def spoilt(self, logs: Logs, tmp_path: Path, path: str) -> Path:
        """The largest log with one wrong bit."""
        copy = Path(shutil.copytree(logs.log(70_000), tmp_path / "log"))
        spoil(copy / path)
        return copy

    def test_aics_tlog_finds_it(self, c2sp: Venv, logs: Logs, spoilt: Path, path: str) -> None:
        """In any kind of file."""
        assert audited(c2sp, spoilt, logs.checkpoint(70_000))[0] != 0

    def test_sumdb_finds_it(self, go: Path, spoilt: Path, path: str) -> None:
        """As does the other verifier."""
        code, told = outcome([go, spoilt, VKEY])
        assert code == 1, told


class TestSumdb:
    @pytest.mark.parametrize("size", SIZES)
    def test_it_accepts_log_entries_and_proofs(self, go: Path, logs: Logs, size: int) -> None:
        """golang.org/x/mod's note and tlog: signature, tiles, entries, inclusion and consistency."""
        assert outcome([go, logs.log(size), VKEY]) == (0, f"{size}\n")

    @pytest.mark.parametrize("size", [0, 257])
    def test_it_refuses_another_key(self, go: Path, logs: Logs, size: int) -> None:
        """So that accepting it means something."""
        other = type(SIGNER)(SIGNER.name, KEYS.record).verifier
        assert outcome([go, logs.log(size), other])[0] == 1

    def test_it_accepts_the_golden_logs(self, go: Path, vectors: Path) -> None:
        """So that a fault of the program is not taken for one of our logs."""
        for folder in (vectors / "tlog/golden").iterdir():
            code, told = outcome([go, folder, (folder / "log.vkey").read_text().strip()])
            assert (code, told) == (0, f"{folder.name}\n")


def test_the_sizes_have_the_tiles_that_the_specification_counts() -> None:
    """c2sp.org/tlog-tiles: 70,000 entries are 274 tiles of level 0, two of level 1, one of level 2."""
    assert tiles(70_000) == (274 + 2 + 1, 274)
    assert tiles(256) == (2, 1)
