"""A pack is a folder from a stranger: nothing in it can lead an audit astray, hold it up or exhaust it."""

import errno
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from consentkit.audit import AuditReport, audit
from consentkit.audit.folder import Folder, Refused
from consentkit.audit.pack import LIMITS
from consentkit.tlog import Checkpoint, NoteSigner, sign_note
from tests.audit.packs import LOG_NAME, NOTICE, POLICY, PackWriter, digest

PARTS = {
    "log/checkpoint": "checkpoint",
    "checkpoints/151": "checkpoint",
    "log/tile/entries/000": "bundle",
    "log/tile/0/000": "tile",
    "log/tile/1/000.p/1": "tile",
    "openings/000.jsonl": "openings",
    f"policies/{digest(POLICY)}.json": "policy",
    f"notices/{digest(NOTICE)}.html": "notice",
    "README.md": "readme",
    "holds.jsonl": "holds",
}


def refusals(report: AuditReport) -> list[str | None]:
    return [finding.file for finding in report if finding.id == "file-refused"]


@pytest.mark.parametrize("path", PARTS)
def test_a_link_is_not_followed(path: str, writer: PackWriter, pack: Path, tmp_path: Path) -> None:
    """Not even where it leads to the very content that belongs there."""
    shutil.move(pack / path, tmp_path / "outside")
    (pack / path).symlink_to(tmp_path / "outside")
    report = audit(pack, writer.trust)
    assert (report.exit_code, refusals(report)) == (1, [path])
    assert "symbolic link" in report.verdict


@pytest.mark.parametrize("path", ["log", "log/tile", "log/tile/0", "checkpoints", "openings", "policies"])
def test_a_linked_folder_is_not_followed(path: str, writer: PackWriter, pack: Path, tmp_path: Path) -> None:
    """A folder that leads outside is as good as none."""
    shutil.move(pack / path, tmp_path / "outside")
    (pack / path).symlink_to(tmp_path / "outside", target_is_directory=True)
    report = audit(pack, writer.trust)
    assert report.exit_code != 0
    assert all((name or "").startswith(path) for name in refusals(report))


@pytest.mark.parametrize("path", PARTS)
def test_a_pipe_does_not_hold_an_audit_up(path: str, writer: PackWriter, pack: Path) -> None:
    """Opening a pipe that nobody writes to would wait for ever."""
    (pack / path).unlink()
    os.mkfifo(pack / path)
    report = audit(pack, writer.trust)
    assert (report.exit_code, refusals(report)) == (1, [path])


def test_a_socket_or_a_folder_is_no_file(writer: PackWriter, pack: Path) -> None:
    """Only regular files are read."""
    (pack / "log/checkpoint").unlink()
    (pack / "log/checkpoint").mkdir()
    (pack / "README.md").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(pack / "README.md"))
        assert refusals(audit(pack, writer.trust)) == ["log/checkpoint", "README.md"]


@pytest.mark.parametrize("path", PARTS)
def test_a_file_that_is_too_large_is_not_read(path: str, writer: PackWriter, pack: Path) -> None:
    """A terabyte (sparse, here) is refused by its size before a byte of it is taken in."""
    os.truncate(pack / path, 2**40)
    start = time.monotonic()
    report = audit(pack, writer.trust)
    assert (report.exit_code, refusals(report)) == (1, [path])
    assert f"more than the {LIMITS[PARTS[path]]} allowed" in report.verdict
    assert time.monotonic() - start < 30


def test_a_file_of_the_most_bytes_allowed_is_read(tmp_path: Path) -> None:
    """The limit itself is allowed, one more is not."""
    (tmp_path / "file").write_bytes(b"12345")
    assert Folder(tmp_path).read("file", 5) == b"12345"
    with pytest.raises(Refused, match="has 5 bytes, more than the 4 allowed"):
        Folder(tmp_path).read("file", 4)


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size that the system told a moment ago is not believed either."""
    (tmp_path / "file").write_bytes(b"12345")
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda number: os.stat_result([*real(number)[:6], 1, *real(number)[7:]]))
    with pytest.raises(Refused, match="grew beyond 4 bytes"):
        Folder(tmp_path).read("file", 4)


def test_a_file_that_the_system_cannot_read_leaves_the_audit_incomplete(
    writer: PackWriter, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad disk or a missing permission is not tampering, and not a clean result."""
    real = os.open

    def broken(path: Path, *arguments: int) -> int:
        if str(path).endswith("README.md"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", broken)
    report = audit(pack, writer.trust)
    assert [(one.id, one.file) for one in report] == [("file-unreadable", "README.md")]
    assert report.exit_code == 3
    assert "Input/output error" in report.verdict


def test_a_folder_that_the_system_cannot_list_is_reported(
    writer: PackWriter, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may lie in it is not vouched for."""
    real = os.scandir

    def broken(path: Path) -> object:
        if str(path).endswith("notices"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", broken)
    report = audit(pack, writer.trust)
    assert [(one.id, one.file) for one in report] == [("file-unexpected", "notices")]


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe", b"a\nb", b"\x1b[31mred", b"x" * 255, "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe".encode(), b" "],
)
def test_a_strange_name_is_only_a_name(name: bytes, writer: PackWriter, pack: Path) -> None:
    """Names are reported, not interpreted."""
    for folder in ("", "checkpoints", "openings", "log/tile/0", "policies"):
        with open(os.path.join(os.fsencode(pack / folder), name), "wb") as file:
            file.write(b"?")
    report = audit(pack, writer.trust)
    assert (report.exit_code, {one.id for one in report}, len(report.findings)) == (3, {"file-unexpected"}, 5)
    assert "\\ud" not in ascii(report.to_json())


def test_a_log_said_to_be_endless_ends(writer: PackWriter, pack: Path) -> None:
    """A signed size is only a number; the audit gives up when too much of what it promises is not there."""
    text = Checkpoint(LOG_NAME, 2**62, b"\7" * 32).text()
    (pack / "log/checkpoint").write_bytes(sign_note(text, NoteSigner(LOG_NAME, writer.log_key)))
    start = time.monotonic()
    report = audit(pack, writer.trust)
    assert report.exit_code == 1
    assert {"bundle-missing", "tile-missing", "tree-given-up"} <= {one.id for one in report}
    assert time.monotonic() - start < 30


def test_openings_without_end_are_one_finding_each_and_few_are_kept(writer: PackWriter, pack: Path) -> None:
    """A file of nothing but newlines, as large as allowed, is left after as many as there can be openings."""
    (pack / "openings/001.jsonl").write_bytes(b"\n" * LIMITS["openings"])
    report = audit(pack, writer.trust)
    assert report.exit_code == 1
    assert len([one for one in report if one.id == "opening-malformed"]) == 100
    assert report.more["opening-malformed"] == 156
    assert [one.file for one in report if one.id == "opening-misplaced"] == ["openings/001.jsonl"]


def test_a_pack_that_changes_during_the_audit_is_found(writer: PackWriter, pack: Path) -> None:
    """Entries are read twice; the second time they must be the ones that hashed to the root."""
    path = pack / "log/tile/entries/000"

    def change(what: str, done: int, total: int) -> None:
        if what == "tree" and done == total:
            path.write_bytes(path.read_bytes().replace(b"record", b"RECORD"))

    report = audit(pack, writer.trust, progress=change)
    assert [(one.id, one.file) for one in report if one.severity == "error"] == [
        ("bundle-mismatch", "log/tile/entries/000")
    ]
    assert "changed while it was read" in report.verdict
